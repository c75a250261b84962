"""WaitSeconds: which answers are held back, for how long, and what ends that."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from integration.gateway.whole_gateway import WholeGateway, whole_gateway

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.producer.gateway.actions.action import Call, Fields, NotYet
from cloud_assistant.producer.gateway.actions.parameters import Parameters
from cloud_assistant.producer.gateway.actions.table import action_registry
from cloud_assistant.producer.security.caller import AccessKey
from harness.eventually import eventually
from harness.redis_server import RedisServer

RUN = {"Type": "RunShellScript", "CommandContent": "true", "InstanceId.1": "mi-1"}
YEARLY = {**RUN, "Frequency": "0 0 0 1 1 *"}
Ask = Callable[..., Fields | NotYet]


@pytest.fixture
def gateway(redis_server: RedisServer, tmp_path: Path) -> Iterator[WholeGateway]:
    with whole_gateway(redis_server.url(), tmp_path / "home", has_master_key=True) as made:
        for one in ("mi-1", "mi-2"):
            made.assistant.add_instance(one)
        yield made


@pytest.fixture
def ask(gateway: WholeGateway) -> Ask:
    """Ask for results, as the gateway's exchange does, which then looks again."""
    action = action_registry(gateway.assistant).find("DescribeInvocationResults")
    assert action is not None
    caller = AccessKey("", "", active=True, principal="a")
    return lambda **asked: action(Call("DescribeInvocationResults", Parameters(asked), caller, "id"))


def write(gateway: WholeGateway, invoke_id: str, due_ms: int = 0, **fields: str) -> None:
    """Write what an agent, and a beat, leave of an execution."""
    redis = gateway.assistant.redis
    execution = execution_id(invoke_id, due_ms, "mi-1")
    redis.call("HSET", keys.execution("mi-1", execution), *(one for pair in fields.items() for one in pair))
    if due_ms:
        redis.call("HSET", keys.firing(invoke_id, due_ms), "status", "fired", "due_ms", due_ms)
        redis.call("ZADD", keys.firings(invoke_id), due_ms, due_ms)
        redis.call("HSET", keys.timed(invoke_id), "last_due_ms", due_ms)
        redis.call("HSET", keys.timed_latest(invoke_id), "mi-1", due_ms)


def held(outcome: Fields | NotYet) -> NotYet:
    assert isinstance(outcome, NotYet)
    return outcome


def test_what_has_ended_is_answered_at_once(gateway: WholeGateway, ask: Ask) -> None:
    invoke_id = gateway.call("RunCommand", RUN)[1]["InvokeId"]
    assert not isinstance(ask(InvokeId=invoke_id), NotYet)
    assert isinstance(ask(InvokeId=invoke_id, WaitSeconds="30"), NotYet)
    write(gateway, invoke_id, state="Failed")
    assert not isinstance(ask(InvokeId=invoke_id, WaitSeconds="30"), NotYet)
    assert gateway.call("DescribeInvocationResults", {"WaitSeconds": "31"})[1]["Code"] == "InvalidParameter.WaitSeconds"


def test_a_change_ends_it_and_nothing_else_before_its_time(gateway: WholeGateway, ask: Ask) -> None:
    run = {**RUN, "InstanceId.2": "mi-2"}
    invoke_id = gateway.call("RunCommand", run)[1]["InvokeId"]
    first = held(ask(InvokeId=invoke_id, WaitSeconds="30"))
    again = held(first.look_again())
    assert (again.so_far, again.pause_ms) == (first.so_far, 2_000)
    assert again.listen is not None
    write(gateway, invoke_id, state="Running")
    changed = again.look_again()
    assert not isinstance(changed, NotYet)
    states = [one["InvocationStatus"] for one in changed["Invocation"]["InvocationResults"]["InvocationResult"]]  # type: ignore[index]
    assert states == ["Running", "Pending"]


def test_it_ends_with_its_time(gateway: WholeGateway, ask: Ask) -> None:
    invoke_id = gateway.call("RunCommand", RUN)[1]["InvokeId"]
    outcome = held(ask(InvokeId=invoke_id, WaitSeconds="1"))
    assert outcome.pause_ms <= 1_000
    eventually(lambda: not isinstance(outcome.look_again(), NotYet), within_seconds=20)


def test_a_schedule_goes_on_behind_what_has_ended(gateway: WholeGateway, ask: Ask) -> None:
    invoke_id = gateway.call("RunCommand", YEARLY)[1]["InvokeId"]
    write(gateway, invoke_id, 5, state="Success")
    outcome = held(ask(InvokeId=invoke_id, WaitSeconds="30"))
    # Another execution is news, whatever became of it.
    write(gateway, invoke_id, 9, state="Success")
    assert not isinstance(outcome.look_again(), NotYet)
    gateway.call("StopInvocation", {"InvokeId": invoke_id})
    assert not isinstance(ask(InvokeId=invoke_id, WaitSeconds="30"), NotYet)


def test_where_no_invocation_could_tell_of_a_change_the_ledger_is_looked_at_more_often(
    gateway: WholeGateway, ask: Ask
) -> None:
    absent = held(ask(InvokeId="t-absent", WaitSeconds="30"))
    assert (absent.pause_ms, absent.listen) == (500, None)
    for _ in range(2):
        gateway.call("RunCommand", RUN)
    several = held(ask(InstanceId="mi-1", WaitSeconds="30"))
    assert (several.pause_ms, several.listen) == (500, None)
