"""A reader whose clock is an hour off says the same as any other: Redis decides what is overdue, and what is over."""

import time
from collections.abc import Callable

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import WaitTimedOut
from cloud_assistant.broker_config.functions.executions import settle_lost_command, settled
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.functions.instances import heartbeat
from cloud_assistant.broker_config.ledger import load_invocation
from cloud_assistant.broker_config.timed.timed_invocation import server_ms
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.fleet.targets import Targets
from cloud_assistant.producer.invocations.describing_results import ResultFilter

from .conftest import AgentStandIn

ON_1 = Targets(instance_ids=["i-1"])
HOUR_MS = 3_600_000


@pytest.fixture(params=[1, -1], ids=["ahead", "behind"])
def _an_hour_off(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    true_ns: Callable[[], int] = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: true_ns() + request.param * HOUR_MS * 1_000_000)


def shown(assistant: Assistant, invoke_id: str) -> tuple[str, str]:
    (found,) = assistant.describe_invocation_results(ResultFilter(invoke_id=invoke_id)).items
    return found.row.state, found.row.outcome.error_code


@pytest.mark.usefixtures("_an_hour_off")
def test_what_runs_is_not_over(assistant: Assistant, agent: AgentStandIn) -> None:
    invoke_id = assistant.run_command("sleep 9", ON_1).invoke_id
    agent.claim(invoke_id, "i-1")
    with Assistant(settings=assistant.settings) as other, pytest.raises(WaitTimedOut):
        other.wait(invoke_id, timeout_seconds=0.2)
    assert shown(assistant, invoke_id) == ("Running", "")
    assert assistant.redis.call("ZSCORE", keys.INVOCATIONS_OPEN, invoke_id) is not None


@pytest.mark.usefixtures("_an_hour_off")
def test_what_is_overdue_is_shown_with_its_reason(assistant: Assistant, agent: AgentStandIn) -> None:
    invoke_id = assistant.run_command("sleep 9", ON_1).invoke_id
    agent.claim(invoke_id, "i-1")
    row = keys.execution("i-1", f"{invoke_id}.0@i-1")
    assistant.redis.call("HSET", row, "deadline_ms", server_ms(assistant.redis) - 4_000)
    assert shown(assistant, invoke_id) == ("Running", ""), "a beat may still be about to say so"
    assistant.redis.call("HSET", row, "deadline_ms", server_ms(assistant.redis) - 6_000)
    assert shown(assistant, invoke_id) == ("Aborted", "ClientNotResponse")
    with Assistant(settings=assistant.settings) as other:
        assert other.wait(invoke_id, timeout_seconds=10).status.unknown_count == 1


@pytest.mark.usefixtures("_an_hour_off")
def test_an_end_without_a_start_is_not_the_last_word_before_an_hour_has_passed(assistant: Assistant) -> None:
    invoke_id = assistant.run_command("true", ON_1).invoke_id
    execution = f"{invoke_id}.0@i-1"
    assistant.redis.call("HSET", keys.execution("i-1", execution), "deadline_ms", 1)
    lost = settle_lost_command("i-1", execution, seen="Pending", error_code="ClientNotRunning", error_info="")
    assert settled(run(assistant.redis, lost))
    for _ in range(3):
        assert assistant.describe_invocations().items[0].status.state == "Failed"
    stored = load_invocation(assistant.redis, invoke_id)
    assert (stored.finished_ms > 0, stored.settled) == (True, None)


def test_what_has_ended_stays_so_however_long_ago_its_deadline_was(assistant: Assistant, agent: AgentStandIn) -> None:
    invoke_id = assistant.run_command("true", ON_1).invoke_id
    agent.run(invoke_id, "i-1")
    assistant.redis.call("HSET", keys.execution("i-1", f"{invoke_id}.0@i-1"), "deadline_ms", 1)
    assert shown(assistant, invoke_id) == ("Success", "")
    assert assistant.wait(invoke_id, timeout_seconds=10).status.state == "Success"


@pytest.mark.parametrize(("is_alive", "code"), [(True, "DeliveryTimeout"), (False, "ClientNotRunning")])
def test_what_nobody_took_is_shown_as_the_sweeper_would_write_it(
    assistant: Assistant, is_alive: bool, code: str
) -> None:
    invoke_id = assistant.run_command("true", ON_1).invoke_id
    if is_alive:
        heartbeat(assistant.redis, "i-1", "e", {"boot_id": "b"}, ttl_ms=60_000, take_over=True)
    assistant.redis.call("HSET", keys.execution("i-1", f"{invoke_id}.0@i-1"), "deadline_ms", 1_000)
    (row,) = assistant.wait(invoke_id, timeout_seconds=10).results
    assert (row.state, row.outcome.error_code, row.outcome.finished_ms) == ("Aborted", code, 1_000)
