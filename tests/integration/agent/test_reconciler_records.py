"""What the records of this home do not tell is not said, and what waits in it is not settled anew."""

import os
import threading

import pytest
from integration.agent.test_reconciler import EXECUTION, ID, hints, leave_row, left_by, link, reconciler

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import RedisUnreachable
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.results import Outcome
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.worker.link_state import LinkState
from cloud_assistant.worker.reconciler import Reconciler
from harness.eventually import eventually

__all__ = ["link", "reconciler"]


@pytest.mark.parametrize("state", ["Running", "Stopping"])
@pytest.mark.parametrize(
    ("epoch", "forgotten_until_ms", "is_known"),
    [("of a lost home", 0, False), ("an earlier one", 50, False), ("an earlier one", 49, True)],
)
def test_where_the_journal_does_not_reach_back_nobody_says_that_it_never_ran(
    redis: Redis, reconciler: Reconciler, state: str, epoch: str, forgotten_until_ms: int, is_known: bool
) -> None:
    """As in a container whose home went with it, and behind a backup of Redis from long ago."""
    row = leave_row(redis, state, epoch)
    reconciler.journal.forgotten_until_ms = forgotten_until_ms

    assert not reconciler.look()

    eventually(lambda: redis.call("HGET", row, "state") not in (b"Running", b"Stopping"))
    code, info = redis.call("HMGET", row, "error_code", "error_info")
    assert (b"nobody can say whether it ran" in info, code == b"ExecutionInterrupted") == (
        (False, state == "Running") if is_known else (True, True)
    )


@pytest.mark.parametrize("state", ["Pending", "Running", "Stopping"])
def test_a_row_whose_result_waits_misses_nothing(
    redis: Redis, reconciler: Reconciler, link: LinkState, state: str
) -> None:
    """Pending where Redis has lost the claim."""
    row = leave_row(redis, state, "this")
    link.note_failure(RedisUnreachable("away"))
    reconciler.reporter.deliver(EXECUTION, Outcome(state=ExecutionState.SUCCESS, finished_ms=2, exit_code=0))
    assert not reconciler.look(at_start=True)
    assert hints(redis) == []
    assert redis.call("HGET", row, "state") == state.encode()


def test_a_name_that_is_no_execution_of_ours_holds_up_no_other(redis: Redis, reconciler: Reconciler) -> None:
    for name in (f"../../{ID}", "t-aaaaaaaa.0@i-other", "nonsense"):
        redis.call("ZADD", keys.open_executions(ID), 0, name)
        redis.call("HSET", keys.execution(ID, name), "state", "Running", "epoch", "an earlier one")
    row = leave_row(redis, "Running", "an earlier one")
    reconciler.look()
    eventually(lambda: redis.call("HGET", row, "state") == b"Error")
    assert redis.call("HGET", keys.execution(ID, "nonsense"), "state") == b"Running"


def test_a_script_that_waits_to_be_followed_counts_as_running_and_can_be_stopped(
    redis: Redis, reconciler: Reconciler
) -> None:
    row = leave_row(redis, "Running", "an earlier one")
    left_by(reconciler, EXECUTION, 2**22 + 1, 5, age_seconds=0)
    goes_on = threading.Event()

    def take_the_slot() -> None:
        goes_on.wait(20)

    reconciler.slots.submit(take_the_slot)
    reconciler.settle_folders()
    assert reconciler.in_hand.running_count == 1
    goes_on.set()
    eventually(lambda: redis.call("HGET", row, "state") == b"Error")


def test_a_result_that_waits_in_memory_outlives_its_supervisor(
    redis: Redis, reconciler: Reconciler, link: LinkState
) -> None:
    """What its folder says would be that nobody knows how it ended."""
    row = leave_row(redis, "Running", "this")
    folder = left_by(reconciler, EXECUTION, 2**22 + 1, 5, age_seconds=0)
    # As on a full disk.
    (folder / "outcome.json.new").mkdir()
    link.note_failure(RedisUnreachable("away"))
    reconciler.reporter.deliver(EXECUTION, Outcome(state=ExecutionState.SUCCESS, finished_ms=2, exit_code=0))
    os.utime(folder, (1, 1))

    reconciler.settle_forgotten()
    assert EXECUTION not in reconciler.in_hand
    reconciler.settle_known(EXECUTION)
    link.note_success()
    reconciler.reporter.start()
    eventually(lambda: EXECUTION not in reconciler.reporter)
    assert redis.call("HMGET", row, "state", "exit_code") == [b"Success", b"0"]
