"""What is done about a due time, for every policy, without Redis."""

from dataclasses import replace
from typing import Any

import pytest

from cloud_assistant.beat.decisions import MISSED_AFTER_MS, Fire, Policies, Skip, decide, refuse
from cloud_assistant.broker_config.functions.timed import ROWS_OF_ONE_REASON_COUNT
from cloud_assistant.broker_config.records import Pacing, RepeatMode, Schedule
from cloud_assistant.broker_config.schedule import DueTime
from cloud_assistant.broker_config.timed.timed_invocation import Timed, TimedStatus, calendar_of

HOUR_MS = 3_600_000
#: 2026-06-01 00:00:00 UTC.
MIDNIGHT_MS = 1_780_272_000_000
POLICIES = Policies(misfire="latest", misfire_limit_count=3, misfire_within_ms=HOUR_MS, deliver_within_ms=60_000)


def timed(
    due_ms: int = MIDNIGHT_MS,
    *,
    frequency: str = "0 */10 * * * *",
    status: TimedStatus = TimedStatus.ACTIVE,
    skipped: str = "",
    deliver_within_ms: int = 0,
    **schedule: Any,
) -> Timed:
    return Timed(
        invoke_id="t-1",
        status=status,
        revision="1",
        schedule=Schedule(repeat_mode=RepeatMode.PERIOD, frequency=frequency, timezone="UTC", **schedule),
        anchor_ms=0,
        due=DueTime(due_ms, skipped),
        is_planned=False,
        following=None,
        fired_count=0,
        skipped_count=0,
        last_due_ms=0,
        open_due_ms=0,
        run_due_ms=0,
        end_reason="",
        ended_ms=0,
        command_id="c-1",
        timeout_seconds=60,
        grace_seconds=0,
        deliver_within_ms=deliver_within_ms,
        done_channel="d",
        payload_token="p",
        digest="",
        target_count=1,
        seal="",
    )


def decided(one: Timed, late_ms: int = 0, policies: Policies = POLICIES) -> Fire | Skip:
    assert one.due is not None
    return decide(one, lambda: calendar_of(one.schedule, 0), policies, one.due.utc_ms + late_ms)


def fire(one: Timed, late_ms: int = 0, policies: Policies = POLICIES) -> Fire:
    decision = decided(one, late_ms, policies)
    assert isinstance(decision, Fire), decision
    return decision


def skip(one: Timed, late_ms: int = 0, policies: Policies = POLICIES) -> Skip:
    decision = decided(one, late_ms, policies)
    assert isinstance(decision, Skip), decision
    return decision


def minutes(*numbers: int) -> list[int]:
    return [MIDNIGHT_MS + number * 60_000 for number in numbers]


def test_what_is_due_is_fired_and_given_up_when_the_next_is_due() -> None:
    decision = fire(timed())
    assert decision.following == DueTime(MIDNIGHT_MS + 600_000)
    assert decision.deadline_ms == MIDNIGHT_MS + 600_000 - 1
    assert (decision.overlap, decision.note, decision.end_reason) == ("skip", "", "")


def test_a_shorter_time_for_delivery_counts_from_the_due_time() -> None:
    assert fire(timed(deliver_within_ms=30_000)).deadline_ms == MIDNIGHT_MS + 30_000
    assert fire(timed(deliver_within_ms=HOUR_MS)).deadline_ms == MIDNIGHT_MS + 600_000 - 1
    # Decided ahead, as a beat does; and late, from the moment of the decision on.
    assert fire(timed(deliver_within_ms=30_000), late_ms=-1_000).deadline_ms == MIDNIGHT_MS + 30_000
    assert fire(timed(deliver_within_ms=30_000), late_ms=300_000).deadline_ms == MIDNIGHT_MS + 330_000


def test_the_last_due_time_has_the_usual_time_for_delivery_and_ends_the_schedule() -> None:
    decision = fire(timed(frequency="at(2026-06-01 00:00:00)"))
    assert (decision.following, decision.end_reason) == (None, "last_due_time")
    assert decision.deadline_ms == MIDNIGHT_MS + 60_000


def test_those_that_a_jitter_holds_back_have_the_time_for_delivery_as_well() -> None:
    last = timed(frequency="at(2026-06-01 00:00:00)", jitter_seconds=300.0)
    assert fire(last).deadline_ms == MIDNIGHT_MS + 300_000 + 60_000
    assert fire(last, late_ms=6_000).deadline_ms == MIDNIGHT_MS + 6_000 + 300_000 + 60_000
    short = timed(deliver_within_ms=30_000, jitter_seconds=120.0)
    assert fire(short).deadline_ms == MIDNIGHT_MS + 120_000 + 30_000


def test_after_the_end_time_there_is_no_next_due_time() -> None:
    decision = fire(timed(end_ms=MIDNIGHT_MS + 599_999))
    assert (decision.following, decision.end_reason) == (None, "end_time")
    assert fire(timed(end_ms=MIDNIGHT_MS + 600_000)).following is not None


def test_a_planned_next_due_time_needs_no_calendar() -> None:
    planned = replace(timed(), is_planned=True, following=DueTime(MIDNIGHT_MS + 1234))

    def no_calendar() -> Any:
        raise AssertionError("the calendar was asked")

    decision = decide(planned, no_calendar, POLICIES, MIDNIGHT_MS)
    assert decision.following == DueTime(MIDNIGHT_MS + 1234)


def test_a_pause_and_a_gap_leave_it_out_with_the_reason() -> None:
    paused = skip(timed(status=TimedStatus.PAUSED))
    gap = skip(timed(skipped="dst_gap"))
    assert [row.reason for row in (*paused.rows, *gap.rows)] == ["paused", "dst_gap"]
    assert paused.following == gap.following == DueTime(MIDNIGHT_MS + 600_000)


def test_a_little_late_is_not_missed() -> None:
    for policy in ("latest", "all", "skip"):
        assert fire(timed(misfire=policy), MISSED_AFTER_MS).note == ""


def test_latest_runs_the_last_missed_one_only() -> None:
    decision = skip(timed(), 25 * 60_000)
    assert [row.due_ms for row in decision.rows] == minutes(0, 10)
    assert {row.reason for row in decision.rows} == {"misfire"}
    assert decision.following == DueTime(minutes(20)[0])
    last = fire(timed(minutes(20)[0]), 5 * 60_000)
    assert last.note == "fired 300.0 s late"
    assert last.deadline_ms == minutes(30)[0] - 1


def test_latest_runs_nothing_missed_when_the_next_is_just_due() -> None:
    decision = skip(timed(), 20 * 60_000 + 100)
    assert [row.due_ms for row in decision.rows] == minutes(0, 10)
    assert decision.following == DueTime(minutes(20)[0])
    assert fire(timed(minutes(20)[0]), 100).note == ""


def test_all_runs_the_last_few_each_after_the_one_before() -> None:
    decision = skip(timed(misfire="all"), 45 * 60_000)
    assert [row.due_ms for row in decision.rows] == minutes(0, 10)
    assert decision.following == DueTime(minutes(20)[0])
    first = fire(timed(minutes(20)[0], misfire="all"), 25 * 60_000)
    assert first.overlap == "queue"
    assert first.following == DueTime(minutes(30)[0])
    assert first.deadline_ms >= minutes(45)[0] + POLICIES.misfire_limit_count * 60_000
    assert fire(timed(minutes(20)[0], misfire="all", overlap="allow"), 25 * 60_000).overlap == "allow"
    # The last of them waits for as many runs as there may be before it.
    slow = fire(replace(timed(minutes(20)[0], misfire="all"), timeout_seconds=600), 25 * 60_000)
    assert slow.deadline_ms == minutes(45)[0] + 60_000 + POLICIES.misfire_limit_count * 600_000


def test_what_stands_in_a_line_does_not_wait_for_the_one_before_it_as_well() -> None:
    policies = replace(POLICIES, misfire="all")
    one = timed(minutes(20)[0], pacing=Pacing(at_once_count=2))
    assert fire(one, 25 * 60_000, policies).overlap == "skip"


def test_all_runs_the_missed_ones_also_when_the_next_is_just_due() -> None:
    assert fire(timed(misfire="all"), 20 * 60_000 + 100).following == DueTime(minutes(10)[0])


def test_skip_runs_none_and_goes_on_with_the_next_in_the_future() -> None:
    decision = skip(timed(misfire="skip"), 25 * 60_000)
    assert [row.due_ms for row in decision.rows] == minutes(0, 10, 20)
    assert decision.following == DueTime(minutes(30)[0])


@pytest.mark.parametrize("policy", ["latest", "all"])
def test_nothing_runs_that_is_older_than_allowed(policy: str) -> None:
    one = timed(frequency="0 0 0 * * *", misfire=policy)
    decision = skip(one, HOUR_MS + 1)
    assert [row.due_ms for row in decision.rows] == [MIDNIGHT_MS]
    assert fire(one, HOUR_MS).note


def test_the_installation_policy_holds_where_the_schedule_has_none() -> None:
    policies = Policies("skip", 3, HOUR_MS, 60_000)
    assert len(skip(timed(), 25 * 60_000, policies).rows) == 3


def test_after_its_end_nothing_missed_runs() -> None:
    decision = skip(timed(end_ms=minutes(20)[0]), 25 * 60_000)
    assert [(row.due_ms, row.reason) for row in decision.rows] == [(at, "ended") for at in minutes(0, 10, 20)]
    assert (decision.following, decision.end_reason) == (None, "end_time")


def test_just_after_its_end_the_last_one_still_runs_and_none_behind_it() -> None:
    ended = timed(frequency="* * * * * *", end_ms=MIDNIGHT_MS + 2_000)
    decision = skip(ended, 4_000)
    assert [(row.due_ms, row.reason) for row in decision.rows] == [
        (MIDNIGHT_MS, "misfire"),
        (MIDNIGHT_MS + 1_000, "misfire"),
    ]
    assert decision.following == DueTime(MIDNIGHT_MS + 2_000)
    last = fire(replace(ended, due=decision.following), 2_000)
    assert (last.following, last.end_reason) == (None, "end_time")


def test_missed_due_times_of_a_pause_are_paused() -> None:
    decision = skip(timed(status=TimedStatus.PAUSED), 25 * 60_000)
    assert [(row.due_ms, row.reason) for row in decision.rows] == [(at, "paused") for at in minutes(0, 10, 20)]


def test_up_to_a_hundred_missed_ones_have_a_row_each_and_more_share_one() -> None:
    every_second = timed(frequency="* * * * * *", misfire="skip")
    few = skip(every_second, ROWS_OF_ONE_REASON_COUNT * 1000)
    assert [row.count for row in few.rows] == [1] * ROWS_OF_ONE_REASON_COUNT
    many = skip(every_second, 30 * 86_400_000)
    (row,) = many.rows
    assert row.due_ms == MIDNIGHT_MS
    assert row.count == (row.until_ms - row.due_ms) // 1000 + 1
    assert many.following is not None
    assert row.until_ms < many.following.utc_ms


def test_in_a_spring_night_the_gap_is_named_among_the_missed() -> None:
    # Berlin, 2026-03-29: 02:30 does not come; the gap ends at 01:00 UTC.
    gap_ms = 1_774_746_000_000
    one = timed(gap_ms - 84_600_000, frequency="0 30 2 * * * Europe/Berlin", dst_gap="skip")
    decision = decide(one, lambda: calendar_of(one.schedule, 0), POLICIES, gap_ms + 60_000)
    assert isinstance(decision, Skip)
    assert [row.reason for row in decision.rows] == ["misfire", "dst_gap"]
    assert ["put forward" in row.info for row in decision.rows] == [False, True]


def test_a_gap_does_not_take_the_place_of_the_one_that_is_made_up_for() -> None:
    # Berlin, 2026-03-29: 01:30 was missed, 02:30 does not come.
    gap_ms = 1_774_746_000_000
    one = timed(gap_ms - 1_800_000, frequency="0 30 1,2 * * * Europe/Berlin", dst_gap="skip")
    for after_ms in (1_000, 60_000):
        decision = decide(one, lambda: calendar_of(one.schedule, 0), POLICIES, gap_ms + after_ms)
        assert isinstance(decision, Fire)
        assert decision.following == DueTime(gap_ms, "dst_gap")


def test_what_nobody_with_the_key_asked_for_is_left_out() -> None:
    decision = refuse(fire(timed()))
    assert [row.reason for row in decision.rows] == ["refused"]
    assert decision.following == DueTime(MIDNIGHT_MS + 600_000)


def test_a_stored_due_time_that_the_calendar_does_not_have_is_left_out_like_any_other() -> None:
    # As after a change of a zone's rules between producer and beat.
    stored_ms = 1_774_746_001_000
    one = timed(stored_ms, frequency="0 */10 * * * *", misfire="skip")
    decision = decide(one, lambda: calendar_of(one.schedule, 0), POLICIES, stored_ms + 700_000)
    assert isinstance(decision, Skip)
    assert [row.due_ms for row in decision.rows] == [stored_ms, 1_774_746_600_000]
