"""What the ledger and the agent disagree about is settled once, however long the slots are taken."""

import errno
import json
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from integration.execution.running import script_of

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Command
from cloud_assistant.broker_config.results import Outcome
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.worker import reconciler as reconciler_module
from cloud_assistant.worker.claimant import Claimant
from cloud_assistant.worker.execution.launcher import Launcher
from cloud_assistant.worker.execution.prepare import prepare
from cloud_assistant.worker.execution.proc_table import boot_id, start_ticks_of
from cloud_assistant.worker.in_hand import InHand
from cloud_assistant.worker.journal import Journal
from cloud_assistant.worker.link_state import LinkState
from cloud_assistant.worker.live_output import LiveOutput
from cloud_assistant.worker.reconciler import FORGOTTEN_AFTER_SECONDS, MISSED_AFTER_SECONDS, Reconciler
from cloud_assistant.worker.reporter import Reporter
from cloud_assistant.worker.script_following import follow, settling
from cloud_assistant.worker.slots import Slots
from cloud_assistant.worker.spool import Spool
from cloud_assistant.worker.trust.key_ring import KeyRing
from harness import proc
from harness.eventually import eventually

ID = "i-one"
EXECUTION = f"t-aaaaaaaa.0@{ID}"


@pytest.fixture
def link() -> LinkState:
    return LinkState()


@pytest.fixture
def reconciler(redis: Redis, tmp_path: Path, link: LinkState) -> Reconciler:
    claimant = Claimant(instance_id=ID, epoch="this", boot_id="b", report_margin_ms=1000)
    spool = Spool(tmp_path / "spool", limit_bytes=1_000_000, keep_scripts=False)
    spool.make()
    reporter = Reporter(redis, spool, link, claimant, retention_ms=60_000, keys=KeyRing(tmp_path, ID, ""))
    return Reconciler(
        redis=redis,
        claimant=claimant,
        journal=Journal(tmp_path / "journal", fsync=False),
        launcher=Launcher(),
        spool=spool,
        reporter=reporter,
        in_hand=InHand(),
        slots=Slots(1),
        live_output=lambda one: LiveOutput(redis, ID, one, most_bytes=1000),
        has_message=lambda _: False,
        home_epochs=["an earlier one"],
    )


def test_a_row_that_waits_for_a_slot_is_not_settled_again_by_each_look(redis: Redis, reconciler: Reconciler) -> None:
    row = keys.execution(ID, EXECUTION)
    redis.call("HSET", row, "state", "Running", "epoch", "an earlier one", "boot_id", "b", "invoke_id", "t-aaaaaaaa")
    redis.call("ZADD", keys.open_executions(ID), 1, EXECUTION)
    gate, slots = threading.Event(), reconciler.slots

    def occupy() -> None:
        gate.wait(20)

    slots.submit(occupy)
    eventually(lambda: slots.free_count == 0)
    try:
        for _ in range(5):
            reconciler.look()
        waiting_count = slots.waiting_count
    finally:
        gate.set()

    assert waiting_count == 1
    eventually(lambda: redis.call("HGET", row, "state") == b"Error")
    eventually(lambda: EXECUTION not in reconciler.in_hand)


def test_a_folder_that_the_disk_does_not_give_is_not_taken_for_none(
    redis: Redis, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, folder = keys.execution(ID, EXECUTION), str(reconciler.spool.folder(EXECUTION))
    redis.call("HSET", row, "state", "Running", "epoch", "an earlier one", "boot_id", "b", "invoke_id", "t-aaaaaaaa")
    redis.call("ZADD", keys.open_executions(ID), 1, EXECUTION)
    look = os.stat

    def fail_there(path: Any, **options: Any) -> os.stat_result:
        if str(path) == folder:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return look(path, **options)

    with monkeypatch.context() as damaged:
        damaged.setattr(os, "stat", fail_there)
        reconciler.look()
        is_in_hand = EXECUTION in reconciler.in_hand
        assert (is_in_hand, redis.call("HGET", row, "state")) == (False, b"Running")
    reconciler.look()
    eventually(lambda: redis.call("HGET", row, "state") == b"Error")


def test_a_script_that_ends_while_the_ledger_is_looked_at_is_not_followed_again(
    redis: Redis, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its supervisor lives on and is about to clear the folder away: whoever followed that had its slot for ever."""
    row, launcher = keys.execution(ID, EXECUTION), reconciler.launcher
    redis.call("HSET", row, "state", "Running", "epoch", "this", "boot_id", "b", "invoke_id", "t-aaaaaaaa")
    redis.call("ZADD", keys.open_executions(ID), 1, EXECUTION)
    reconciler.in_hand.enter(EXECUTION)
    assert isinstance(launcher, Launcher)
    launcher.start()
    running = launcher.launch(prepare(script_of("echo", execution_id=EXECUTION), reconciler.spool.folder(EXECUTION)))
    outcome = follow(running, reconciler.live_output(EXECUTION))
    [supervisor] = proc.descendants_of(launcher.fork_server_pid)
    read, is_over = redis.pipeline_or_raise, threading.Event()

    def end_once_read(commands: Sequence[Command]) -> list[Any]:
        replies = read(commands)
        if not is_over.is_set():
            is_over.set()
            os.kill(supervisor.pid, signal.SIGSTOP)
            reconciler.reporter.deliver(EXECUTION, outcome, settling(running))
            reconciler.in_hand.leave(EXECUTION)
        return replies

    monkeypatch.setattr(redis, "pipeline_or_raise", end_once_read)
    try:
        reconciler.look()
        is_in_hand = EXECUTION in reconciler.in_hand
        os.kill(supervisor.pid, signal.SIGCONT)
        eventually(lambda: not reconciler.spool.folder(EXECUTION).exists(), what="the supervisor clears it away")
    finally:
        launcher.close()
    assert (is_in_hand, redis.call("HGET", row, "state")) == (False, b"Success")


def leave_row(redis: Redis, state: str, epoch: str = "", boot: str = "b") -> str:
    """Put one unfinished row into the ledger; answer its key."""
    row = keys.execution(ID, EXECUTION)
    redis.call("HSET", row, "state", state, "epoch", epoch, "boot_id", boot, "invoke_id", "t-aaa", "claimed_ms", 50)
    redis.call("ZADD", keys.open_executions(ID), 1, EXECUTION)
    return row


def hints(redis: Redis) -> list[str]:
    waiting = redis.call("LRANGE", keys.queue(ID), 0, -1)
    return [json.loads(one)["headers"]["id"] for one in waiting]


@pytest.mark.parametrize(
    ("state", "epoch", "boot", "is_in_journal", "end"),
    [
        ("Running", "an earlier one", "b", False, ("Error", "ExecutionInterrupted", "never ran")),
        ("Running", "an earlier one", "b", True, ("Error", "ExecutionInterrupted", "the agent was killed about when")),
        ("Running", "an earlier one", "a", True, ("Error", "ExecutionInterrupted", "the machine was restarted about")),
        ("Stopping", "an earlier one", "b", True, ("Error", "ExecutionInterrupted", "the agent was killed about when")),
        ("Stopping", "an earlier one", "b", False, ("Terminated", "", "")),
        ("Stopping", "this", "b", False, ("Terminated", "", "")),
    ],
)
def test_what_was_claimed_and_runs_no_more_is_given_the_end_that_is_true(
    redis: Redis, reconciler: Reconciler, state: str, epoch: str, boot: str, is_in_journal: bool, end: tuple[str, ...]
) -> None:
    row = leave_row(redis, state, epoch, boot)
    if is_in_journal:
        reconciler.journal.record_start(EXECUTION, time.time_ns() // 1_000_000 + 60_000)

    assert not reconciler.look()

    eventually(lambda: redis.call("HGET", row, "state") not in (b"Running", b"Stopping"))
    names = ("state", "error_code", "error_info")
    found, code, info = ((one or b"").decode() for one in redis.call("HMGET", row, *names))
    assert (found, code) == end[:2]
    assert end[2] in info
    assert hints(redis) == []


@pytest.mark.parametrize(("state", "epoch"), [("Pending", ""), ("Running", "this")])
def test_a_row_that_can_still_begin_gets_a_new_message_when_none_is_on_its_way(
    redis: Redis, reconciler: Reconciler, monkeypatch: pytest.MonkeyPatch, state: str, epoch: str
) -> None:
    row = leave_row(redis, state, epoch)
    now_seconds = 100.0
    monkeypatch.setattr(reconciler_module, "monotonic_seconds", lambda: now_seconds)

    assert reconciler.look(), "it may just be on its way"
    assert hints(redis) == []
    now_seconds += MISSED_AFTER_SECONDS
    redis.call("LPUSH", keys.queue(ID), "a message")
    assert reconciler.look(), "the queue is not empty, so it may be in there"
    assert redis.call("LLEN", keys.queue(ID)) == 1
    redis.call("DEL", keys.queue(ID))
    assert not reconciler.look()
    assert hints(redis) == [EXECUTION]
    assert redis.call("HGET", row, "state") == state.encode()
    assert EXECUTION not in reconciler.in_hand

    redis.call("DEL", keys.queue(ID))
    assert reconciler.look(), "the patience for the new message begins anew"
    assert hints(redis) == []
    assert not reconciler.look(at_start=True)
    assert hints(redis) == [EXECUTION]


@pytest.mark.parametrize(("state", "epoch"), [("Pending", ""), ("Running", "this"), ("Success", "an earlier one")])
def test_a_row_whose_message_waits_here_and_one_that_has_ended_miss_nothing(
    redis: Redis, reconciler: Reconciler, state: str, epoch: str
) -> None:
    row = leave_row(redis, state, epoch)
    reconciler.has_message = lambda one: one == EXECUTION
    assert not reconciler.look(at_start=True)
    assert hints(redis) == []
    assert redis.call("HGET", row, "state") == state.encode()
    assert EXECUTION not in reconciler.in_hand


def test_only_a_stop_reaches_what_is_in_hand(redis: Redis, reconciler: Reconciler) -> None:
    reconciler.in_hand.enter(EXECUTION)
    for state in ("Pending", "Running"):
        row = leave_row(redis, state, "an earlier one")
        assert not reconciler.look(at_start=True)
        assert hints(redis) == []
    assert not reconciler.in_hand.stop_wanted(EXECUTION)
    redis.call("HSET", row, "state", "Stopping")
    reconciler.look_at(EXECUTION)
    assert reconciler.in_hand.stop_wanted(EXECUTION)
    assert reconciler.slots.waiting_count == 0
    assert redis.call("HGET", row, "state") == b"Stopping"


@pytest.mark.parametrize("state", ["Running", "Stopping"])
def test_what_ran_here_is_not_run_again_where_redis_went_back_in_time(
    redis: Redis, reconciler: Reconciler, state: str
) -> None:
    row = leave_row(redis, state, "this")
    reconciler.settle_known(EXECUTION)
    found = redis.call("HMGET", row, "state", "error_info")
    assert found[0] == b"Error"
    assert b"Redis has lost that" in found[1]


def test_a_result_that_redis_lost_just_after_it_took_it_is_delivered_again(
    redis: Redis, reconciler: Reconciler
) -> None:
    row = leave_row(redis, "Running", "this")
    outcome = Outcome(state=ExecutionState.SUCCESS, started_ms=1, finished_ms=2, exit_code=0)
    reconciler.reporter.deliver(EXECUTION, outcome)
    assert redis.call("HGET", row, "state") == b"Success"
    redis.call("DEL", row)
    leave_row(redis, "Running", "this")
    reconciler.settle_known(EXECUTION)
    assert redis.call("HMGET", row, "state", "exit_code", "finished_ms") == [b"Success", b"0", b"2"]


def test_a_folder_in_which_nothing_has_begun_says_at_the_start_that_it_never_ran(
    redis: Redis, reconciler: Reconciler
) -> None:
    name = f"t-{'a' * 8}.0@{ID}"
    row = keys.execution(ID, name)
    redis.call("HSET", row, "state", "Running", "epoch", "an earlier one", "invoke_id", name[:10])
    folder = reconciler.spool.folder(name)
    folder.mkdir()
    reconciler.settle_folders()
    eventually(lambda: redis.call("HGET", row, "state") == b"Error")
    assert b"never ran" in redis.call("HGET", row, "error_info")
    eventually(lambda: name not in reconciler.in_hand)
    eventually(lambda: not folder.exists())


def left_by(reconciler: Reconciler, execution_id: str, supervisor_pid: int, ticks: int, *, age_seconds: float) -> Path:
    """A folder as a supervisor leaves it that is killed before it clears it away, or that is about to."""
    folder = reconciler.spool.folder(execution_id)
    folder.mkdir()
    start = {
        "execution_id": execution_id,
        "boot_id": boot_id(),
        "supervisor_pid": supervisor_pid,
        "supervisor_start_ticks": ticks,
        "cgroup": "",
        "started_ms": 1,
    }
    (folder / "started.json").write_text(json.dumps(start))
    (folder / "script.sh").write_text("echo")
    at_seconds = time.time() - age_seconds
    os.utime(folder, (at_seconds, at_seconds))
    return folder


def test_what_a_killed_supervisor_did_not_clear_away_goes_and_the_result_stays(
    redis: Redis, reconciler: Reconciler
) -> None:
    old = FORGOTTEN_AFTER_SECONDS + 1
    names = [f"t-{letter * 8}.0@{ID}" for letter in "abcd"]
    for name in names:
        redis.call("HSET", keys.execution(ID, name), "state", "Success", "exit_code", "0", "invoke_id", name[:10])
    forgotten = left_by(reconciler, names[0], 2**22 + 1, 5, age_seconds=old)
    young = left_by(reconciler, names[1], 2**22 + 1, 5, age_seconds=0)
    at_work = left_by(reconciler, names[2], os.getpid(), start_ticks_of(os.getpid()), age_seconds=old)
    in_hand = left_by(reconciler, names[3], 2**22 + 1, 5, age_seconds=old)
    reconciler.in_hand.enter(names[3])
    spare = reconciler.spool.root.with_name("spool-spare") / f"{2**22 + 1}-5"
    spare.mkdir()

    reconciler.settle_forgotten()

    eventually(lambda: not forgotten.exists(), what="it is cleared away")
    assert redis.call("HGET", keys.execution(ID, names[0]), "state") == b"Success"
    assert [folder.exists() for folder in (young, at_work, in_hand, spare)] == [True, True, True, False]
    eventually(lambda: names[0] not in reconciler.in_hand)
    assert names[2] not in reconciler.in_hand


def test_a_folder_that_the_disk_does_not_give_holds_up_no_other(redis: Redis, reconciler: Reconciler) -> None:
    """Before anything else, so that one such folder kept its agent from starting; a folder stands for a bad block."""
    names = [f"t-{letter * 8}.0@{ID}" for letter in "abcd"]
    for name in names:
        redis.call("HSET", keys.execution(ID, name), "state", "Running", "epoch", "before", "invoke_id", name[:10])
        redis.call("ZADD", keys.open_executions(ID), 1, name)
    for name, file in zip(names, ("exit.json", "started.json", "outcome.json", ""), strict=True):
        folder = left_by(reconciler, name, 2**22 + 1, 5, age_seconds=FORGOTTEN_AFTER_SECONDS + 1)
        if file:
            (folder / file).unlink(missing_ok=True)
            (folder / file).mkdir()

    reconciler.reporter.start()
    reconciler.settle_folders()
    reconciler.look()
    reconciler.settle_forgotten()

    eventually(lambda: redis.call("HGET", keys.execution(ID, names[3]), "state") == b"Error")
    eventually(lambda: len(reconciler.in_hand) == 0)
    states = [redis.call("HGET", keys.execution(ID, name), "state") for name in names[:3]]
    assert states == [b"Running", b"Running", b"Running"]
