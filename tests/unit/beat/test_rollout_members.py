"""How far an instance is, by what its agent reports and how long that was not."""

from collections.abc import Callable
from functools import partial

import pytest
from msgspec.structs import replace

from cloud_assistant.beat.rollout_steps import Report, advanced, most_failures
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.releases.rollouts import (
    CUT_OFF,
    LOST,
    ORDERED,
    REFUSED,
    SUCCEEDED,
    UNDECIDED,
    Member,
    Rollout,
)

ROLLOUT = Rollout(rollout_id="t-1", created_ms=1, version="2.0", url="http://x", signatures={}, probation_seconds=100.0)
#: Its probation, and ten minutes.
PATIENCE_SECONDS = 700
DAY_SECONDS = 86_400


def member(stage: str, seconds_ago: float, *, away_seconds: float = 0) -> Member:
    now = now_ms()
    away_ms = int(now - away_seconds * 1000) if away_seconds else 0
    return Member(serial=5, stage=stage, changed_ms=int(now - seconds_ago * 1000), away_ms=away_ms)


def said(stage: str = "", *, serial: int = 5, version: str = "1.0") -> Report:
    return Report(version, "linux/x86_64", serial, stage, "why" if stage else "")


def stage_of(found: Member | None) -> str:
    return found.stage if found else "taken back"


@pytest.mark.parametrize(
    ("before", "report", "stage"),
    [
        (partial(member, ORDERED, 1), said("Downloading"), "Downloading"),
        (partial(member, "Downloading", 1), said("Probation"), "Probation"),
        (partial(member, "Probation", 1), said("Succeeded", version="2.0"), "Succeeded"),
        # What it says of an earlier order is no answer to this one.
        (partial(member, ORDERED, 1), said("Failed", serial=4), ORDERED),
        (partial(member, ORDERED, 1), said("Failed", serial=4, version="2.0"), SUCCEEDED),
        (partial(member, ORDERED, 1), said(version="2.0"), SUCCEEDED),
        # Who is heard of and never takes its order.
        (partial(member, ORDERED, PATIENCE_SECONDS - 20), said(), ORDERED),
        (partial(member, ORDERED, PATIENCE_SECONDS + 20), said(), REFUSED),
        (partial(member, ORDERED, PATIENCE_SECONDS + 20, away_seconds=10), said(), ORDERED),
        (partial(member, "Downloading", PATIENCE_SECONDS + 20), said(), "Downloading"),
        (partial(member, "Waiting", PATIENCE_SECONDS + 20), said("Waiting"), "Waiting"),
        # Who is heard of and comes no further.
        (partial(member, "Waiting", 7 * DAY_SECONDS + PATIENCE_SECONDS - 20), said("Waiting"), "Waiting"),
        (partial(member, "Waiting", 7 * DAY_SECONDS + PATIENCE_SECONDS + 20), said("Waiting"), REFUSED),
        (partial(member, "Probation", DAY_SECONDS + PATIENCE_SECONDS - 20), said("Probation"), "Probation"),
        (partial(member, "Probation", DAY_SECONDS + PATIENCE_SECONDS + 20), said("Probation"), UNDECIDED),
        (partial(member, "Probation", 2 * DAY_SECONDS, away_seconds=10), said("Probation"), "Probation"),
        (partial(member, "Probation", 2 * DAY_SECONDS), said("Succeeded"), SUCCEEDED),
        # A trial that was cut off is repeated once, and what its agent says then counts.
        (partial(member, "Probation", 1), said("Undecided"), CUT_OFF),
        (partial(member, CUT_OFF, PATIENCE_SECONDS - 20), said("Undecided"), CUT_OFF),
        (partial(member, CUT_OFF, PATIENCE_SECONDS + 20), said("Undecided"), UNDECIDED),
        (partial(member, CUT_OFF, PATIENCE_SECONDS + 20, away_seconds=10), said("Undecided"), CUT_OFF),
        (partial(member, CUT_OFF, 30), said("Downloading"), "Downloading"),
        (partial(member, CUT_OFF, 30), said("Refused"), REFUSED),
        (partial(member, CUT_OFF, 9_999, away_seconds=PATIENCE_SECONDS + 20), None, LOST),
        # Who is not heard of.
        (partial(member, ORDERED, PATIENCE_SECONDS + 20), None, ORDERED),
        (partial(member, ORDERED, 9_999, away_seconds=PATIENCE_SECONDS - 20), None, ORDERED),
        (partial(member, ORDERED, 9_999, away_seconds=PATIENCE_SECONDS + 20), None, "taken back"),
        (partial(member, "Waiting", 9_999, away_seconds=PATIENCE_SECONDS + 20), None, "taken back"),
        (partial(member, "Probation", 9_999, away_seconds=PATIENCE_SECONDS - 20), None, "Probation"),
        (partial(member, "Probation", 9_999, away_seconds=PATIENCE_SECONDS + 20), None, LOST),
    ],
)
def test_what_a_report_or_its_absence_makes_of_an_instance(
    before: Callable[[], Member], report: Report | None, stage: str
) -> None:
    after = advanced(before(), report, ROLLOUT, now_ms())
    assert stage_of(after) == stage
    assert after is None or after.serial == 5


def test_one_that_is_away_is_noted_once_and_has_its_whole_time_again_when_it_is_back() -> None:
    before_ms = now_ms()
    away = advanced(member(ORDERED, 300), None, ROLLOUT, now_ms())
    assert away is not None
    assert away.away_ms >= before_ms
    earlier = replace(away, away_ms=away.away_ms - 60_000)
    assert advanced(earlier, None, ROLLOUT, now_ms()) == earlier
    back = advanced(earlier, said(), ROLLOUT, now_ms())
    assert back is not None
    assert (back.stage, back.away_ms, back.changed_ms >= before_ms) == (ORDERED, 0, True)


def test_what_stays_the_same_is_not_written_anew() -> None:
    waiting = replace(member("Waiting", 60), reason="why")
    assert advanced(waiting, said("Waiting"), ROLLOUT, now_ms()) is waiting


@pytest.mark.parametrize(("chosen_count", "percent", "most"), [(20, 10, 2), (21, 10, 3), (5, 10, 1), (0, 10, 1)])
def test_so_many_failures_stop_a_roll_out(chosen_count: int, percent: float, most: int) -> None:
    assert most_failures(replace(ROLLOUT, failures_percent=percent), chosen_count) == most


def test_why_a_trial_was_cut_off_stays_the_reason() -> None:
    cut_off = replace(member(CUT_OFF, PATIENCE_SECONDS + 20), reason="why")
    after = advanced(cut_off, said("Undecided"), ROLLOUT, now_ms())
    assert after is not None
    assert (after.stage, after.reason) == (UNDECIDED, "why")
