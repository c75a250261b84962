"""What listings of the gateway show is what their counts and page tokens speak of."""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from integration.gateway.whole_gateway import WholeGateway, whole_gateway

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.instances import heartbeat
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Command
from cloud_assistant.producer.gateway.actions.action import Call
from cloud_assistant.producer.gateway.actions.files import FileActions
from cloud_assistant.producer.gateway.actions.invocations import MOST_OUTPUT_BYTES, InvocationActions
from cloud_assistant.producer.gateway.actions.parameters import Parameters
from cloud_assistant.producer.gateway.api_errors import ApiError
from cloud_assistant.producer.gateway.large_answers import LargeAnswers
from cloud_assistant.producer.security.caller import AccessKey
from cloud_assistant.worker import inventory
from harness.redis_server import RedisServer


@pytest.fixture
def gateway(redis_server: RedisServer, tmp_path: Path) -> Iterator[WholeGateway]:
    with whole_gateway(redis_server.url(), tmp_path / "home", has_master_key=True) as made:
        for one in ("mi-1", "mi-2", "mi-3"):
            made.assistant.add_instance(one)
        yield made


def send(gateway: WholeGateway, name: str) -> str:
    file = {"Name": name, "TargetDir": "/tmp", "Content": "x", "InstanceId.1": "mi-1"}
    status, answer = gateway.call("SendFile", file)
    assert status == 200, answer
    return str(answer["InvokeId"])


@pytest.mark.parametrize("by", [{}, {"InstanceId": "mi-1"}])
def test_files_are_found_by_name_on_the_first_page(gateway: WholeGateway, by: dict[str, str]) -> None:
    wanted = send(gateway, "wanted")
    for _ in range(3):
        send(gateway, "other")
    for page in ({"PageSize": "2"}, {"MaxResults": "2"}):
        status, answer = gateway.call("DescribeSendFileResults", {"Name": "wanted", **by, **page})
        assert status == 200
        assert [one["InvokeId"] for one in answer["Invocations"]["Invocation"]] == [wanted]
        assert answer["NextToken"] == ""
    assert gateway.call("DescribeSendFileResults", {"Name": "wanted", **by})[1]["TotalCount"] == 1
    status, answer = gateway.call("DescribeSendFileResults", {"Name": "want*", **by})
    assert (answer["TotalCount"], answer["Invocations"]["Invocation"]) == (0, [])


def listed(gateway: WholeGateway, action: str, asked: dict[str, str]) -> list[str]:
    """Ids that an answer lists, wherever it has its list."""
    status, answer = gateway.call(action, asked)
    assert status == 200, answer
    (found,) = (value for name, value in answer.items() if name in ("Instances", "Commands", "Invocations"))
    entries = found if isinstance(found, list) else next(iter(found.values()))
    return [one.get("InstanceId") or one.get("InvokeId") or one["CommandId"] for one in entries]


@pytest.mark.parametrize(
    ("action", "named"),
    [
        ("DescribeInstances", {"InstanceIds": '["mi-1", "mi-2", "mi-1", "mi-3", "mi-absent"]'}),
        ("DescribeManagedInstances", {f"InstanceId.{number}": f"mi-{number}" for number in range(1, 4)}),
    ],
)
def test_what_is_named_comes_in_pages_like_everything_else(
    gateway: WholeGateway, action: str, named: dict[str, str]
) -> None:
    pages = [listed(gateway, action, {**named, "PageSize": "2", "PageNumber": str(number)}) for number in (1, 2, 3)]
    assert pages == [["mi-1", "mi-2"], ["mi-3"], []]
    _, answer = gateway.call(action, {**named, "PageSize": "2", "PageNumber": "2"})
    assert (answer["TotalCount"], answer["PageNumber"], answer["PageSize"]) == (3, 2, 2)
    _, answer = gateway.call(action, {**named, "MaxResults": "2"})
    assert listed(gateway, action, {**named, "MaxResults": "2", "NextToken": answer["NextToken"]}) == ["mi-3"]


def test_beside_an_instance_neither_the_name_of_a_command_nor_a_mode_counts(gateway: WholeGateway) -> None:
    run = {"Type": "RunShellScript", "CommandContent": "true", "InstanceId.1": "mi-1", "Name": "disk"}
    invoke_id = gateway.call("RunCommand", run)[1]["InvokeId"]
    for asked in ({"CommandName": "other"}, {"RepeatMode": "Period"}):
        assert listed(gateway, "DescribeInvocations", asked) == []
        assert listed(gateway, "DescribeInvocations", {"InstanceId": "mi-1", **asked}) == [invoke_id]
    asked = {"InstanceId": "mi-1", "CommandType": "RunBatScript"}
    assert listed(gateway, "DescribeInvocations", asked) == []


@pytest.mark.parametrize("action", ["DescribeInvocations", "DescribeSendFileResults", "DescribeInvocationResults"])
def test_a_list_where_one_instance_is_asked_for_is_not_passed_over(gateway: WholeGateway, action: str) -> None:
    run = {"Type": "RunShellScript", "CommandContent": "true", "Name": "f", "TargetDir": "/tmp", "Content": "x"}
    for one in ("mi-1", "mi-2"):
        gateway.call("SendFile" if "File" in action else "RunCommand", {**run, "InstanceId.1": one})

    def answered(**asked: str) -> tuple[int, dict[str, Any]]:
        return gateway.call(action, {name.replace("__", "."): value for name, value in asked.items()})

    for asked in ({"InstanceId": "mi-1"}, {"InstanceId__1": "mi-1"}, {"InstanceIds": '["mi-1"]'}):
        status, answer = answered(**asked)
        assert (status, answer.get("Invocation", answer)["TotalCount"]) == (200, 1), asked
    status, answer = answered(InstanceId__1="mi-1", InstanceId__2="mi-2")
    assert (status, answer["Code"]) == (400, "InvalidParameter.InstanceId")
    assert answered(InstanceId="")[0] == 200


def test_a_list_that_names_no_instance_does_not_mean_all(gateway: WholeGateway) -> None:
    # A script runs something on what comes back.
    _, answer = gateway.call("DescribeInstances", {"InstanceIds": "[]"})
    assert (answer["TotalCount"], answer["Instances"]["Instance"]) == (0, [])


def test_instances_are_found_by_the_address_that_they_are_shown_with(gateway: WholeGateway) -> None:
    for one, address in (("mi-1", "10.0.0.1"), ("mi-2", "10.0.0.2"), ("mi-3", "10.0.0.20")):
        report = {"ip_address": address}
        heartbeat(gateway.assistant.redis, one, "epoch", report, ttl_ms=60_000, take_over=True)

    def found(addresses: str, **more: str) -> list[str]:
        return sorted(listed(gateway, "DescribeInstances", {"PrivateIpAddresses": addresses, **more}))

    assert found('["10.0.0.2"]') == ["mi-2"]
    assert found('["10.0.0.2", "10.0.0.1"]') == ["mi-1", "mi-2"]
    assert found('["10.0.0.2", "10.0.0.1"]', InstanceIds='["mi-1"]') == ["mi-1"]
    # A script runs something on what comes back.
    assert found("[]") == found('["10.9.9.9"]') == found("[null]") == []
    status, answer = gateway.call("DescribeInstances", {"PrivateIpAddresses": "10.0.0.2"})
    assert (status, answer["Code"]) == (400, "InvalidParameter.PrivateIpAddresses")


@pytest.mark.parametrize("name", ["VpcId", "ZoneId", "InstanceType", "PublicIpAddresses", "Filter.1.Key"])
def test_what_nobody_knows_of_a_machine_chooses_none(gateway: WholeGateway, name: str) -> None:
    # Passed over in silence it would be every machine that comes back.
    status, answer = gateway.call("DescribeInstances", {name: "x", "InstanceName": "*"})
    assert (status, answer["Code"]) == (400, f"InvalidParameter.{name.partition('.')[0]}")
    assert "InstanceName" in answer["Message"]
    assert listed(gateway, "DescribeInstances", {name: "", "NeedSaleCycle": "true"}) != []


def test_of_named_instances_those_of_the_wanted_system_are_counted(gateway: WholeGateway) -> None:
    for one, os_type in (("mi-1", "Linux"), ("mi-2", "Windows")):
        heartbeat(gateway.assistant.redis, one, "epoch", {"os_type": os_type}, ttl_ms=60_000, take_over=True)
    asked = {"InstanceId.1": "mi-1", "InstanceId.2": "mi-2", "OSType": "Windows"}
    _, answer = gateway.call("DescribeCloudAssistantStatus", asked)
    shown = answer["InstanceCloudAssistantStatusSet"]["InstanceCloudAssistantStatus"]
    assert ([one["InstanceId"] for one in shown], answer["TotalCount"]) == (["mi-2"], 1)


def test_one_thing_by_its_id_is_on_the_first_page_alone(gateway: WholeGateway) -> None:
    # A client that asks for pages until one is empty would never end.
    run = {"Type": "RunShellScript", "CommandContent": "true", "InstanceId.1": "mi-1", "KeepCommand": "true"}
    _, made = gateway.call("RunCommand", run)
    for action, name in (("DescribeCommands", "CommandId"), ("DescribeInvocations", "InvokeId")):
        assert listed(gateway, action, {name: made[name]}) == [made[name]]
        assert listed(gateway, action, {name: made[name], "PageNumber": "2"}) == []


@pytest.mark.parametrize(
    "action", ["DescribeCommands", "DescribeInvocations", "DescribeSendFileResults", "DescribeActivations"]
)
def test_a_page_far_beyond_the_end_is_empty(gateway: WholeGateway, action: str) -> None:
    # Redis refuses numbers of more than 64 bits, which is no failure of the store.
    assert gateway.call(action, {"PageNumber": "9" * 18, "PageSize": "50"})[0] == 200


@pytest.mark.parametrize("action", ["DescribeInstances", "DescribeCloudAssistantStatus"])
def test_all_instances_are_counted_and_reached_by_page_number_however_many_they_are(
    gateway: WholeGateway, action: str
) -> None:
    """Under a filter the count ends behind 1,000 and pages by number reach 10,000; to ask for all is no filter."""
    names = [f"mi-many-{number:05}" for number in range(10_100)]
    commands: list[Command] = [("HSET", keys.profile(one), "registered_ms", "1") for one in names]
    commands.append(("ZADD", keys.INSTANCES, *chain.from_iterable(("1", one) for one in names)))
    gateway.assistant.redis.pipeline_or_raise(commands)
    status, answer = gateway.call(action, {"PageSize": "50", "PageNumber": "203"})
    assert status == 200, answer
    assert answer["TotalCount"] == 10_103
    (entries,) = next(one for one in answer.values() if isinstance(one, dict)).values()
    assert len(entries) == 3


@pytest.mark.parametrize("page", [{"PageSize": "2"}, {"MaxResults": "2"}])
def test_no_instance_is_counted_in_a_state_that_none_is_ever_in(gateway: WholeGateway, page: dict[str, str]) -> None:
    status, answer = gateway.call("DescribeInstances", {"Status": "Starting", **page})
    assert status == 200
    assert (answer["TotalCount"], answer["NextToken"], answer["Instances"]["Instance"]) == (0, "", [])
    assert gateway.call("DescribeInstances", {"Status": "Stopped"})[1]["TotalCount"] == 3


def test_an_instance_is_described_by_what_its_agent_says_of_the_machine(gateway: WholeGateway) -> None:
    facts = inventory.look("redis://127.0.0.1")
    gateway.assistant.redis.call("HSET", keys.info("mi-1"), *chain.from_iterable(facts.items()))
    [described] = gateway.call("DescribeInstances", {"InstanceIds": '["mi-1"]'})[1]["Instances"]["Instance"]
    assert (described["Cpu"], described["HostName"]) == (facts["processor_count"], facts["hostname"])
    assert described["Memory"] == int(facts["memory_bytes"]) // 1024**2


def test_a_managed_instance_may_be_called_after_what_it_serves(gateway: WholeGateway) -> None:
    for name, status in (("web-http-01", 200), ("httpd", 200), ("http:80", 400), ("HTTPS:x", 400), ("x/y", 400)):
        assert gateway.call("ModifyManagedInstance", {"InstanceId": "mi-1", "InstanceName": name})[0] == status, name


def test_output_that_is_not_asked_for_is_not_read(gateway: WholeGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    # A page of large invocations would hold gigabytes of it in the gateway's memory, to throw it away.
    run = {"Type": "RunShellScript", "CommandContent": "true", "InstanceId.1": "mi-1", "InstanceId.2": "mi-2"}
    invoke_id = gateway.call("RunCommand", run)[1]["InvokeId"]
    for one in ("mi-1", "mi-2"):
        row = keys.execution(one, execution_id(invoke_id, 0, one))
        gateway.assistant.redis.call("HSET", row, "state", "Failed", "exit_code", 3, "output", "the output of " + one)
    read: list[str] = []
    pipeline = Redis.pipeline

    def noted(redis: Redis, commands: Sequence[Command], *, timeout_seconds: float | None = None) -> list[object]:
        replies = pipeline(redis, commands, timeout_seconds=timeout_seconds)
        read.append(repr(replies))
        return replies

    monkeypatch.setattr(Redis, "pipeline", noted)
    # Without an id it is not had for the asking either.
    of_all = {"InvokeId": "", "IncludeOutput": "true"}
    for asked, is_read in (
        *(({"IncludeOutput": "false"}, False), ({}, False)),
        *((of_all, False), ({"IncludeOutput": "true"}, True)),
    ):
        read.clear()
        _, answer = gateway.call(
            "DescribeInvocations", {"InvokeId": invoke_id, "ContentEncoding": "PlainText", **asked}
        )
        (invocation,) = answer["Invocations"]["Invocation"]
        shown = [(one["ExitCode"], one["Output"]) for one in invocation["InvokeInstances"]["InvokeInstance"]]
        assert shown == [(3, f"the output of {one}" if is_read else "") for one in ("mi-1", "mi-2")]
        assert any("the output of" in one for one in read) == is_read


def test_more_output_than_one_answer_can_hold_is_refused_with_the_way_to_it(gateway: WholeGateway) -> None:
    run = {"Type": "RunShellScript", "CommandContent": "true", "InstanceId.1": "mi-1", "InstanceId.2": "mi-2"}
    invoke_id = gateway.call("RunCommand", run)[1]["InvokeId"]
    for one in ("mi-1", "mi-2"):
        row = keys.execution(one, execution_id(invoke_id, 0, one))
        gateway.assistant.redis.call("HSET", row, "state", "Success", "output", "x" * (MOST_OUTPUT_BYTES // 2 + 1))
    asked = {"InvokeId": invoke_id, "IncludeOutput": "true"}

    status, answer = gateway.call("DescribeInvocations", asked)
    assert (status, answer["Code"]) == (400, "InvalidParameter.IncludeOutput")
    assert "DescribeInvocationResults" in answer["Message"], answer

    for fewer in ({"InstanceId": "mi-1"}, {"IncludeOutput": "false"}):
        assert gateway.call("DescribeInvocations", {**asked, **fewer})[0] == 200
    page = gateway.call("DescribeInvocationResults", {"InvokeId": invoke_id, "MaxResults": "1"})[1]["Invocation"]
    assert len(page["InvocationResults"]["InvocationResult"][0]["Output"]) > MOST_OUTPUT_BYTES // 2
    gateway.assistant.redis.call("HSET", row, "output", "x")
    assert gateway.call("DescribeInvocations", asked)[0] == 200


def test_the_endpoint_of_the_region_is_the_one_that_the_client_has_called(gateway: WholeGateway) -> None:
    # Behind a proxy, or with the port that the system chose, the gateway's own settings lead nowhere.
    (region,) = gateway.call("DescribeRegions")[1]["Regions"]["Region"]
    assert region["RegionEndpoint"] == f"127.0.0.1:{gateway.port}"


def test_files_are_found_by_the_state_that_they_are_shown_in(gateway: WholeGateway) -> None:
    def row(invoke_id: str, instance_id: str, state: str) -> None:
        name = keys.execution(instance_id, execution_id(invoke_id, 0, instance_id))
        gateway.assistant.redis.call("HSET", name, "state", state)

    file = {"Name": "f", "TargetDir": "/tmp", "Content": "x", "InstanceId.1": "mi-1", "InstanceId.2": "mi-2"}
    for states, shown in (
        (("Success", "Cancelled"), "PartialFailed"),
        (("Cancelled", "Cancelled"), "Failed"),
        (("Stopping", "Cancelled"), "Running"),
        (("Pending", "Running"), "Pending"),
        (("Success", "Success"), "Success"),
    ):
        invoke_id = gateway.call("SendFile", file)[1]["InvokeId"]
        for number, state in enumerate(states, 1):
            row(invoke_id, f"mi-{number}", state)
        for word in ("Pending", "Running", "Success", "PartialFailed", "Failed", "Finished", "Stopped"):
            asked = {"InvokeId": invoke_id, "InvocationStatus": word}
            found = gateway.call("DescribeSendFileResults", asked)[1]["Invocations"]["Invocation"]
            assert [one["InvocationStatus"] for one in found] == [shown] * (word == shown), (states, word)


@pytest.mark.parametrize(
    "by",
    [
        {},
        {"InstanceId": "mi-1"},
        {"IncludeHistory": "true"},
        {"MaxResults": "5"},
        {"InvokeId": "", "InstanceId": "mi-1"},
        {"InvokeId": "", "InstanceId": "mi-1", "MaxResults": "5"},
    ],
)
def test_the_delivery_of_a_file_is_no_result_of_a_command(gateway: WholeGateway, by: dict[str, str]) -> None:
    status, answer = gateway.call("DescribeInvocationResults", {"InvokeId": send(gateway, "f"), **by})
    assert (status, answer["Invocation"]["InvocationResults"]["InvocationResult"]) == (200, [])
    assert (answer["Invocation"]["TotalCount"], answer["Invocation"]["Status"]) == (0, "")


@pytest.mark.parametrize(("took_seconds", "shown"), [(75, "01:00"), (20, "00:20")], ids=["grace", "local policy"])
def test_a_timeout_ends_on_time(gateway: WholeGateway, took_seconds: int, shown: str) -> None:
    run = {"Type": "RunShellScript", "CommandContent": "true", "InstanceId.1": "mi-1", "Timeout": "60"}
    invoke_id = gateway.call("RunCommand", run)[1]["InvokeId"]
    row = keys.execution("mi-1", execution_id(invoke_id, 0, "mi-1"))
    began_ms = 1_800_000_000_000
    times = ("started_ms", began_ms, "finished_ms", began_ms + took_seconds * 1000)
    gateway.assistant.redis.call("HSET", row, "state", "Timeout", *times)
    results = gateway.call("DescribeInvocationResults", {"InvokeId": invoke_id})[1]["Invocation"]["InvocationResults"]
    (result,) = results["InvocationResult"]
    (invocation,) = gateway.call("DescribeInvocations", {"InvokeId": invoke_id})[1]["Invocations"]["Invocation"]
    (instance,) = invocation["InvokeInstances"]["InvokeInstance"]
    assert result["StartTime"] == "2027-01-15T08:00:00Z"
    assert result["FinishedTime"] == instance["FinishTime"] == f"2027-01-15T08:{shown}Z"


@pytest.mark.parametrize("action", ["DescribeInvocations", "DescribeSendFileResults"])
def test_a_large_listing_waits_for_room_and_a_small_one_does_not(gateway: WholeGateway, action: str) -> None:
    for name in ("one", "two"):
        send(gateway, name)
        gateway.call("RunCommand", {"Type": "RunShellScript", "CommandContent": "true", "InstanceId.1": "mi-1"})
    answers = LargeAnswers(2, large_rows_count=2)
    table = {
        **InvocationActions(gateway.assistant, answers).table(),
        **FileActions(gateway.assistant, answers).table(),
    }

    def listed_count(**asked: str) -> int:
        caller = AccessKey("", "", active=True, principal="a")
        fields = table[action](Call(action, Parameters(asked), caller, "id"))
        return len(fields["Invocations"]["Invocation"])  # type: ignore[index]

    with answers.room_for(2):
        assert listed_count(PageSize="1") == 1
        with pytest.raises(ApiError, match="come back in 5 s"):
            listed_count()
    assert listed_count() == 2


def tagged_with(gateway: WholeGateway, **asked: str) -> list[str]:
    """Ids that ListTagResources finds."""
    parameters = {name.replace("__", "."): value for name, value in asked.items()}
    status, answer = gateway.call("ListTagResources", {"ResourceType": "instance", **parameters})
    assert status == 200, answer
    return [one["ResourceId"] for one in answer["TagResources"]["TagResource"]]


def test_every_tag_that_is_asked_for_must_be_there(gateway: WholeGateway) -> None:
    for one, env in (("mi-1", "prod"), ("mi-2", "test"), ("mi-3", "prod")):
        gateway.assistant.modify_instance(one, tags={"env": env})
    prod = {"Tag__1__Key": "env", "Tag__1__Value": "prod"}
    in_one = {"TagFilter__1__TagKey": "env", "TagFilter__1__TagValues__1": "test", "TagFilter__1__TagValues__2": "prod"}
    assert tagged_with(gateway, **in_one) == ["mi-1", "mi-2", "mi-3"]
    assert tagged_with(gateway, **prod, **in_one) == ["mi-1", "mi-3"]
    assert tagged_with(gateway, **prod, TagFilter__1__TagKey="env") == ["mi-1", "mi-3"]
    assert tagged_with(gateway, **prod, TagFilter__1__TagKey="env", TagFilter__1__TagValues__1="test") == []
    assert tagged_with(gateway, **prod, TagFilter__1__TagKey="other") == []
    other = {"TagFilter__2__TagKey": "env", "TagFilter__2__TagValues__1": "prod"}
    assert tagged_with(gateway, **in_one, **other) == ["mi-1", "mi-3"]
    assert tagged_with(gateway, **in_one, ResourceId__1="mi-2", ResourceId__2="mi-9") == ["mi-2"]


def test_a_command_is_found_by_the_tags_that_it_was_made_with(gateway: WholeGateway) -> None:
    tag = {"Tag.1.Key": "team", "Tag.1.Value": "web"}
    command = {"Name": "n", "Type": "RunShellScript", "CommandContent": "dHJ1ZQ=="}
    made, _ = (gateway.call("CreateCommand", {**command, **tags})[1]["CommandId"] for tags in (tag, {}))
    found = gateway.call("ListTagResources", {"ResourceType": "command", **tag})[1]["TagResources"]["TagResource"]
    assert [one["ResourceId"] for one in found] == listed(gateway, "DescribeCommands", tag) == [made]
    assert listed(gateway, "DescribeCommands", {"CommandId": made, "Name": "other"}) == []
    assert gateway.call("DeleteCommand", {"CommandId": made})[0] == 200
    index = keys.tag("command", "team", "web"), keys.tag_key("command", "team")
    assert gateway.assistant.redis.call("EXISTS", *index) == 0


def test_an_instance_that_its_owner_named_is_no_managed_one(gateway: WholeGateway) -> None:
    tag = {"env": "prod"}
    gateway.assistant.add_instance("i-own", tags=tag)
    gateway.assistant.modify_instance("mi-1", tags=tag)
    named = {"ResourceId__1": "i-own", "ResourceId__2": "mi-1"}
    for asked in (named, {"Tag__1__Key": "env"}):
        assert tagged_with(gateway, **asked) == ["i-own", "mi-1"]
        assert tagged_with(gateway, **asked, ResourceType="managedinstance") == ["mi-1"]
