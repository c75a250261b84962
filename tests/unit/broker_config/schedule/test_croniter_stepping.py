"""Which expressions croniter steps, and that its own readings never come through."""

from datetime import datetime

import pytest

from cloud_assistant.broker_config.schedule.cron_fields import CronFields, parse_cron_fields
from cloud_assistant.broker_config.schedule.croniter_stepping import CroniterStepper, croniter_expression
from cloud_assistant.broker_config.schedule.text_span import Span


def fields(text: str) -> CronFields:
    return parse_cron_fields(Span.whole(text).words())


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("0 */20 * * * *", "0 0,20,40 * * * *"),
        ("0 5-5 0-23 ? JAN-MAR SAT-SUN", "0 5 * * 1,2,3 0,6"),
        ("0 0 0 L * ?", "0 0 0 L * *"),
        ("0 0 0 ? * 1#2,FRI#1", "0 0 0 * * 1#2,5#1"),
        ("0 0 0 13 * FRI", "0 0 0 13 * 5"),
        ("0 0 0 1 1 ? 2027,2028", "0 0 0 1 1 * 2027,2028"),
        ("0 0 0 1 1 ? 1970-2099", "0 0 0 1 1 *"),
    ],
)
def test_croniter_gets_the_values_our_parser_found(text: str, expression: str) -> None:
    assert croniter_expression(fields(text)) == expression


@pytest.mark.parametrize(
    "text",
    ["0 0 0 LW * ?", "0 0 0 15W * ?", "0 0 0 ? * 5L", "0 0 0 1 * 6#3", "0 0 0 L * MON", "0 0 0 ? * MON,6#3"],
)
def test_what_croniter_does_not_know_or_reads_otherwise_is_left_to_the_calendar_stepper(text: str) -> None:
    assert croniter_expression(fields(text)) is None


def test_a_question_leaves_no_trace_so_that_threads_may_share_the_stepper() -> None:
    stepper = CroniterStepper("0 0,20,40 * * * *", "either")
    before = vars(stepper._stepper).copy()
    assert stepper.next_local(datetime(2026, 11, 23, 10, 1, 1)) == datetime(2026, 11, 23, 10, 20)
    assert vars(stepper._stepper) == before


def test_a_match_is_found_from_one_end_of_the_calendar_to_the_other() -> None:
    stepper = CroniterStepper("0 0 0 1 1 * 2099", "either")
    assert stepper.next_local(datetime(1970, 1, 1)) == datetime(2099, 1, 1)
