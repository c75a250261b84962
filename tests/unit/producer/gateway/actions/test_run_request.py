"""When a run happens, and with what values, as a request says it."""

import pytest

from cloud_assistant.broker_config.records import RepeatMode
from cloud_assistant.producer.gateway.actions.parameters import Parameters
from cloud_assistant.producer.gateway.actions.run_request import passed_parameters, schedule_of
from cloud_assistant.producer.gateway.api_errors import ApiError

DAILY = "0 0 3 * * *"


@pytest.mark.parametrize(
    ("values", "mode", "frequency"),
    [
        ({}, RepeatMode.ONCE, ""),
        ({"Timed": "true", "RepeatMode": "Once"}, RepeatMode.ONCE, ""),
        ({"Timed": "true", "RepeatMode": "EveryReboot"}, RepeatMode.EVERY_REBOOT, ""),
        ({"Frequency": f" {DAILY} "}, RepeatMode.PERIOD, DAILY),
        ({"Frequency": DAILY, "RepeatMode": "Once"}, RepeatMode.PERIOD, DAILY),
        ({"Frequency": " ", "RepeatMode": "Once"}, RepeatMode.ONCE, ""),
        ({"Frequency": DAILY, "RepeatMode": "DryRun", "Timed": "true"}, RepeatMode.DRY_RUN, ""),
    ],
)
def test_a_schedule_is_what_its_parameters_say_together(
    values: dict[str, str], mode: RepeatMode, frequency: str
) -> None:
    schedule = schedule_of(Parameters(values))
    assert (schedule.repeat_mode, schedule.frequency) == (mode, frequency)


@pytest.mark.parametrize("values", [{"Timed": "true"}, {"RepeatMode": "Period"}, {"RepeatMode": "Period", "Timed": ""}])
def test_what_repeats_needs_a_frequency(values: dict[str, str]) -> None:
    with pytest.raises(ApiError, match=r"MissingParam\.Frequency"):
        schedule_of(Parameters(values))


def test_values_are_passed_as_they_came() -> None:
    assert passed_parameters(Parameters({"Parameters": '{"a": " b\\n", "": ""}'})) == {"a": " b\n", "": ""}
