"""What a deregistered instance leaves unfinished is ended once, with the reason."""

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.executions import close_released_command
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.records import Invocation
from cloud_assistant.broker_config.timed.timed_invocation import server_ms

from .conftest import Ledger


def in_state(ledger: Ledger, state: str) -> Invocation:
    invocation = ledger.dispatch("i-1", "i-2")
    ledger.redis.call("HSET", keys.execution("i-1", ledger.execution(invocation, "i-1")), "state", state)
    return invocation


def close(ledger: Ledger, invocation: Invocation) -> list[int | bytes]:
    reply: list[int | bytes] = run(ledger.redis, close_released_command("i-1", ledger.execution(invocation, "i-1")))
    return reply


@pytest.mark.parametrize(
    ("state", "ended", "code"),
    [
        ("Pending", "Aborted", "InstanceNotExists"),
        ("Scheduled", "Aborted", "InstanceNotExists"),
        ("Running", "Error", "InstanceReleased"),
        ("Stopping", "Error", "InstanceReleased"),
    ],
)
def test_what_was_not_over_ends_and_says_whether_it_had_begun(
    ledger: Ledger, state: str, ended: str, code: str
) -> None:
    invocation, before_ms = in_state(ledger, state), server_ms(ledger.redis)
    execution, other = (ledger.execution(invocation, one) for one in ("i-1", "i-2"))
    listening = ledger.redis.subscribe(invocation.done_channel)
    assert close(ledger, invocation) == [1, ended.encode()]
    heard = listening.next(5)
    listening.close()
    assert heard is not None
    assert heard[1] == f"end {execution} {ended}".encode()
    row = ledger.row(invocation, "i-1")
    assert (row.state, row.outcome.error_code) == (ended, code)
    assert "deregistered" in row.outcome.error_info
    assert before_ms <= row.outcome.finished_ms <= server_ms(ledger.redis)
    left = set(ledger.redis.call("HKEYS", keys.execution("i-1", execution)))
    assert not {b"envelope", b"mac", b"payload"} & left
    assert ledger.redis.call("ZCARD", keys.open_executions("i-1")) == 0
    assert ledger.redis.call("ZRANGE", keys.DEADLINES, 0, -1) == [other.encode()]
    assert close(ledger, invocation) == [0, ended.encode()]
    assert ledger.row(invocation, "i-1") == row


def test_what_was_over_stays_as_it_is(ledger: Ledger) -> None:
    invocation = in_state(ledger, "Success")
    before = ledger.row(invocation, "i-1")
    assert close(ledger, invocation) == [0, b"Success"]
    assert ledger.row(invocation, "i-1") == before
    assert ledger.redis.call("ZCARD", keys.open_executions("i-1")) == 0


def test_an_entry_without_a_row_goes(ledger: Ledger) -> None:
    invocation = in_state(ledger, "Running")
    execution = ledger.execution(invocation, "i-1")
    ledger.redis.call("DEL", keys.execution("i-1", execution))
    assert close(ledger, invocation) == [0, b""]
    assert ledger.redis.call("ZCARD", keys.open_executions("i-1")) == 0
    assert ledger.redis.call("EXISTS", keys.execution("i-1", execution)) == 0
