"""``AtOnce`` and ``StopAt`` of the gateway: our own fields, for what does not run everywhere at once."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.gateway.whole_gateway import WholeGateway, whole_gateway

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import RequestInvalid
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.records import Schedule
from cloud_assistant.producer import RunOptions, Targets
from cloud_assistant.producer.timed.modifying import TimedModification
from harness.redis_server import RedisServer

IDS = [f"i-{number}" for number in range(1, 5)]
TARGETS = {f"InstanceId.{number}": one for number, one in enumerate(IDS, 1)}
RUN = {"Type": "RunShellScript", "CommandContent": "true", "ContentEncoding": "PlainText", **TARGETS}


@pytest.fixture
def gateway(redis_server: RedisServer, tmp_path: Path) -> Iterator[WholeGateway]:
    with whole_gateway(redis_server.url(), tmp_path / "home", has_master_key=True) as running:
        for one in IDS:
            running.assistant.add_instance(one)
        yield running


def states(gateway: WholeGateway, invoke_id: str) -> list[str]:
    rows = [keys.execution(one, execution_id(invoke_id, 0, one)) for one in IDS]
    return [gateway.assistant.redis.call("HGET", row, "state").decode() for row in rows]


def test_a_run_goes_to_so_many_and_says_so(gateway: WholeGateway) -> None:
    status, answer = gateway.call("RunCommand", {**RUN, "AtOnce": "1", "StopAt": "50%"})
    assert status == 200
    assert states(gateway, answer["InvokeId"]) == ["Pending", "Scheduled", "Scheduled", "Scheduled"]
    _, shown = gateway.call("DescribeInvocations", {"InvokeId": answer["InvokeId"]})
    [invocation] = shown["Invocations"]["Invocation"]
    assert (invocation["AtOnce"], invocation["StopAt"]) == (1, 2)


def test_a_stored_command_goes_to_a_share_of_them(gateway: WholeGateway) -> None:
    _, made = gateway.call("CreateCommand", {"Name": "n", "Type": "RunShellScript", "CommandContent": "dHJ1ZQ=="})
    asked = {"CommandId": made["CommandId"], **TARGETS, "AtOnce": "50%"}
    _, answer = gateway.call("InvokeCommand", asked)
    assert states(gateway, answer["InvokeId"]) == ["Pending", "Pending", "Scheduled", "Scheduled"]
    _, shown = gateway.call("DescribeInvocations", {"InvokeId": answer["InvokeId"]})
    [invocation] = shown["Invocations"]["Invocation"]
    assert (invocation["AtOnce"], "StopAt" in invocation) == (2, False)


def test_a_file_goes_to_so_many_and_says_so(gateway: WholeGateway) -> None:
    asked = {"Name": "n", "TargetDir": "/srv", "Content": "c", **TARGETS, "AtOnce": "1", "StopAt": "50%"}
    status, answer = gateway.call("SendFile", asked)
    assert status == 200
    assert states(gateway, answer["InvokeId"]) == ["Pending", "Scheduled", "Scheduled", "Scheduled"]
    _, shown = gateway.call("DescribeSendFileResults", {"InvokeId": answer["InvokeId"]})
    [file] = shown["Invocations"]["Invocation"]
    assert (file["AtOnce"], file["StopAt"]) == (1, 2)
    status, answer = gateway.call("SendFile", {**asked, "AtOnce": "some"})
    assert (status, answer["Code"]) == (400, "InvalidParameter.Pacing")


def test_one_that_runs_everywhere_at_once_says_nothing_of_it(gateway: WholeGateway) -> None:
    _, answer = gateway.call("RunCommand", {**RUN, "AtOnce": "100%"})
    assert set(states(gateway, answer["InvokeId"])) == {"Pending"}
    _, shown = gateway.call("DescribeInvocations", {"InvokeId": answer["InvokeId"]})
    assert "AtOnce" not in shown["Invocations"]["Invocation"][0]


def test_a_schedule_may_go_to_a_few_at_a_time_and_be_changed(gateway: WholeGateway) -> None:
    def paced(**fields: str) -> tuple[object, object]:
        if fields:
            status, told = gateway.call("ModifyInvocationAttribute", {"InvokeId": answer["InvokeId"], **fields})
            assert status == 200, told
        _, shown = gateway.call("DescribeInvocations", {"InvokeId": answer["InvokeId"]})
        [invocation] = shown["Invocations"]["Invocation"]
        return invocation.get("AtOnce"), invocation.get("StopAt")

    _, answer = gateway.call("RunCommand", {**RUN, "AtOnce": "25%", "StopAt": "2", "Frequency": "0 0 3 * * *"})
    assert paced() == (1, 2)
    assert paced(Frequency="0 0 4 * * *") == (1, 2)
    assert paced(AtOnce="3") == (3, 2)
    assert paced(StopAt="1") == (3, 1)
    assert paced(AtOnce="100%") == (None, None)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"AtOnce": "some"}, "(--at-once, AtOnce): 'some' is neither"),
        ({"AtOnce": "1", "StopAt": "0"}, "(--stop-at, StopAt): '0' is neither"),
        ({"StopAt": "1"}, "needs how many at once"),
        ({"AtOnce": "1", "RepeatMode": "EveryReboot"}, "of what runs when machines start"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(gateway: WholeGateway, fields: dict[str, str], told: str) -> None:
    status, answer = gateway.call("RunCommand", {**RUN, **fields})
    assert (status, answer["Code"], told in answer["Message"]) == (400, "InvalidParameter.Pacing", True), answer


@pytest.mark.parametrize(
    ("policies", "remedy"),
    [
        ({"jitter_seconds": 60.0}, "use --jitter 0"),
        ({"misfire": "all"}, "use --misfire latest or skip"),
        ({"overlap": "queue"}, "use --overlap skip or allow"),
        ({"overlap": "cancel"}, "use --overlap skip or allow"),
    ],
)
def test_what_waits_for_something_else_is_refused_with_the_remedy_by_whichever_way_it_comes(
    gateway: WholeGateway, policies: dict[str, Any], remedy: str
) -> None:
    """Whichever of the two was there first; the gateway itself knows no such policies."""
    timed = Schedule(frequency="0 0 3 * * *", **policies)
    targets = Targets(instance_ids=IDS)
    with pytest.raises(RequestInvalid, match=remedy) as refused:
        gateway.assistant.run_command("true", targets, RunOptions(schedule=timed, at_once="1"))
    assert refused.value.code == "InvalidParameter.Pacing"
    invoke_id = gateway.assistant.run_command("true", targets, RunOptions(schedule=timed)).invoke_id
    status, answer = gateway.call("ModifyInvocationAttribute", {"InvokeId": invoke_id, "AtOnce": "1"})
    assert (status, answer["Code"], remedy in answer["Message"]) == (400, "InvalidParameter.Pacing", True), answer
    paced = RunOptions(schedule=Schedule(frequency="0 0 3 * * *"), at_once="1")
    invoke_id = gateway.assistant.run_command("true", targets, paced).invoke_id
    with pytest.raises(RequestInvalid, match=remedy):
        gateway.assistant.timed.modify(invoke_id, TimedModification(policies=policies))
