"""The roll-up of an invocation is stored once nothing in it may change any more."""

import pytest
from msgspec.structs import replace

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.functions.executions import finish, settle_lost_command, settled
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.functions.invocations import is_stored, settle_invocation_command
from cloud_assistant.broker_config.ledger import InvocationStatus, load_invocation, status_of
from cloud_assistant.broker_config.records import Invocation, RepeatMode, Schedule
from cloud_assistant.broker_config.results import Outcome
from cloud_assistant.broker_config.settling import settle, settle_as_announced
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.broker_config.timed.timed_invocation import server_ms

from .conftest import Ledger


def look(ledger: Ledger, invocation: Invocation) -> InvocationStatus:
    """Read the invocation as any reader does, who settles what can be."""
    stored = load_invocation(ledger.redis, invocation.invoke_id)
    status = status_of(ledger.redis, stored)
    settle(ledger.redis, stored, status)
    return status


def give_up(ledger: Ledger, invocation: Invocation, code: str) -> None:
    ledger.expire_deadline(invocation, "i-1")
    execution = ledger.execution(invocation, "i-1")
    assert settled(
        run(ledger.redis, settle_lost_command("i-1", execution, seen="Pending", error_code=code, error_info=""))
    )


@pytest.mark.parametrize("code", ["DeliveryTimeout", "ClientNotRunning"])
def test_an_end_without_a_start_is_counted_anew_for_an_hour_and_then_stored(ledger: Ledger, code: str) -> None:
    invocation = ledger.dispatch("i-1")
    give_up(ledger, invocation, code)
    assert look(ledger, invocation).state == "Failed"
    assert ledger.redis.call("ZSCORE", keys.INVOCATIONS_OPEN, invocation.invoke_id) is None
    assert load_invocation(ledger.redis, invocation.invoke_id).settled is None

    finish(
        ledger.redis,
        "i-1",
        ledger.execution(invocation, "i-1"),
        ExecutionState.SUCCESS,
        Outcome(state=ExecutionState.SUCCESS, started_ms=1, finished_ms=2, exit_code=0).fields(),
        live_output_ttl_ms=60_000,
        retention_ms=60_000,
    )
    assert look(ledger, invocation).state == "Success"
    assert load_invocation(ledger.redis, invocation.invoke_id).settled == {"Success": 1}


def test_after_an_hour_an_end_without_a_start_is_the_last_word(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    give_up(ledger, invocation, "ClientNotRunning")
    look(ledger, invocation)
    ledger.redis.call("CONFIG", "RESETSTAT")
    look(ledger, invocation)
    asked = ledger.redis.call("INFO", "commandstats")
    assert (b"cmdstat_fcall:calls=1," in asked, b"cmdstat_time" in asked) == (True, False), (
        "its states are read, no more"
    )
    ledger.redis.call("HSET", keys.invocation(invocation.invoke_id), "finished_ms", now_ms() - 3_600_001)
    look(ledger, invocation)
    assert load_invocation(ledger.redis, invocation.invoke_id).settled == {"Aborted": 1}


def test_what_nobody_knows_is_never_stored(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    give_up(ledger, invocation, "ClientNotResponse")
    ledger.redis.call("HSET", keys.invocation(invocation.invoke_id), "finished_ms", 1)
    look(ledger, invocation)
    assert load_invocation(ledger.redis, invocation.invoke_id).settled is None


def test_a_roll_up_that_rests_on_announcements_is_stored_only_when_the_rows_say_the_same(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1", "i-2")
    stored = load_invocation(ledger.redis, invocation.invoke_id)
    ledger.claim(invocation, "i-2")
    executions = [ledger.execution(invocation, one) for one in ("i-1", "i-2")]
    for state, answer in (("Running", False), ("Failed", False), ("Success", True)):
        ledger.redis.call("HSET", keys.execution("i-2", executions[1]), "state", state)
        announced = [("i-2", executions[1], "Success")]
        settling = settle_as_announced(stored, [("Failed", "")], announced)
        assert settling is not None
        status, command = settling
        assert status.counts == {"Failed": 1, "Success": 1}
        assert is_stored(run(ledger.redis, command)) is answer
        is_open = ledger.redis.call("ZSCORE", keys.INVOCATIONS_OPEN, invocation.invoke_id) is not None
        assert is_open is not answer
    assert load_invocation(ledger.redis, invocation.invoke_id).settled == {"Failed": 1, "Success": 1}


def test_an_announced_end_that_a_late_truth_may_replace_says_too_little(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    stored = load_invocation(ledger.redis, invocation.invoke_id)
    execution = ledger.execution(invocation, "i-1")
    assert settle_as_announced(stored, [], [("i-1", execution, "Aborted")]) is None
    assert settle_as_announced(stored, [], [("i-1", execution, "Running")]) is None
    assert settle_as_announced(stored, [("Aborted", "DeliveryTimeout")], [("i-1", execution, "Success")]) is None


def test_what_will_run_again_by_itself_is_not_over(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    give_up(ledger, invocation, "ClientNotRunning")
    stored = load_invocation(ledger.redis, invocation.invoke_id)
    settle(ledger.redis, replace(stored, active=True), status_of(ledger.redis, stored))
    assert load_invocation(ledger.redis, invocation.invoke_id).finished_ms == 0


def test_the_end_of_one_firing_says_nothing_of_a_timed_invocation(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    timed = replace(invocation, schedule=Schedule(repeat_mode=RepeatMode.PERIOD, frequency="0 0 0 1 1 *"))
    stored = replace(load_invocation(ledger.redis, invocation.invoke_id), record=timed)
    assert settle_as_announced(stored, [], [("i-1", ledger.execution(invocation, "i-1"), "Success")]) is None


def store(ledger: Ledger, invocation: Invocation, *, frozen: bool) -> bool:
    command = settle_invocation_command(
        invocation.invoke_id,
        invocation.command.command_id,
        b'{"Success":1}',
        frozen=frozen,
    )
    return is_stored(run(ledger.redis, command))


def open_entries(ledger: Ledger, invocation: Invocation) -> tuple[list[bytes], list[bytes]]:
    """The invocation's entries among all that are unfinished, and among those of its command."""
    return (
        ledger.redis.call("ZRANGE", keys.INVOCATIONS_OPEN, 0, -1),
        ledger.redis.call("SMEMBERS", keys.command_open(invocation.command.command_id)),
    )


@pytest.mark.parametrize(("is_frozen", "roll_up"), [(False, None), (True, b'{"Success":1}')])
def test_what_may_still_change_is_over_without_a_roll_up(
    ledger: Ledger, is_frozen: bool, roll_up: bytes | None
) -> None:
    invocation = ledger.dispatch("i-1")
    entry = invocation.invoke_id.encode()
    assert open_entries(ledger, invocation) == ([entry], [entry])
    before_ms = server_ms(ledger.redis)
    assert store(ledger, invocation, frozen=is_frozen)
    fields = "HMGET", keys.invocation(invocation.invoke_id), "finished_ms", "roll_up"
    finished_ms, stored = ledger.redis.call(*fields)
    assert (before_ms <= int(finished_ms) <= server_ms(ledger.redis), stored) == (True, roll_up)
    assert store(ledger, invocation, frozen=True)
    assert ledger.redis.call(*fields) == [finished_ms, b'{"Success":1}'], "over since the first time"
    assert open_entries(ledger, invocation) == ([], [])


def test_of_an_invocation_that_is_gone_nothing_is_stored_and_its_entries_go(ledger: Ledger) -> None:
    invocation = ledger.dispatch("i-1")
    ledger.redis.call("DEL", keys.invocation(invocation.invoke_id))
    assert not store(ledger, invocation, frozen=True)
    assert ledger.redis.call("EXISTS", keys.invocation(invocation.invoke_id)) == 0
    assert open_entries(ledger, invocation) == ([], [])
