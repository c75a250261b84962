"""Tags that are changed at the same moment: none is lost, and the index says of each thing what the thing says."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from integration.gateway.whole_gateway import WholeGateway, whole_gateway

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import NotFound, RedisUnreachable, Refused
from cloud_assistant.broker_config.functions.instances import register_instance
from cloud_assistant.broker_config.functions.tags import replace_tags
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.timed.timed_invocation import Timed
from cloud_assistant.producer import validation
from cloud_assistant.producer.fleet import instances, tagging, targets
from cloud_assistant.producer.timed import modifying
from harness.redis_server import RedisServer

COMMAND = {"Name": "n", "Type": "RunShellScript", "CommandContent": "ZWNobyAx"}


@pytest.fixture
def gateway(redis_server: RedisServer, tmp_path: Path) -> Iterator[WholeGateway]:
    with whole_gateway(redis_server.url(), tmp_path / "home", has_master_key=True) as made:
        made.assistant.add_instance("i-1")
        yield made


def resource(gateway: WholeGateway, kind: str) -> dict[str, str]:
    made = "i-1" if kind == "instance" else gateway.call("CreateCommand", COMMAND)[1]["CommandId"]
    return {"ResourceType": kind, "ResourceId.1": made}


def tags(gateway: WholeGateway, of: Mapping[str, str]) -> set[str]:
    _, answer = gateway.call("ListTagResources", of)
    return {one["TagKey"] for one in answer["TagResources"]["TagResource"]}


def indexed(gateway: WholeGateway, of: Mapping[str, str], key: str, value: str = "v") -> bool:
    names = keys.tag(of["ResourceType"], key, value), keys.tag_key(of["ResourceType"], key)
    found = [gateway.assistant.redis.call("SISMEMBER", name, of["ResourceId.1"]) for name in names]
    assert len(set(found)) == 1
    return bool(found[0])


@pytest.mark.parametrize("kind", ["instance", "command"])
def test_none_of_many_tags_given_at_the_same_moment_is_lost(gateway: WholeGateway, kind: str) -> None:
    of = resource(gateway, kind)
    given = [f"k{number}" for number in range(20)]

    def give(key: str) -> int:
        return gateway.call("TagResources", {**of, "Tag.1.Key": key, "Tag.1.Value": "v"})[0]

    with ThreadPoolExecutor(10) as threads:
        assert set(threads.map(give, given)) == {200}
    assert tags(gateway, of) == set(given)
    assert all(indexed(gateway, of, key) for key in given)
    # The twenty-first is refused whoever else is at it.
    assert gateway.call("TagResources", {**of, "Tag.1.Key": "more"})[1]["Code"] == "QuotaExceed.Tags"


@pytest.mark.parametrize("kind", ["instance", "command"])
def test_a_change_that_comes_in_between_is_taken_into_account(
    gateway: WholeGateway, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = resource(gateway, kind)
    replace = replace_tags
    between: list[Callable[[], object]] = [
        lambda: gateway.call("TagResources", {**of, "Tag.1.Key": "other", "Tag.1.Value": "v"})
    ]

    def replace_late(redis: Redis, *what: object, **more: object) -> str:
        if between:
            between.pop()()
        return replace(redis, *what, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(tagging, "replace_tags", replace_late)
    assert gateway.call("TagResources", {**of, "Tag.1.Key": "one", "Tag.1.Value": "v"})[0] == 200
    assert tags(gateway, of) == {"one", "other"}
    assert gateway.call("UntagResources", {**of, "TagKey.1": "other"})[0] == 200
    assert (indexed(gateway, of, "one"), indexed(gateway, of, "other")) == (True, False)


def test_tags_make_no_instance_of_one_that_was_removed_meanwhile(
    gateway: WholeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = replace_tags

    def replace_late(redis: Redis, *what: object, **more: object) -> str:
        redis.pipeline_or_raise([("DEL", keys.profile("i-1")), ("ZREM", keys.INSTANCES, "i-1")])
        return replace(redis, *what, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(tagging, "replace_tags", replace_late)
    _, answer = gateway.call("TagResources", {"ResourceType": "instance", "ResourceId.1": "i-1", "Tag.1.Key": "k"})
    assert answer["Code"] == "InvalidResourceId.NotFound"
    assert gateway.call("DescribeInstances")[1]["TotalCount"] == 0


def tag(gateway: WholeGateway, instance_id: str, key: str, value: str) -> None:
    given = {"ResourceType": "instance", "ResourceId.1": instance_id, "Tag.1.Key": key, "Tag.1.Value": value}
    assert gateway.call("TagResources", given)[0] == 200


def carrying(gateway: WholeGateway, tags: Mapping[str, str | None]) -> list[str]:
    return targets.tagged(gateway.assistant.redis, "instance", tags)


def test_a_tag_that_is_changed_while_its_instance_is_added_is_not_there_any_more(
    gateway: WholeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    register = register_instance

    def register_slowly(redis: Redis, instance_id: str, *what: object, **more: object) -> bool:
        is_new = register(redis, instance_id, *what, **more)  # type: ignore[arg-type]
        tag(gateway, instance_id, "env", "prod")
        return is_new

    monkeypatch.setattr(instances, "register_instance", register_slowly)
    gateway.assistant.add_instance("i-2", tags={"env": "test"})
    assert (carrying(gateway, {"env": "test"}), carrying(gateway, {"env": "prod"})) == ([], ["i-2"])


def test_a_tag_that_comes_while_its_instance_is_removed_finds_nobody(
    gateway: WholeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = replace_tags
    between: list[Callable[[], object]] = [lambda: tag(gateway, "i-1", "env", "prod")]

    def replace_early(redis: Redis, *what: object, **more: object) -> str:
        word = replace(redis, *what, **more)  # type: ignore[arg-type]
        if between:
            between.pop()()
        return word

    monkeypatch.setattr(tagging, "replace_tags", replace_early)
    gateway.assistant.remove_instance("i-1")
    assert not between
    gateway.assistant.add_instance("i-1")
    assert carrying(gateway, {"env": None}) == carrying(gateway, {"env": "prod"}) == []


@pytest.mark.parametrize("by", ["adding", "tagging"])
def test_tags_that_were_half_given_when_redis_went_away_are_whole_again(
    gateway: WholeGateway, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    register = register_instance

    def register_and_lose(*what: object, **more: object) -> bool:
        register(*what, **more)  # type: ignore[arg-type]
        raise RedisUnreachable("gone")

    monkeypatch.setattr(instances, "register_instance", register_and_lose)
    with pytest.raises(RedisUnreachable):
        gateway.assistant.add_instance("i-2", tags={"env": "test"})
    monkeypatch.undo()
    if by == "adding":
        with pytest.raises(Refused, match="registered already"):
            gateway.assistant.add_instance("i-2", tags={"env": "prod"})
    else:
        tag(gateway, "i-2", "role", "web")
    assert carrying(gateway, {"env": "test"}) == carrying(gateway, {"env": None}) == ["i-2"]


def test_a_new_name_makes_no_instance_of_one_that_was_removed_meanwhile(
    gateway: WholeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = validation.instance_name

    def check_slowly(name: str) -> str:
        gateway.assistant.remove_instance("i-1")
        return check(name)

    monkeypatch.setattr(validation, "instance_name", check_slowly)
    with pytest.raises(NotFound):
        gateway.assistant.modify_instance("i-1", name="web")
    assert gateway.call("DescribeInstances")[1]["TotalCount"] == 0


def test_a_page_of_tags_passes_over_none_because_others_lose_theirs(gateway: WholeGateway) -> None:
    ids = [f"i-{number:02}" for number in range(10, 70)]
    for one in ids:
        gateway.assistant.add_instance(one, tags={"k": "v"})
    wanted = {"ResourceType": "instance", "Tag.1.Key": "k"}
    first = gateway.call("ListTagResources", wanted)[1]
    gateway.assistant.modify_instance(ids[0], tags={})
    second = gateway.call("ListTagResources", {**wanted, "NextToken": first["NextToken"]})[1]
    found = [one["ResourceId"] for page in (first, second) for one in page["TagResources"]["TagResource"]]
    assert (found, second["NextToken"]) == (ids, "")
    # A token of another listing is none of this one's.
    foreign = gateway.call("DescribeInstances", {"MaxResults": "1"})[1]["NextToken"]
    assert gateway.call("ListTagResources", {**wanted, "NextToken": foreign})[1]["Code"] == "Invalid.NextToken"


@pytest.mark.parametrize("kind", ["command", "invocation"])
def test_what_was_tagged_later_can_still_be_changed(gateway: WholeGateway, kind: str) -> None:
    command_id = gateway.call("CreateCommand", COMMAND)[1]["CommandId"]
    tag = {"Tag.1.Key": "k" * 128, "Tag.1.Value": "v"}
    of_command = {"ResourceType": "command", "ResourceId.1": command_id}
    if kind == "command":
        assert gateway.call("TagResources", {**of_command, **tag})[0] == 200
    run = {"CommandId": command_id, "InstanceId.1": "i-1", "Frequency": "0 0 3 * * *"}
    invoke_id = gateway.call("InvokeCommand", run)[1]["InvokeId"]
    of_invocation = {"ResourceType": "invocation", "ResourceId.1": invoke_id}
    if kind == "invocation":
        assert gateway.call("TagResources", {**of_invocation, **tag})[0] == 200
    status, answer = gateway.call("ModifyInvocationAttribute", {"InvokeId": invoke_id, "CommandContent": "echo 2"})
    assert status == 200, answer
    changed = {**of_command, "ResourceId.1": answer["CommandId"]} if kind == "command" else of_invocation
    assert tags(gateway, changed) == {"k" * 128}


def test_a_tag_that_comes_while_a_timed_invocation_is_changed_is_kept(
    gateway: WholeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = {"Type": "RunShellScript", "CommandContent": "true", "InstanceId.1": "i-1", "Frequency": "0 0 3 * * *"}
    invoke_id = gateway.call("RunCommand", run)[1]["InvokeId"]
    of = {"ResourceType": "invocation", "ResourceId.1": invoke_id}
    settle = modifying._let_settle

    def settle_slowly(redis: Redis, timed: Timed) -> None:
        # A due time that has just come is waited for, up to two seconds.
        assert gateway.call("TagResources", {**of, "Tag.1.Key": "k"})[0] == 200
        settle(redis, timed)

    monkeypatch.setattr(modifying, "_let_settle", settle_slowly)
    change = {"InvokeId": invoke_id, "Frequency": "0 0 4 * * *"}
    assert gateway.call("ModifyInvocationAttribute", change)[0] == 200
    assert tags(gateway, of) == {"k"}
    (found,) = gateway.call("DescribeInvocations", {"InvokeId": invoke_id})[1]["Invocations"]["Invocation"]
    assert found["Frequency"] == "0 0 4 * * *"
