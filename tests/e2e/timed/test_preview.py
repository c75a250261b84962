"""A preview needs nothing but the expression: no Redis, no beat. What cannot be read is refused with the reason."""

import subprocess
from pathlib import Path

import pytest

from harness.processes import clean_environment, installed_program
from harness.system import Outcome, System


@pytest.fixture
def offline(tmp_path: Path) -> System:
    """A command line without anything behind it."""
    return System(tmp_path, "redis://127.0.0.1:1/0")


def preview(system: System, frequency: str, *options: str, start: str = "2026-11-23T00:00:00Z") -> Outcome:
    return system.assist("timed", "preview", frequency, "--from", start, *options, "--output", "json").must_succeed()


def test_a_preview_shows_utc_and_the_zone(offline: System) -> None:
    outcome = preview(offline, "0 10 1 * * 6,0", "--timezone", "Asia/Shanghai", "--count", "2")
    assert outcome.json["DueTimes"] == [
        {"Utc": "2026-11-27T17:10:00Z", "Local": "2026-11-28T01:10:00+08:00"},
        {"Utc": "2026-11-28T17:10:00Z", "Local": "2026-11-29T01:10:00+08:00"},
    ]
    assert outcome.stderr == ""


def test_a_preview_from_now_needs_no_redis(offline: System) -> None:
    due = offline.assist("timed", "preview", "0 */10 * * * *", "--output", "json").must_succeed().json["DueTimes"]
    assert len(due) == 10
    assert all(one["Utc"].endswith("0:00Z") for one in due)
    text = offline.assist("timed", "preview", "rate(5 m)", "--count", "3").must_succeed().stdout
    assert "." not in text, "whole seconds are enough for a person"


@pytest.mark.parametrize(
    ("frequency", "expected"),
    [
        ("0 */10 * * * *", ["2026-11-23T00:00:00Z", "2026-11-23T00:10:00Z"]),
        ("at(2026-11-23 00:00:00)", ["2026-11-23T00:00:00Z"]),
        ("0 30 21 * * *", ["2026-11-23T21:30:00Z", "2026-11-24T21:30:00Z"]),
        ("0 10 1 * * 6,0", ["2026-11-28T01:10:00Z", "2026-11-29T01:10:00Z"]),
        ("0 0,30 18-23 * * *", ["2026-11-23T18:00:00Z", "2026-11-23T18:30:00Z"]),
        ("0 15 10 L * ?", ["2026-11-30T10:15:00Z", "2026-12-31T10:15:00Z"]),
        ("0 15 10 LW * ?", ["2026-11-30T10:15:00Z", "2026-12-31T10:15:00Z"]),
        ("0 0 9 1W * ?", ["2026-12-01T09:00:00Z", "2027-01-01T09:00:00Z"]),
        ("0 15 10 ? * 6L", ["2026-11-28T10:15:00Z", "2026-12-26T10:15:00Z"]),
        ("0 15 10 ? * 6#3", ["2026-12-19T10:15:00Z", "2027-01-16T10:15:00Z"]),
        ("0 0 0 1 1 ? 2031-2035 GMT+8:00", ["2030-12-31T16:00:00Z", "2031-12-31T16:00:00Z"]),
        ("0 0 12 29 2 ? 2028/4", ["2028-02-29T12:00:00Z", "2032-02-29T12:00:00Z"]),
        ("rate(90 m)", ["2026-11-23T01:30:00Z", "2026-11-23T03:00:00Z"]),
        ("at(2030-06-01 08:30:00 GMT-3:30)", ["2030-06-01T12:00:00Z"]),
    ],
)
def test_frequencies_mean_what_they_always_meant(offline: System, frequency: str, expected: list[str]) -> None:
    found = [one["Utc"] for one in preview(offline, frequency, "--count", "2").json["DueTimes"]]
    assert found == expected


def test_clock_changes_are_shown_as_they_will_happen(offline: System) -> None:
    berlin = ("--timezone", "Europe/Berlin", "--count", "2")
    spring = preview(offline, "0 30 2 * * *", *berlin, start="2027-03-27T12:00:00Z").json["DueTimes"]
    # 02:30 does not come on the 28th: it runs when the gap ends, then at summer time.
    assert [one["Local"] for one in spring] == ["2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00"]
    skipped = preview(offline, "0 30 2 * * *", *berlin, "--dst-gap", "skip", start="2027-03-27T12:00:00Z")
    assert [one.get("Skipped") for one in skipped.json["DueTimes"]] == ["dst_gap", None]
    autumn = preview(offline, "0 30 2 * * *", *berlin, start="2026-10-24T12:00:00Z").json["DueTimes"]
    assert [one["Utc"] for one in autumn] == ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
    twice = preview(offline, "0 30 2 * * *", *berlin, "--dst-overlap", "twice", start="2026-10-24T12:00:00Z")
    assert [one["Utc"] for one in twice.json["DueTimes"]] == ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"]


@pytest.mark.parametrize(
    ("frequency", "reason", "place"),
    [
        ("0 61 * * * *", "minute field: 61 is out of range", 3),
        ("0 0 * * *", "6 to 8 fields", 1),
        ("0 0 0 * * 1-7/2 Mars/Base", "unknown zone", 17),
        ("0 0 12 * * R", "random", 12),
        ("rate(1 s)", "from 60 s to 7 d", 6),
        ("at(2026-02-30 08:00:00)", "", 4),
        ("@daily", "nicknames", 1),
    ],
)
def test_what_cannot_be_read_is_refused_with_reason_and_place(
    offline: System, frequency: str, reason: str, place: int
) -> None:
    outcome = offline.assist("timed", "preview", frequency)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert reason in outcome.stderr
    assert f"at character {place} of" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_a_frequency_that_is_never_due_says_so(offline: System) -> None:
    outcome = offline.assist("timed", "preview", "0 0 0 31 2 *").must_succeed()
    assert "never due" in outcome.stderr


@pytest.mark.parametrize(
    ("frequency", "options", "expected"),
    [
        ("0 0 9 * * *", ("--timezone", "Asia/Shanghai"), ["2026-11-23T01:00:00Z", "2026-11-24T01:00:00Z"]),
        ("0 0 9 * * * Asia/Shanghai", (), ["2026-11-23T01:00:00Z", "2026-11-24T01:00:00Z"]),
        ("0 0 9 * * *", (), ["2026-11-23T09:00:00Z", "2026-11-24T09:00:00Z"]),
        ("at(2026-11-23 01:00:00 Asia/Shanghai)", (), ["2026-11-22T17:00:00Z"]),
    ],
)
def test_moments_without_an_offset_are_in_the_zone_of_the_schedule(
    offline: System, frequency: str, options: tuple[str, ...], expected: list[str]
) -> None:
    end = ("--end-time", "2026-11-25 08:30:00", *options)
    found = preview(offline, frequency, *end, start="2026-11-23").json["DueTimes"]
    assert [one["Utc"] for one in found] == expected


def test_a_preview_can_be_cut_short_by_the_reader(offline: System) -> None:
    home = offline.folder / "operator"
    line = f"{installed_program('assist')} timed preview '* * * * * *' --count 1000 | head -2; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line], env=clean_environment(home), cwd=home, capture_output=True, text=True, check=False
    )
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr == ""
