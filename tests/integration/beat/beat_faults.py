"""Faults for several beats on one store with agents behind it, and the check of what came of every due time."""

import random
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from integration.beat.conftest import Timing

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import RedisUnreachable
from cloud_assistant.broker_config.states import is_final
from cloud_assistant.broker_config.timed.due_stretch import first_due
from cloud_assistant.broker_config.timed.firing_rows import Firing
from cloud_assistant.broker_config.timed.timed_invocation import calendar_of
from harness.eventually import always, eventually
from harness.processes import Program
from harness.redis_server import RedisServer

BEATS = ("beat-a", "beat-b", "beat-c")
INSTANCES = ("i-1", "i-2", "i-3")
#: Second-level schedules of several shapes, with the targets of each.
SCHEDULES = (
    ("* * * * * *", ("i-1",)),
    ("*/2 * * * * *", ("i-1", "i-2", "i-3")),
    ("1/3 * * * * *", ("i-2",)),
    # Unevenly, but never so far apart that a short run has none of them.
    ("0,7,8,9,17,24,31-40,48,55 * * * * *", ("i-3", "i-1")),
)
#: Agents that soon see what Redis lost or held up.
QUICK_AGENT = {
    "CLOUD_ASSISTANT_AGENT_HEARTBEAT_SECONDS": "1",
    "CLOUD_ASSISTANT_AGENT_RECONCILE_SECONDS": "1",
}


def check_each_due_time_once(timing: Timing, invoke_id: str) -> tuple[int, int]:
    """Compare the rows with the calendar, and the executions with the rows; answer how many fired and were left out."""
    timed = timing.timed(invoke_id)
    rows = timing.firings(invoke_id)
    covered: list[int] = []
    calendar = calendar_of(timed.schedule, timed.anchor_ms)
    for row in rows:
        covered += [due.utc_ms for due in first_due(calendar, row.due_ms - 1, row.until_ms, row.count + 1)]
    assert rows, "nothing was ever decided"
    expected = [due.utc_ms for due in first_due(calendar, timed.anchor_ms, rows[-1].until_ms, 100_000)]
    assert covered == expected, "the rows are not the due times"
    assert sum(row.count for row in rows) == len(expected)
    targets = [one.decode() for one in timing.redis.call("LRANGE", keys.invocation_targets(invoke_id), 0, -1)]
    for row in rows:
        there = {one for one in targets if timing.row(invoke_id, row, one)}
        wanted = set(targets) - set(row.overlap) if row.status == "fired" else set()
        if row.left_out_count:
            assert there <= wanted
        else:
            assert there == wanted, f"{row}: executions on {there}"
        assert row.status in ("fired", "skipped")
    fired_count = sum(row.status == "fired" for row in rows)
    assert timed.fired_count == fired_count
    assert timed.skipped_count == len(expected) - fired_count
    return fired_count, len(expected) - fired_count


def check_each_target_ran_once(timing: Timing, invoke_ids: list[str], trace: Path) -> int:
    """Compare what scripts have written with the executions; answer how many ran.

    What did not run has its reason: a due time that the server was away for is over when the next one comes.
    """
    ran = Counter(trace.read_text().split()) if trace.exists() else Counter()
    assert not [name for name, count in ran.items() if count > 1], "a script was started twice"
    states: Counter[str] = Counter()
    for invoke_id in invoke_ids:
        for firing in timing.firings(invoke_id):
            for name in INSTANCES:
                row = timing.row(invoke_id, firing, name)
                if row is not None:
                    states[row.state] += 1
                    assert is_final(row.state), f"{row.execution_id} is {row.state}"
                    has_run = ran.pop(row.execution_id, 0) == 1
                    assert has_run == (row.state == "Success"), f"{row.execution_id} is {row.state}, ran: {has_run}"
                    assert row.state == "Success" or row.outcome.error_code, f"{row.execution_id} has no reason"
    assert not ran, "a script ran for no execution"
    return states["Success"]


def unfinished(timing: Timing, invoke_ids: list[str]) -> list[str]:
    def states(invoke_id: str, firing: Firing) -> list[str]:
        return [timing.state(invoke_id, firing, name) for name in INSTANCES]

    found = [state for one in invoke_ids for firing in timing.firings(one) for state in states(one, firing)]
    return [state for state in found if state and not is_final(state)]


def pause(seconds: float) -> None:
    """Let things go on between faults; nothing is awaited here."""
    always(lambda: True, seconds)


def faults(rng: random.Random, beats: list[Program], server: RedisServer) -> list[tuple[str, Callable[[], None]]]:
    beat = rng.choice(beats)

    def kill_and_restart() -> None:
        beat.sigkill()
        beat.start(ready="beat starts")

    def freeze() -> None:
        if beat.is_running:
            beat.sigstop()

    def thaw_all() -> None:
        for one in beats:
            one.sigcont()

    def restart_server() -> None:
        server.kill()
        server.start()

    def hang_server() -> None:
        server.hang()
        pause(rng.uniform(0.2, 2.0))
        server.resume()

    return [
        ("kill a beat", kill_and_restart),
        ("freeze a beat", freeze),
        ("let beats go on", thaw_all),
        ("kill the server", restart_server),
        ("hang the server", hang_server),
    ]


def run_faults(timing: Timing, server: RedisServer, trace: Path, *, seconds: float, seed: int) -> dict[str, int]:
    """Break things for some time, let them settle, and check every due time; answers what was done and came of it."""
    rng = random.Random(seed)
    for name in INSTANCES:
        timing.system.start_agent(name, environment=QUICK_AGENT)
    beats = [timing.start_beat(name, CLOUD_ASSISTANT_BEAT_SWEEP_SECONDS="0.5") for name in BEATS]
    script = f"echo $CA_EXECUTION_ID >> {trace}"
    invoke_ids = [
        timing.invoke(*targets, frequency=frequency, overlap="allow", script=script) for frequency, targets in SCHEDULES
    ]
    end_ms = timing.server_ms() + int(seconds * 1000)
    done: Counter[str] = Counter()
    while not is_over(timing, end_ms):
        name, do = rng.choices(faults(rng, beats, server), weights=(4, 4, 4, 1, 1))[0]
        do()
        done[name] += 1
        pause(rng.uniform(0.05, 0.8))
    for beat in beats:
        beat.sigcont()
    stop_ms = timing.server_ms()
    for invoke_id in invoke_ids:
        eventually(partial(due_is_after, timing, invoke_id, stop_ms), 15, "beats have caught up")
        timing.assistant.timed.pause(invoke_id)
    eventually(lambda: not timing.redis.call("ZCARD", keys.TIMED_DISPATCHING), 10, "no dispatch is left")
    eventually(lambda: not unfinished(timing, invoke_ids), 40, "every execution is over", every_seconds=0.5)
    for beat in beats:
        beat.stop()
    outcome = [check_each_due_time_once(timing, one) for one in invoke_ids]
    done["fired"] = sum(one[0] for one in outcome)
    done["left out"] = sum(one[1] for one in outcome)
    done["ran"] = check_each_target_ran_once(timing, invoke_ids, trace)
    return dict(done)


def is_over(timing: Timing, end_ms: int) -> bool:
    try:
        return timing.server_ms() >= end_ms
    except RedisUnreachable:
        return False


def due_is_after(timing: Timing, invoke_id: str, moment_ms: int) -> bool:
    due = timing.timed(invoke_id).due
    return due is not None and due.utc_ms > moment_ms
