"""The choices of a schedule."""

import pytest

from cloud_assistant.broker_config.schedule import ScheduleOptions


def test_the_defaults_never_double_and_never_drop_a_run() -> None:
    options = ScheduleOptions()
    assert (options.day_rule, options.gap, options.overlap) == ("either", "run_after", "once")


@pytest.mark.parametrize("choice", [{"day_rule": "all"}, {"gap": "run"}, {"overlap": ""}])
def test_an_unknown_word_is_refused_with_those_allowed(choice: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"is unknown; allowed are \w+, \w+"):
        ScheduleOptions(**choice)  # type: ignore[arg-type]
