"""What cannot be read is left out of lists over HTTP, and refused where it is asked for itself: never a 500."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.gateway.whole_gateway import WholeGateway, whole_gateway

from cloud_assistant.broker_config import keys
from harness.redis_server import RedisServer


@pytest.fixture
def gateway(redis_server: RedisServer, tmp_path: Path) -> Iterator[WholeGateway]:
    with whole_gateway(redis_server.url(), tmp_path / "home", has_master_key=True) as made:
        for one in ("i-1", "i-2"):
            made.assistant.add_instance(one)
        yield made


def run(gateway: WholeGateway, **more: str) -> str:
    asked = {"Type": "RunShellScript", "CommandContent": "true", "InstanceId.1": "i-1", **more}
    status, answer = gateway.call("RunCommand", asked)
    assert status == 200, answer
    return str(answer["InvokeId"])


@pytest.mark.parametrize(
    ("field", "value"), [("schedule", "{"), ("status", "dormant"), ("fired_count", "many")], ids=str
)
def test_timed_invocations_are_listed_beside_one_that_cannot_be_read(
    gateway: WholeGateway, field: str, value: str
) -> None:
    well, bad = (run(gateway, Frequency="0 0 3 * * *") for _ in range(2))
    redis = gateway.assistant.redis
    redis.call("HSET", keys.timed(bad), field, value)
    for page in ({"PageSize": "5"}, {"MaxResults": "5"}):
        for wanted in ({"Timed": "true"}, {"RepeatMode": "Period"}, {}, {"InstanceId": "i-1", "Timed": "true"}):
            status, answer = gateway.call("DescribeInvocations", {**wanted, **page})
            assert status == 200, answer
            assert well in [one["InvokeId"] for one in answer["Invocations"]["Invocation"]]
    for asked in ({"InvokeId": bad}, {"InvokeId": bad, "InstanceId": "i-1"}, {"InvokeId": bad, "Timed": "true"}):
        for action in ("DescribeInvocations", "DescribeInvocationResults"):
            assert gateway.call(action, asked)[0] in (200, 403)
    status, answer = gateway.call("ModifyInvocationAttribute", {"InvokeId": bad, "Frequency": "0 0 4 * * *"})
    assert (status, field == "fired_count" or answer["Code"] == "RecordUnreadable") == (403, True)
    assert gateway.call("StopInvocation", {"InvokeId": bad})[0] == 200
    assert redis.call("HGET", keys.timed(bad), "status") == b"stopped"
    assert redis.call("HGET", keys.timed(well), "status") == b"active"


def test_invocations_commands_activations_instances_and_tags_are_listed_beside_one_that_cannot_be_read(
    gateway: WholeGateway,
) -> None:
    redis = gateway.assistant.redis
    well, bad = run(gateway), run(gateway)
    asked = {"Name": "x", "Type": "RunShellScript", "CommandContent": "dHJ1ZQ=="}
    commands = [gateway.call("CreateCommand", asked)[1]["CommandId"] for _ in range(2)]
    codes = [gateway.call("CreateActivation", {})[1]["ActivationId"] for _ in range(2)]
    redis.call("HSET", keys.invocation(bad), "record", "{")
    redis.call("HSET", keys.command(commands[1]), "record", "{")
    redis.call("HSET", keys.activation(codes[1]), "record", "{")
    redis.call("HSET", keys.profile("i-2"), "tags", "{", "registered_ms", "x")

    def listed(action: str, parameters: dict[str, str], *place: str) -> list[str]:
        status, answer = gateway.call(action, parameters)
        assert status == 200, answer
        for one in place[:-1]:
            answer = answer[one]
        return [one[place[-1]] for one in answer]

    for page in ({"PageSize": "5"}, {"MaxResults": "5"}):
        assert listed("DescribeInvocations", page, "Invocations", "Invocation", "InvokeId") == [well]
        assert listed("DescribeCommands", page, "Commands", "Command", "CommandId") == [commands[0]]
        assert listed("DescribeActivations", page, "ActivationList", "ActivationId") == [codes[0]]
        found = listed(
            "DescribeInvocationResults", page, "Invocation", "InvocationResults", "InvocationResult", "InvokeId"
        )
        assert found == [well]
    assert set(listed("DescribeCloudAssistantStatus", {}, *_STATUSES)) == {"i-1", "i-2"}
    for kind, one in (("command", commands[1]), ("invocation", bad), ("instance", "i-2")):
        status, answer = gateway.call("ListTagResources", {"ResourceType": kind, "ResourceId.1": one})
        assert status < 500, answer
    for action, asked in (
        ("DescribeInvocations", {"InvokeId": bad}),
        ("InvokeCommand", {"CommandId": commands[1], "InstanceId.1": "i-1"}),
        ("DisableActivation", {"ActivationId": codes[1]}),
    ):
        status, answer = gateway.call(action, asked)
        assert (status, answer["Code"]) == (403, "RecordUnreadable"), answer
    for action, asked in (
        ("StopInvocation", {"InvokeId": bad}),
        ("DeleteCommand", {"CommandId": commands[1]}),
        ("DeleteActivation", {"ActivationId": codes[1]}),
    ):
        status, answer = gateway.call(action, asked)
        assert status == 200, answer


_STATUSES = ("InstanceCloudAssistantStatusSet", "InstanceCloudAssistantStatus", "InstanceId")
