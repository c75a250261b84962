"""A timed invocation is paused, resumed, stopped and modified while beats run."""

import msgspec
import pytest
from integration.beat.conftest import EVERY_SECOND, Timing

from cloud_assistant.broker_config import keys, messages
from cloud_assistant.broker_config.errors import NotFound, Refused, RequestInvalid
from cloud_assistant.broker_config.functions.executions import Claimed
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.functions.timed import move_timed_command
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.timed.timed_invocation import Timed, target_digests
from cloud_assistant.producer import Targets
from cloud_assistant.producer.timed import modifying
from cloud_assistant.producer.timed.modifying import TimedModification
from cloud_assistant.producer.timed.undecided import leave_out_undecided
from harness.eventually import always, eventually


def test_a_due_time_in_a_pause_leaves_a_row_that_says_so(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke()
    timing.wait_for_firings(invoke_id, 1)
    timing.assistant.timed.pause(invoke_id)
    before = timing.firings(invoke_id)
    found = timing.wait_for_firings(invoke_id, len(before) + 2)
    paused = found[len(before) :]
    assert {(one.status, one.reason) for one in paused} == {("skipped", "paused")}
    assert all(timing.row(invoke_id, one) is None for one in paused)
    timing.assistant.timed.resume(invoke_id)
    eventually(lambda: timing.firings(invoke_id)[-1].status == "fired")
    seconds = [one.due_ms // 1000 for one in timing.firings(invoke_id)]
    assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))


def test_a_long_pause_ends_in_one_row_that_grows(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke()
    timing.assistant.timed.pause(invoke_id)
    # A due time before the pause may have been fired.
    eventually(lambda: [one for one in timing.firings(invoke_id) if one.reason == "paused"], what="a row of the pause")
    # As after a hundred of them.
    timing.redis.call("HSET", keys.timed(invoke_id), "run_count", 100)
    row_count = len(timing.firings(invoke_id))
    last = eventually(lambda: one if (one := timing.firings(invoke_id)[-1]).count >= 3 else None)
    assert len(timing.firings(invoke_id)) <= row_count + 1
    assert last.until_ms - last.due_ms == (last.count - 1) * 1000
    assert last.reason == "paused"


def test_what_is_stopped_is_never_fired_again_and_what_it_ran_is_asked_to_end(timing: Timing) -> None:
    timing.start_beat(CLOUD_ASSISTANT_BEAT_SWEEP_SECONDS="0.2")
    invoke_id = timing.invoke("i-1", "i-2", frequency="*/2 * * * * *", overlap="allow")
    first = timing.wait_for_firings(invoke_id, 1)[0]
    timing.claim(invoke_id, first, "i-1")
    changed = timing.assistant.stop_invocation(invoke_id)
    assert changed["i-1"] == "Stopping"
    assert timing.state(invoke_id, first, "i-2") in ("Cancelled", "Aborted")
    count = len(timing.firings(invoke_id))
    always(lambda: len(timing.firings(invoke_id)) == count, 2.5)
    timing.finish(invoke_id, first, "i-1", state="Terminated")
    eventually(lambda: timing.redis.call("HGET", keys.invocation(invoke_id), "finished_ms"), what="it is settled")
    assert timing.timed(invoke_id).status == "stopped"
    with pytest.raises(Refused, match="is over"):
        timing.assistant.timed.resume(invoke_id)


def test_stopping_one_instance_lets_the_others_go_on(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke("i-1", "i-2")
    timing.wait_for_firings(invoke_id, 1)
    timing.assistant.stop_invocation(invoke_id, ["i-1"])
    count = len(timing.firings(invoke_id))
    later = timing.wait_for_firings(invoke_id, count + 2)[count:]
    assert all(timing.state(invoke_id, one, "i-1") == "" for one in later)
    assert all(timing.state(invoke_id, one, "i-2") for one in later)
    timing.assistant.stop_invocation(invoke_id, ["i-2"])
    assert timing.timed(invoke_id).status == "stopped"


def test_a_stranger_cannot_be_stopped(timing: Timing) -> None:
    invoke_id = timing.invoke("i-1")
    with pytest.raises(NotFound, match="does not target i-2"):
        timing.assistant.stop_invocation(invoke_id, ["i-2"])


def test_a_new_frequency_holds_at_once_in_a_beat_that_sleeps_for_months(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke(frequency="0 0 0 1 1 *")
    eventually(lambda: timing.timed(invoke_id).due)
    timing.assistant.timed.modify(invoke_id, TimedModification(frequency=EVERY_SECOND))
    firing = timing.wait_for_firings(invoke_id, 1, within_seconds=3)[0]
    assert firing.status == "fired"
    record = timing.assistant.timed.show(invoke_id).stored.record
    assert record.schedule.frequency == EVERY_SECOND


def test_new_content_gets_a_new_command_and_holds_for_the_next_due_time(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke(overlap="allow")
    before = timing.assistant.timed.show(invoke_id).stored.record.command.command_id
    unchanged = timing.assistant.timed.modify(invoke_id, TimedModification(content=b"echo 123"))
    assert unchanged == before
    after = timing.assistant.timed.modify(invoke_id, TimedModification(content=b"echo new"))
    assert after != before
    now_ms = timing.server_ms()
    later = eventually(lambda: [one for one in timing.firings(invoke_id) if one.due_ms > now_ms + 1000])[0]
    claimed = timing.claim(invoke_id, later)
    assert isinstance(claimed, Claimed)
    payload = timing.redis.call("GET", keys.payload(messages.decode_envelope(claimed.envelope).payload_token))
    order = messages.decode_order(payload)
    assert isinstance(order, messages.WorkOrder)
    assert (order.content, order.command_id) == (b"echo new", after)
    row = timing.row(invoke_id, later)
    assert row is not None
    assert row.command_id == after


def test_a_new_work_order_stays_and_the_old_one_outlives_what_was_made_with_it(timing: Timing) -> None:
    invoke_id = timing.invoke(frequency="0 0 3 * * *")

    def lives_ms() -> tuple[str, int]:
        token = timing.timed(invoke_id).payload_token
        return token, timing.redis.call("PTTL", keys.payload(token))

    old, for_ever = lives_ms()
    timing.assistant.timed.modify(invoke_id, TimedModification(frequency="0 0 4 * * *"))
    assert lives_ms() == (old, for_ever) == (old, -1)
    timing.assistant.timed.modify(invoke_id, TimedModification(content=b"echo new"))
    new, for_ever = lives_ms()
    assert (new == old, for_ever) == (False, -1)
    # Its timeout, and a day for clocks, queues and those that read it late.
    assert 86_400_000 < timing.redis.call("PTTL", keys.payload(old)) <= 86_400_000 + 10_000


def test_a_rate_keeps_the_grid_of_its_beginning(timing: Timing) -> None:
    invoke_id = timing.invoke(frequency="rate(60 m)")
    begun_ms = timing.timed(invoke_id).anchor_ms - 30 * 60_000
    timing.redis.call("HSET", keys.timed(invoke_id), "anchor_ms", begun_ms)
    timing.assistant.timed.modify(invoke_id, TimedModification(frequency="rate(40 m)"))
    timed = timing.timed(invoke_id)
    assert timed.due is not None
    assert (timed.anchor_ms, timed.due.utc_ms) == (begun_ms, begun_ms + 40 * 60_000)


def test_an_added_instance_takes_part_from_the_next_due_time(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke("i-1", overlap="allow")
    timing.wait_for_firings(invoke_id, 1)
    timing.assistant.timed.modify(invoke_id, TimedModification(instance_ids=["i-2"]))
    now_ms = timing.server_ms()
    later = eventually(lambda: [one for one in timing.firings(invoke_id) if one.due_ms > now_ms])[0]
    assert timing.state(invoke_id, later, "i-2")
    assert later.target_count == 2
    with pytest.raises(Refused, match="i-unknown"):
        timing.assistant.timed.modify(invoke_id, TimedModification(instance_ids=["i-unknown"]))


def test_what_cannot_be_modified_is_refused_with_the_apis_code(timing: Timing) -> None:
    once = timing.assistant.run_command("true", Targets(instance_ids=["i-1"])).invoke_id
    with pytest.raises(Refused) as refused:
        timing.assistant.timed.modify(once, TimedModification(frequency=EVERY_SECOND))
    assert refused.value.code == "InvalidOperation.RepeatModeUnsupported"
    invoke_id = timing.invoke()
    with pytest.raises(RequestInvalid, match="character 1") as invalid:
        timing.assistant.timed.modify(invoke_id, TimedModification(frequency="x * * * * *"))
    assert invalid.value.code == "InvalidParameter.Frequency"
    timing.assistant.stop_invocation(invoke_id)
    with pytest.raises(Refused) as over:
        timing.assistant.timed.modify(invoke_id, TimedModification(content=b"x"))
    assert over.value.code == "InvalidOperation.InvokeAlreadyFinished"


def test_due_times_that_no_beat_saw_do_not_vanish_with_a_new_frequency(timing: Timing) -> None:
    invoke_id = timing.invoke()
    first_ms = timing.timed(invoke_id).due.utc_ms  # type: ignore[union-attr]
    timing.set_back(invoke_id, first_ms - 3_600_000)
    timing.assistant.timed.modify(invoke_id, TimedModification(frequency="0 0 0 1 1 *"))
    # One row for the hour, and one more for each due time that passed while this was done.
    left, *more = timing.firings(invoke_id)
    assert (left.status, left.reason, left.due_ms) == ("skipped", "misfire", first_ms - 3_600_000)
    assert left.count == (left.until_ms - left.due_ms) // 1000 + 1 >= 3600
    assert [row.due_ms for row in more] == [left.until_ms + 1000 * number for number in range(1, len(more) + 1)]


def undecided(timing: Timing, seconds: int = 20) -> tuple[str, int]:
    """A schedule due every ten seconds that no beat has looked at for so long, and its first undecided due time."""
    invoke_id = timing.invoke(frequency="*/10 * * * * *")
    due = timing.timed(invoke_id).due
    assert due is not None
    first_ms = due.utc_ms - seconds * 1000
    timing.set_back(invoke_id, first_ms)
    return invoke_id, first_ms


def test_due_times_that_no_beat_saw_have_rows_when_it_is_stopped(timing: Timing) -> None:
    invoke_id, first_ms = undecided(timing)
    timing.assistant.stop_invocation(invoke_id)
    rows = timing.firings(invoke_id)
    assert [(row.due_ms, row.status, row.reason) for row in rows[:2]] == [
        (first_ms, "skipped", "stopped"),
        (first_ms + 10_000, "skipped", "stopped"),
    ]
    timed = timing.timed(invoke_id)
    assert (timed.status, timed.skipped_count, timed.due) == ("stopped", len(rows), None)
    assert "no beat" in rows[0].info


@pytest.mark.parametrize("verb", ["pause", "stop"])
def test_a_due_time_that_passes_in_the_moment_of_a_change_is_not_lost(timing: Timing, verb: str) -> None:
    invoke_ids = [timing.invoke() for _ in range(5)]
    start_ms = max(timing.timed(one).due.utc_ms for one in invoke_ids)  # type: ignore[union-attr]
    for one in invoke_ids:
        # As near to a due time as can be, again and again.
        eventually(lambda: timing.server_ms() % 1000 > 950, 30, every_seconds=0.001)
        timing.assistant.timed.pause(one) if verb == "pause" else timing.assistant.stop_invocation(one)
    for one in invoke_ids:
        timed, rows = timing.timed(one), timing.firings(one)
        decided_until_ms = timed.due.utc_ms - 1000 if timed.due else timed.ended_ms // 1000 * 1000
        covered = [row.due_ms for row in rows if row.due_ms >= start_ms]
        assert covered == list(range(start_ms, decided_until_ms + 1, 1000))


def test_redis_itself_refuses_a_change_over_a_due_time_that_has_just_passed(timing: Timing) -> None:
    invoke_id, _ = undecided(timing, seconds=10)
    command = move_timed_command(invoke_id, ["active"], "stopped", reason="stopped", only_decided=True)
    assert run(timing.redis, command) == [0, b"undecided"]
    assert timing.timed(invoke_id).status == "active"


def test_a_pause_that_no_beat_saw_runs_nothing_of_it_after_resume(timing: Timing) -> None:
    invoke_id, first_ms = undecided(timing)
    timing.assistant.timed.pause(invoke_id)
    timing.set_back(invoke_id, first_ms)
    timing.assistant.timed.resume(invoke_id)
    assert {(row.status, row.reason) for row in timing.firings(invoke_id)} == {("skipped", "paused")}
    assert timing.firings(invoke_id)[0].due_ms == first_ms
    timed = timing.timed(invoke_id)
    assert timed.status == "active"
    assert timed.due is not None
    assert timed.due.utc_ms > timing.server_ms() - 1000


def test_what_passed_in_a_pause_is_told_as_that_when_it_is_stopped(timing: Timing) -> None:
    invoke_id, first_ms = undecided(timing)
    timing.assistant.timed.pause(invoke_id)
    timing.set_back(invoke_id, first_ms)
    timing.assistant.stop_invocation(invoke_id)
    assert {(row.status, row.reason) for row in timing.firings(invoke_id)} == {("skipped", "paused")}


def test_resuming_what_was_never_paused_takes_nothing_away(timing: Timing) -> None:
    invoke_id, _ = undecided(timing)
    timing.assistant.timed.resume(invoke_id)
    assert timing.firings(invoke_id) == []


def test_a_schedule_that_cannot_be_read_here_can_still_be_stopped(timing: Timing) -> None:
    invoke_id, _ = undecided(timing)
    schedule = msgspec.structs.replace(timing.timed(invoke_id).schedule, timezone="Mars/Base")
    timing.redis.call("HSET", keys.timed(invoke_id), "schedule", msgspec.json.encode(schedule))
    timing.assistant.stop_invocation(invoke_id)
    assert timing.timed(invoke_id).status == "stopped"


def test_a_new_schedule_never_comes_back_to_a_due_time_that_has_its_row(timing: Timing) -> None:
    invoke_id = timing.invoke()
    # As if Redis' clock had been put back by an hour since the last decision.
    later_ms = timing.server_ms() // 1000 * 1000 + 3_600_000
    timing.redis.call("ZADD", keys.firings(invoke_id), later_ms, later_ms)
    timing.assistant.timed.modify(invoke_id, TimedModification(frequency="*/2 * * * * *"))
    due = timing.timed(invoke_id).due
    assert due is not None
    assert due.utc_ms > later_ms


def test_new_parameters_reach_the_environment_of_a_script_that_had_none(timing: Timing) -> None:
    invoke_id = timing.invoke()
    before = timing.assistant.timed.show(invoke_id).stored.record.command.command_id
    change = TimedModification(content=b'echo "$CA_PARAM_WHO"', parameters={"WHO": "me"})
    after = timing.assistant.timed.modify(invoke_id, change)
    again = timing.assistant.timed.modify(invoke_id, TimedModification(parameters={"WHO": "you", "WHERE": "here"}))
    assert len({before, after, again}) == 3
    record = timing.assistant.timed.show(invoke_id).stored.record
    assert record.parameters == {"WHO": "you", "WHERE": "here"}
    same = timing.assistant.timed.modify(invoke_id, TimedModification(parameters={"WHO": "me", "WHERE": "there"}))
    assert same == again, "values alone make no new command"


def test_a_new_schedule_does_not_take_back_what_somebody_else_changes_meanwhile(
    timing: Timing, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke_id = timing.invoke("i-1", frequency="0 0 3 * * *")
    waited: list[str] = []

    def others_are_faster(redis: Redis, invoke_id: str, *words: str) -> tuple[Timed, bool]:
        if not waited:
            waited.append(invoke_id)
            timing.assistant.timed.modify(invoke_id, TimedModification(instance_ids=["i-2"]))
        return leave_out_undecided(redis, invoke_id, *words)

    monkeypatch.setattr(modifying, "leave_out_undecided", others_are_faster)
    timing.assistant.timed.modify(invoke_id, TimedModification(frequency="0 0 4 * * *"))
    timed = timing.timed(invoke_id)
    assert timed.schedule.frequency == "0 0 4 * * *"
    # A count and digests of the old targets would keep every beat from firing for the new one, or at all.
    assert timed.target_count == 2
    digests = timing.redis.call("HGET", keys.timed(invoke_id), "target_digests").decode()
    assert digests.split(",") == target_digests(["i-1", "i-2"])


@pytest.mark.parametrize(
    ("change", "zone"),
    [
        (TimedModification(frequency="0 0 4 * * *"), "Europe/Berlin"),
        (TimedModification(frequency="0 0 4 * * * Asia/Tokyo"), "Asia/Tokyo"),
        (TimedModification(frequency="at(2090-01-01 00:00:00)"), "UTC"),
        (TimedModification(frequency="0 0 4 * * *", timezone="Asia/Tokyo"), "Asia/Tokyo"),
        (TimedModification(frequency="0 0 4 * * *", resets_timezone=True), "UTC"),
    ],
)
def test_a_new_frequency_keeps_the_zone_that_it_does_not_name(
    timing: Timing, change: TimedModification, zone: str
) -> None:
    invoke_id = timing.invoke(frequency="0 30 2 * * *", timezone="Europe/Berlin")
    timing.assistant.timed.modify(invoke_id, change)
    assert timing.timed(invoke_id).schedule.timezone == zone


def test_a_limit_that_is_reached_already_is_refused(timing: Timing) -> None:
    invoke_id = timing.invoke(frequency="0 0 3 * * *")
    timing.redis.call("HSET", keys.timed(invoke_id), "fired_count", 5)
    for reached in (4, 5):
        with pytest.raises(RequestInvalid, match="has run 5 times already") as refused:
            timing.assistant.timed.modify(invoke_id, TimedModification(policies={"max_count": reached}))
        assert refused.value.code == "InvalidParameter.MaxCount"
    timing.assistant.timed.modify(invoke_id, TimedModification(policies={"max_count": 6}))
    # What does not touch the limit is no reason to refuse, nor is taking it away.
    timing.redis.call("HSET", keys.timed(invoke_id), "fired_count", 6)
    timing.assistant.timed.modify(invoke_id, TimedModification(policies={"overlap": "queue"}))
    timing.assistant.timed.modify(invoke_id, TimedModification(policies={"max_count": 0}))
    assert timing.timed(invoke_id).schedule.max_count == 0


def test_another_policy_leaves_missed_due_times_to_the_next_beat(timing: Timing) -> None:
    invoke_id, first_ms = undecided(timing)
    before = timing.timed(invoke_id)
    policies: dict[str, str | int | float] = {
        "misfire": "all",
        "overlap": "allow",
        "jitter_seconds": 1.0,
        "max_count": 100,
    }
    timing.assistant.timed.modify(invoke_id, TimedModification(policies=policies))
    after = timing.timed(invoke_id)
    assert (timing.firings(invoke_id), after.due) == ([], before.due)
    assert (after.schedule.misfire, after.schedule.max_count) == ("all", 100)
    timing.start_beat()
    rows = timing.wait_for_firings(invoke_id, 2)
    assert [(row.due_ms, row.status) for row in rows[:2]] == [(first_ms, "fired"), (first_ms + 10_000, "fired")]


@pytest.mark.parametrize(
    "change",
    [
        TimedModification(timezone="Asia/Kolkata"),
        TimedModification(end_time="2090-01-01T00:00:00Z"),
        TimedModification(policies={"dst_gap": "skip"}),
        TimedModification(policies={"dst_overlap": "twice"}),
        TimedModification(policies={"day_rule": "both"}),
    ],
)
def test_what_changes_the_calendar_decides_about_missed_due_times_first(
    timing: Timing, change: TimedModification
) -> None:
    invoke_id, first_ms = undecided(timing)
    timing.assistant.timed.modify(invoke_id, change)
    assert timing.firings(invoke_id)[0].due_ms == first_ms
    due = timing.timed(invoke_id).due
    assert due is not None
    assert due.utc_ms > timing.server_ms() - 1000
