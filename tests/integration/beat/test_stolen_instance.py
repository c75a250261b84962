"""Promise 6 in the scheduler: what a stolen instance writes into its own branch holds up no other instance."""

import pytest
from integration.beat.conftest import Timing
from integration.beat.test_sweeper import MASTER, cut_off, make_overdue, run_once

from cloud_assistant.beat.boot_notes import note_boots
from cloud_assistant.beat.releasing import Releases
from cloud_assistant.beat.retention import Retention
from cloud_assistant.beat.rollout_steps import Report
from cloud_assistant.beat.sweeper import Sweeper
from cloud_assistant.beat.unfinished import Unfinished
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.boot_firings import NOTES_KEPT_BYTES
from cloud_assistant.broker_config.functions.function_library import load_library
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.ledger import load_invocation
from cloud_assistant.broker_config.records import RepeatMode
from cloud_assistant.broker_config.security.signing import MasterKeys
from cloud_assistant.broker_config.settings_table import LimitSettings
from cloud_assistant.broker_config.timed.firing_rows import Firing
from cloud_assistant.producer.metrics import Metrics
from harness.eventually import eventually

#: More than the server lets one client have: whoever reads it for all is dropped. An eighth of what ours in `deploy`
#: lets it have: each server here writes to its disk what it is given.
MUCH = b"x" * (4 * 1024 * 1024)
CLIENT_LIMIT = "normal 3mb 3mb 0"
#: What an agent with its own rights can make of its rows: commands on the row of the execution.
GARBAGE: dict[str, list[tuple[str | bytes, ...]]] = {
    "an envelope that is none": [("HSET", "envelope", "{")],
    "text that is no text": [("HSET", "waits_for", b"\xff")],
    "a deadline that is no number": [("HSET", "deadline_ms", "soon")],
    "a state of two lines": [("HSET", "state", "Success\nSuccess")],
    "more than anybody may read": [
        ("HSET", "state", MUCH, "waits_for", MUCH, "envelope", MUCH, "claimed_ms", MUCH, "error_code", MUCH),
    ],
    "a state that is as long": [("HSET", "state", MUCH)],
    "a deadline that is as long": [("HSET", "deadline_ms", b"9" * len(MUCH), "state", "Success")],
    "no row but a list": [("DEL",), ("LPUSH", "x")],
}


def spoil(timing: Timing, instance_id: str, execution: str, garbage: str) -> None:
    row = keys.execution(instance_id, execution)
    timing.redis.call("CONFIG", "SET", "client-output-buffer-limit", CLIENT_LIMIT)
    timing.redis.pipeline_or_raise([(command[0], row, *command[1:]) for command in GARBAGE[garbage]])


@pytest.mark.parametrize("garbage", GARBAGE)
def test_it_does_not_keep_others_from_being_let_go(timing: Timing, garbage: str) -> None:
    load_library(timing.redis)
    now_ms = timing.server_ms()
    executions = {one: execution_id("t-0123456789", 1, one) for one in ("i-1", "i-2")}
    for instance_id, execution in executions.items():
        row = (
            "state",
            "Scheduled",
            "deadline_ms",
            now_ms + 60_000,
            "not_before_ms",
            1,
            "envelope",
            "",
            "waits_for",
            "",
        )
        timing.redis.call("HSET", keys.execution(instance_id, execution), *row)
        timing.redis.call("ZADD", keys.TIMED_WAITING, 1, execution)
    spoil(timing, "i-1", executions["i-1"], garbage)
    releases = Releases(timing.redis, token="beat", queue_count=10, confirm_ms=1000)
    releases.next_ms = 1
    releases.work(now_ms)
    assert timing.redis.call("HGET", keys.execution("i-2", executions["i-2"]), "state") == b"Pending"
    due = timing.redis.call("ZRANGE", keys.TIMED_WAITING, 0, now_ms, "BYSCORE")
    assert due == [], "nothing is looked at again at once"


@pytest.mark.parametrize("last_waits_for", ["end", "middle"])
def test_rows_that_wait_for_one_another_do_not_keep_a_beat_busy(timing: Timing, last_waits_for: str) -> None:
    """What ended and was never claimed is passed over for what it waited for: here that never comes to an end."""
    timing.start_beat()
    invoke_id = timing.invoke("i-1", frequency="*/30 * * * * *", overlap="queue", deliver_within_seconds=60)
    other = timing.invoke("i-2")
    names = {word: execution_id(invoke_id, at, "i-1") for at, word in enumerate(("middle", "end"), 1)}
    waiting = execution_id(invoke_id, 3, "i-1")
    rows: dict[str, tuple[str | int, ...]] = {
        waiting: ("state", "Scheduled", "deadline_ms", timing.server_ms() + 3_600_000, "waits_for", names["middle"]),
        names["middle"]: ("state", "Cancelled", "waits_for", names["end"]),
        names["end"]: ("state", "Cancelled", "waits_for", names[last_waits_for]),
    }
    timing.redis.pipeline_or_raise(
        [
            *(("HSET", keys.execution("i-1", row), *fields) for row, fields in rows.items()),
            ("ZADD", keys.TIMED_WAITING, timing.server_ms(), waiting),
            ("CONFIG", "RESETSTAT"),
        ]
    )
    begun_ms = timing.server_ms()
    timing.wait_for_firings(other, 3)
    seconds = (timing.server_ms() - begun_ms) / 1000
    fcalls = _calls(timing, "fcall")
    assert timing.redis.call("HGET", keys.execution("i-1", waiting), "state") == b"Scheduled"
    assert fcalls <= 20 * (seconds + 1), f"{fcalls} function calls in {seconds:.1f} s"


def _calls(timing: Timing, command: str) -> int:
    """How often Redis was told to do a command since its counters were set to 0."""
    lines = timing.redis.call("INFO", "commandstats").decode().split()
    found = next((line for line in lines if line.startswith(f"cmdstat_{command}:")), "calls=0,")
    return int(found.partition("calls=")[2].partition(",")[0])


@pytest.mark.parametrize("garbage", GARBAGE)
def test_it_does_not_keep_others_from_being_settled(timing: Timing, garbage: str) -> None:
    invoke_id = run_once(timing, 1, "i-1", "i-2")
    for instance_id in ("i-1", "i-2"):
        make_overdue(timing, invoke_id, instance_id)
    spoil(timing, "i-1", f"{invoke_id}.0@i-1", garbage)
    Sweeper(timing.redis).work()
    row = timing.row(invoke_id, 0, "i-2")
    assert row is not None
    assert row.state == "Aborted"
    assert timing.redis.call("ZCOUNT", keys.DEADLINES, "-inf", timing.server_ms()) == 0


@pytest.mark.parametrize("garbage", ["a state of two lines", "a state that is as long", "no row but a list"])
def test_it_does_not_keep_invocations_from_being_rolled_up(timing: Timing, garbage: str) -> None:
    spoilt, other = run_once(timing, 60, "i-1", "i-2"), run_once(timing, 60, "i-2")
    spoil(timing, "i-1", f"{spoilt}.0@i-1", garbage)
    for invoke_id in (spoilt, other):
        timing.claim(invoke_id, 0, "i-2")
        timing.finish(invoke_id, 0, "i-2")
    Unfinished(timing.redis, None, 10).work()
    assert load_invocation(timing.redis, other).settled == {"Success": 1}
    assert load_invocation(timing.redis, spoilt).settled == {"Success": 1, "Error": 1}


@pytest.mark.parametrize("envelope", [b"{", b'{"invoke_id":"\xff"}', b'{"x":' + b"[" * 5_000])
def test_it_does_not_keep_others_from_being_completed(timing: Timing, envelope: bytes) -> None:
    spoilt, other = cut_off(timing, age_ms=10_000), cut_off(timing, age_ms=10_000)
    timing.redis.call("HSET", keys.execution("i-1", f"{spoilt.invoke_id}.0@i-1"), "envelope", envelope)
    Unfinished(timing.redis, None, 100).work()
    assert timing.state(other.invoke_id, 0, "i-3") == "Pending"


@pytest.mark.parametrize("garbage", ["more than anybody may read", "no row but a list"])
@pytest.mark.parametrize("master", [None, MASTER])
def test_a_row_that_is_no_row_does_not_keep_others_from_being_completed(
    timing: Timing, master: MasterKeys | None, garbage: str
) -> None:
    spoilt, other = (cut_off(timing, age_ms=10_000, master=master) for _ in range(2))
    spoil(timing, "i-1", f"{spoilt.invoke_id}.0@i-1", garbage)
    Unfinished(timing.redis, master, 100).work()
    assert timing.state(other.invoke_id, 0, "i-3") == "Pending"


def test_it_does_not_keep_the_old_from_being_removed_nor_take_the_deadline_of_another(timing: Timing) -> None:
    other = f"{run_once(timing, 60, 'i-1', 'i-2')}.0@i-2"
    for one in (b"\xff", b"junk", other.encode()):
        timing.redis.call("ZADD", keys.instance_history("i-1"), 1, one)
    Retention(timing.redis, LimitSettings()).work()
    assert timing.redis.call("ZCOUNT", keys.instance_history("i-1"), "-inf", 1) == 0
    assert timing.redis.call("ZSCORE", keys.DEADLINES, other) is not None


@pytest.mark.parametrize("field", ["deadline_ms", "open"])
def test_it_does_not_take_a_due_time_from_the_others(timing: Timing, field: str) -> None:
    invoke_id = timing.invoke("i-1", "i-2", overlap="skip")
    timing.start_beat()
    timing.wait_for_firings(invoke_id, 1)

    if field == "open":
        timing.redis.pipeline_or_raise(
            [("DEL", keys.open_executions("i-1")), ("LPUSH", keys.open_executions("i-1"), 1)]
        )

    def refused_for_it_alone() -> Firing | None:
        firings = timing.firings(invoke_id)
        if field != "open":
            # It stays the latest one, and unfinished; a beat may have prepared another before.
            execution = execution_id(invoke_id, firings[-1].due_ms, "i-1")
            timing.redis.call("HSET", keys.execution("i-1", execution), "deadline_ms", "soon", "state", "Pending")
        return next((one for one in firings if (one.status, one.refused_count) == ("fired", 1)), None)

    fired = eventually(refused_for_it_alone, 20, "a due time is refused for the one and fired for the other")
    assert timing.state(invoke_id, fired, "i-2")


def test_notes_of_boots_count_only_for_the_instance_and_the_past(timing: Timing) -> None:
    load_library(timing.redis)
    invoke_id = timing.invoke("i-1", "i-2", frequency="", repeat_mode=RepeatMode.EVERY_REBOOT)
    now_ms = timing.server_ms()
    words = [
        b"\xff",
        execution_id(invoke_id, 1, "i-2").encode(),
        execution_id("t-0123456789", 1, "i-1").encode(),
        execution_id(invoke_id, 999_999_999_999_999, "i-1").encode(),
    ]
    timing.redis.call("HSET", keys.boot_bound("i-1"), f"{invoke_id}:fired", b",".join([*words, b""]))
    good = execution_id(invoke_id, now_ms, "i-2")
    timing.redis.call("HSET", keys.boot_bound("i-2"), f"{invoke_id}:fired", f"{good},")
    note_boots(timing.redis, timing.timed(invoke_id), ["i-1", "i-2"], 2)
    assert [one.due_ms for one in timing.firings(invoke_id)] == [now_ms]


def test_notes_without_end_cost_no_more_than_those_that_are_kept(timing: Timing) -> None:
    load_library(timing.redis)
    invoke_id = timing.invoke("i-1", frequency="", repeat_mode=RepeatMode.EVERY_REBOOT)
    notes = "".join(f"{execution_id(invoke_id, at, 'i-1')}," for at in range(20_000))
    timing.redis.call("HSET", keys.boot_bound("i-1"), f"{invoke_id}:fired", notes)
    note_boots(timing.redis, timing.timed(invoke_id), ["i-1"], 1)
    assert 0 < timing.timed(invoke_id).fired_count < 200
    assert timing.timed(invoke_id).last_due_ms == 19_999
    assert timing.redis.call("HSTRLEN", keys.boot_bound("i-1"), f"{invoke_id}:fired") < NOTES_KEPT_BYTES


@pytest.mark.parametrize("spoilt", ["list", "long"])
def test_an_agent_that_is_no_hash_of_notes_holds_up_no_other(timing: Timing, spoilt: str) -> None:
    load_library(timing.redis)
    invoke_id = timing.invoke("i-1", "i-2", frequency="", repeat_mode=RepeatMode.EVERY_REBOOT)
    now_ms = timing.server_ms()
    if spoilt == "list":
        timing.redis.pipeline_or_raise([("DEL", keys.boot_bound("i-1")), ("LPUSH", keys.boot_bound("i-1"), "x")])
    else:
        timing.redis.call("CONFIG", "SET", "client-output-buffer-limit", CLIENT_LIMIT)
        timing.redis.call("HSET", keys.boot_bound("i-1"), f"{invoke_id}:fired", MUCH)
    timing.redis.call(
        "HSET", keys.boot_bound("i-2"), f"{invoke_id}:fired", execution_id(invoke_id, now_ms, "i-2") + ","
    )
    note_boots(timing.redis, timing.timed(invoke_id), ["i-1", "i-2"], 2)
    assert timing.timed(invoke_id).fired_count == 1


@pytest.mark.parametrize("serial", [b"soon", b"\xff", b"9" * 400])
def test_a_report_of_an_upgrade_with_a_serial_that_is_no_number_is_read(serial: bytes) -> None:
    report = Report.of([b"1.0", b"Linux", b"x86_64", serial, b"", b""])
    assert report is not None
    assert report.serial == 0


@pytest.mark.parametrize("garbage", [*GARBAGE, "a state that is no text", "a moment that is no number"])
def test_it_does_not_keep_the_metrics_from_counting_the_others(timing: Timing, garbage: str) -> None:
    more: dict[str, tuple[str, str | bytes]] = {
        "a state that is no text": ("state", b"\xff"),
        "a moment that is no number": ("created_ms", "soon"),
    }
    invoke_id = run_once(timing, 60, "i-1", "i-2")
    execution = f"{invoke_id}.0@i-1"
    if garbage in more:
        timing.redis.call("HSET", keys.execution("i-1", execution), *more[garbage])
    else:
        spoil(timing, "i-1", execution, garbage)
    lines = Metrics(timing.redis).rendered()[0].decode().splitlines()
    assert "cloud_assistant_redis_up 1.0" in lines
    pending = next(line for line in lines if line.startswith('cloud_assistant_executions_open{state="Pending"}'))
    assert float(pending.split()[1]) >= 1
