"""What the start of a machine leaves in the ledger, and what the control side notes of it."""

from dataclasses import dataclass, field

import msgspec
import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.boot_firings import (
    NOTES_KEPT_BYTES,
    BootExecution,
    fire_boot,
    note_boot_command,
)
from cloud_assistant.broker_config.functions.function_library import fcall, run
from cloud_assistant.broker_config.ids import execution_id, new_id, split_execution_id
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Argument
from cloud_assistant.broker_config.timed.boot_bound import BootEntry
from cloud_assistant.broker_config.timed.firing_rows import load_firings
from cloud_assistant.broker_config.timed.timed_invocation import server_ms
from harness.eventually import eventually

from .conftest import Ledger

MARGIN_MS = 7_000
DONE = "ca:done:test"


@dataclass
class Bound:
    """An invocation that is bound to the starts of i-1 and i-2."""

    redis: Redis
    once: bool = False
    invoke_id: str = field(default_factory=lambda: new_id("t"))

    def bind(self) -> None:
        entry = BootEntry(
            envelope="{}",
            mac="mac",
            key_id="k1",
            done=DONE,
            command_id="c-1",
            timeout_seconds=10,
            created_ms=server_ms(self.redis),
            once=self.once,
        )
        for one in ("i-1", "i-2"):
            self.redis.call("HSET", keys.boot_bound(one), self.invoke_id, msgspec.json.encode(entry))
        self.redis.call("HSET", keys.timed(self.invoke_id), "status", "active")
        self.redis.call("ZADD", keys.TIMED_BOOT, 1, self.invoke_id)

    def start(self, boot_id: str, instance_id: str = "i-1", uptime_ms: int = 0) -> list[BootExecution]:
        before_ms = server_ms(self.redis)
        made = fire_boot(
            self.redis, instance_id, boot_id=boot_id, uptime_ms=uptime_ms, epoch="e", report_margin_ms=MARGIN_MS
        )
        # An execution is named after the millisecond in which its machine started.
        eventually(lambda: server_ms(self.redis) > before_ms + 1)
        return made

    def note(self, made: BootExecution, once_for_count: int = 0) -> bool:
        invoke_id, firing_ms, instance_id = split_execution_id(made.execution_id) or ("", 0, "")
        command = note_boot_command(invoke_id, instance_id, made.execution_id, firing_ms, once_for_count=once_for_count)
        return bool(run(self.redis, command))

    def notes(self, instance_id: str = "i-1") -> bytes:
        return self.redis.call("HGET", keys.boot_bound(instance_id), f"{self.invoke_id}:fired") or b""

    def timed(self, *names: str) -> list[bytes | None]:
        found: list[bytes | None] = self.redis.call("HMGET", keys.timed(self.invoke_id), *names)
        return found


@pytest.fixture
def bound(ledger: Ledger) -> Bound:
    made = Bound(ledger.redis)
    made.bind()
    return made


@pytest.fixture
def bound_once(ledger: Ledger) -> Bound:
    made = Bound(ledger.redis, once=True)
    made.bind()
    return made


def firing_of(made: BootExecution) -> int:
    return (split_execution_id(made.execution_id) or ("", 0, ""))[1]


def test_an_execution_of_a_boot_is_there_as_one_that_was_claimed(bound: Bound) -> None:
    listening = bound.redis.subscribe(DONE)
    before_ms = server_ms(bound.redis)
    [made] = bound.start("boot-1")
    heard = listening.next(5)
    listening.close()
    assert heard is not None
    assert heard[1] == f"state {made.execution_id} Running".encode()
    claimed = made.claimed
    assert (claimed.envelope, claimed.mac, claimed.key_id, claimed.payload) == (b"{}", b"mac", "k1", b"")
    assert before_ms <= claimed.claimed_ms <= server_ms(bound.redis)
    deadline_ms = claimed.claimed_ms + 10_000 + MARGIN_MS
    row = bound.redis.call("HGETALL", keys.execution("i-1", made.execution_id))
    fields = dict(zip(row[::2], row[1::2], strict=True))
    moment = b"%d" % claimed.claimed_ms
    assert fields == {
        b"state": b"Running",
        b"invoke_id": bound.invoke_id.encode(),
        b"command_id": b"c-1",
        b"firing_ms": b"%d" % firing_of(made),
        b"attempt": b"1",
        b"created_ms": moment,
        b"claimed_ms": moment,
        b"started_ms": moment,
        b"deadline_ms": b"%d" % deadline_ms,
        b"timeout_seconds": b"10",
        b"envelope": b"{}",
        b"mac": b"mac",
        b"key_id": b"k1",
        b"done": DONE.encode(),
        b"epoch": b"e",
        b"boot_id": b"boot-1",
        b"repeats": b"1",
    }
    assert float(bound.redis.call("ZSCORE", keys.open_executions("i-1"), made.execution_id)) == deadline_ms
    assert float(bound.redis.call("ZSCORE", keys.instance_history("i-1"), made.execution_id)) == claimed.claimed_ms


def test_each_boot_is_counted_and_noted_until_the_scheduler_has_seen_it(bound: Bound) -> None:
    made = [one for boot in ("boot-1", "boot-1", "boot-2", "boot-3") for one in bound.start(boot)]
    assert len(made) == 3
    counts = [bound.redis.call("HGET", keys.execution("i-1", one.execution_id), "repeats") for one in made]
    assert counts == [b"1", b"2", b"3"]
    assert bound.notes() == b"".join(f"{one.execution_id},".encode() for one in made)
    # In another order than they came.
    assert [bound.note(one) for one in (made[1], made[1], made[0], made[2])] == [True, False, True, True]
    assert bound.notes() == b""
    assert bound.redis.call("HEXISTS", keys.boot_bound("i-1"), f"{bound.invoke_id}:fired") == 0


def test_of_many_notes_that_nobody_takes_the_latest_are_kept(bound: Bound) -> None:
    left = "x" * (NOTES_KEPT_BYTES - 1) + ","
    bound.redis.call("HSET", keys.boot_bound("i-1"), f"{bound.invoke_id}:fired", left)
    [made] = bound.start("boot-1")
    assert len(bound.notes()) == NOTES_KEPT_BYTES
    assert bound.notes().endswith(f"x,{made.execution_id},".encode())
    # What an agent has written before the last of them is not looked at.
    bound.redis.call(
        "HSET", keys.boot_bound("i-1"), f"{bound.invoke_id}:fired", f"{made.execution_id}," + "x" * NOTES_KEPT_BYTES
    )
    assert not bound.note(made)


def test_what_runs_at_the_next_boot_only_is_taken_from_its_instance(bound_once: Bound) -> None:
    assert len(bound_once.start("boot-1")) == 1
    assert bound_once.start("boot-2") == []
    assert len(bound_once.start("boot-1", "i-2")) == 1


def test_a_machine_that_started_before_the_invocation_was_made_owes_it_nothing(bound: Bound) -> None:
    assert bound.start("boot-1", uptime_ms=600_000) == []
    assert bound.notes() == b""
    assert len(bound.start("boot-1", uptime_ms=0)) == 1
    # Now another boot is told apart from this one by its id, whatever a clock says.
    assert len(bound.start("boot-2", uptime_ms=600_000)) == 1


def fire_directly(bound: Bound, execution: str, boot_id: str) -> list[int | bytes]:
    """As an agent that has read what it owes a moment ago."""
    touched = [
        keys.boot_bound("i-1"),
        keys.execution("i-1", execution),
        keys.open_executions("i-1"),
        keys.instance_history("i-1"),
    ]
    firing_ms = (split_execution_id(execution) or ("", 0, ""))[1]
    arguments: list[Argument] = [bound.invoke_id, execution, firing_ms, boot_id, 0, "e", MARGIN_MS]
    reply: list[int | bytes] = run(bound.redis, fcall("ca_fire_boot", touched, arguments))
    return reply


def test_what_was_taken_away_since_the_agent_read_it_does_not_run(bound: Bound) -> None:
    bound.redis.call("HDEL", keys.boot_bound("i-1"), bound.invoke_id)
    execution = execution_id(bound.invoke_id, 5, "i-1")
    assert fire_directly(bound, execution, "boot-1") == [0, b"gone"]
    assert bound.redis.call("EXISTS", keys.execution("i-1", execution)) == 0


def test_an_entry_that_is_longer_than_any_of_ours_is_not_read(bound: Bound) -> None:
    """Decoding it would hold up whoever else asks Redis."""
    [entry] = bound.redis.call("HMGET", keys.boot_bound("i-1"), bound.invoke_id)
    execution = execution_id(bound.invoke_id, 5, "i-1")
    bound.redis.call("HSET", keys.boot_bound("i-1"), bound.invoke_id, entry + b" " * 2_097_152)
    assert fire_directly(bound, execution, "boot-1") == [0, b"damaged"]
    bound.redis.call("HSET", keys.boot_bound("i-1"), bound.invoke_id, entry + b" " * 1_000_000)
    assert fire_directly(bound, execution, "boot-1")[0] == 1


def test_an_execution_that_is_there_already_is_not_written_over(bound: Bound) -> None:
    execution = execution_id(bound.invoke_id, 5, "i-1")
    bound.redis.call("HSET", keys.execution("i-1", execution), "state", "Success")
    assert fire_directly(bound, execution, "boot-1") == [0, b"done"]
    assert bound.redis.call("HGETALL", keys.execution("i-1", execution)) == [b"state", b"Success"]
    assert bound.notes() == b""


def test_a_firing_has_all_instances_that_started_in_its_millisecond(bound: Bound) -> None:
    [made] = bound.start("boot-1")
    due_ms = firing_of(made)
    twin = made.execution_id.replace("@i-1", "@i-2")
    bound.redis.call("HSET", keys.boot_bound("i-2"), f"{bound.invoke_id}:fired", f"{twin},")
    assert bound.note(made)
    assert bound.note(BootExecution(twin, made.claimed))
    [firing] = load_firings(bound.redis, bound.invoke_id, [due_ms])
    assert (firing.status, firing.info, firing.count) == ("fired", "the machine started", 1)
    assert (firing.due_ms, firing.until_ms, firing.decided_ms) == (due_ms, due_ms, due_ms)
    assert (firing.instances, firing.target_count, firing.created_count) == (("i-1", "i-2"), 2, 2)
    assert float(bound.redis.call("ZSCORE", keys.firings(bound.invoke_id), due_ms)) == due_ms
    assert bound.timed("fired_count", "last_due_ms") == [b"1", b"%d" % due_ms]
    latest = bound.redis.call("HMGET", keys.timed_latest(bound.invoke_id), "i-1", "i-2")
    assert latest == [b"%d" % due_ms] * 2
    deadline = bound.redis.call("HGET", keys.execution("i-1", made.execution_id), "deadline_ms")
    assert float(bound.redis.call("ZSCORE", keys.DEADLINES, made.execution_id)) == float(deadline)
    assert bound.redis.call("ZSCORE", keys.DEADLINES, twin) is None, "it has no row"


def test_a_note_that_comes_late_does_not_take_the_last_due_time_back(bound: Bound) -> None:
    first, second = (one for boot in ("boot-1", "boot-2") for one in bound.start(boot))
    for one in (second, first):
        assert bound.note(one)
        assert bound.timed("last_due_ms") == [b"%d" % firing_of(second)]
    assert bound.timed("fired_count") == [b"2"]


def test_the_last_target_to_run_once_ends_it(bound_once: Bound) -> None:
    made = [one for instance_id in ("i-1", "i-2") for one in bound_once.start("boot-1", instance_id)]
    assert bound_once.note(made[0], once_for_count=2)
    assert bound_once.timed("status", "end_reason") == [b"active", None]
    before_ms = server_ms(bound_once.redis)
    assert bound_once.note(made[1], once_for_count=2)
    status, reason, ended = bound_once.timed("status", "end_reason", "ended_ms")
    assert (status, reason) == (b"ended", b"each target has run once")
    assert before_ms <= int(ended or 0) <= server_ms(bound_once.redis)
    assert bound_once.redis.call("ZCARD", keys.TIMED_BOOT) == 0
    assert float(bound_once.redis.call("ZSCORE", keys.INVOCATIONS_OPEN, bound_once.invoke_id)) == int(ended or 0)


@pytest.mark.parametrize("status", ["stopped", "ended"])
def test_what_had_an_end_keeps_it(bound_once: Bound, status: str) -> None:
    bound_once.redis.call("HSET", keys.timed(bound_once.invoke_id), "status", status)
    [made] = bound_once.start("boot-1")
    assert bound_once.note(made, once_for_count=1)
    assert bound_once.timed("status", "end_reason") == [status.encode(), None]
    assert bound_once.redis.call("ZCARD", keys.INVOCATIONS_OPEN) == 0


def test_what_runs_at_every_boot_goes_on(bound: Bound) -> None:
    made = [one for instance_id in ("i-1", "i-2") for one in bound.start("boot-1", instance_id)]
    assert all(bound.note(one) for one in made)
    assert bound.timed("status") == [b"active"]


def test_a_note_of_an_invocation_that_is_gone_is_done_with(bound: Bound) -> None:
    [made] = bound.start("boot-1")
    bound.redis.call("DEL", keys.timed(bound.invoke_id))
    assert not bound.note(made)
    assert bound.notes() == b""
    assert bound.redis.call("EXISTS", keys.timed(bound.invoke_id), keys.firings(bound.invoke_id)) == 0
