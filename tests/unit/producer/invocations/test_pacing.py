"""What may be asked for as a pacing."""

import pytest

from cloud_assistant.broker_config.errors import RequestInvalid
from cloud_assistant.broker_config.records import Pacing, RepeatMode, Schedule
from cloud_assistant.producer.invocations.pacing import of_request


@pytest.mark.parametrize(
    ("at_once", "stop_at", "expected"),
    [
        ("", "", None),
        ("10", "", Pacing(at_once_count=10)),
        ("10%", "", Pacing(at_once_count=21)),
        ("1%", "1%", Pacing(at_once_count=3, failures_count=3)),
        ("1", "100%", Pacing(at_once_count=1, failures_count=201)),
        ("200", "500", Pacing(at_once_count=200, failures_count=500)),
        # Everybody at once is no pacing.
        ("201", "3", None),
        ("100%", "", None),
    ],
)
def test_amounts_are_numbers_of_instances_or_shares_rounded_up(
    at_once: str, stop_at: str, expected: Pacing | None
) -> None:
    assert of_request(at_once, stop_at, 201, Schedule()) == expected


@pytest.mark.parametrize("amount", ["0", "0%", "-1", "101%", "1.5", "10 %", "many", "%", "1" * 10, "１"])
def test_what_is_no_amount_is_refused_by_name(amount: str) -> None:
    with pytest.raises(RequestInvalid, match=r"--at-once, .* is neither a number"):
        of_request(amount, "", 10, Schedule())
    with pytest.raises(RequestInvalid, match=r"--stop-at, .* is neither a number"):
        of_request("1", amount, 10, Schedule())


def test_failures_can_end_only_what_does_not_run_everywhere_at_once() -> None:
    with pytest.raises(RequestInvalid, match=r"--stop-at, StopAt\) needs how many at once"):
        of_request("", "3", 10, Schedule())


@pytest.mark.parametrize("mode", [RepeatMode.EVERY_REBOOT, RepeatMode.NEXT_REBOOT_ONLY])
def test_what_runs_when_machines_start_has_no_pacing(mode: RepeatMode) -> None:
    with pytest.raises(RequestInvalid, match="of what runs when machines start"):
        of_request("1", "", 10, Schedule(repeat_mode=mode))
    assert of_request("1", "", 10, Schedule(frequency="rate(1 h)")) == Pacing(at_once_count=1)
    assert of_request("1", "", 10, Schedule(repeat_mode=RepeatMode.DRY_RUN)) == Pacing(at_once_count=1)
