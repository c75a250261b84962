"""A target of a timed invocation waits between its executions: what listings call that, and what they find by it."""

from typing import Any

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.producer.api import Assistant
from cloud_assistant.producer.cli.printing.answers import invocation_summary_object
from cloud_assistant.producer.fleet.targets import Targets
from cloud_assistant.producer.invocations.describing import InvocationFilter
from cloud_assistant.producer.invocations.describing_results import ResultFilter
from cloud_assistant.producer.invocations.invoking import RunOptions
from cloud_assistant.producer.paging import PageRequest
from cloud_assistant.producer.shapes import as_text, invocation_shape, result_shape

from .test_result_listing import ON_2, YEARLY, fire

EVERY_BOOT = RunOptions(schedule=Schedule(repeat_mode=RepeatMode.EVERY_REBOOT))
NEXT_BOOT = RunOptions(schedule=Schedule(repeat_mode=RepeatMode.NEXT_REBOOT_ONLY))


def results(assistant: Assistant, **wanted: Any) -> list[str]:
    """The states in which results are shown, the same whichever way one pages."""
    page = assistant.describe_invocation_results(ResultFilter(**wanted))
    assert page.total_count == len(page.items)
    by_token = assistant.describe_invocation_results(ResultFilter(**wanted), PageRequest(max_results=50))
    assert by_token.items == page.items
    return [result_shape(one, as_text)["InvocationStatus"] for one in page.items]


def listed(assistant: Assistant, **wanted: Any) -> list[dict[str, Any]]:
    (one,) = assistant.describe_invocations(InvocationFilter(**wanted), with_rows=True).items
    found: list[dict[str, Any]] = invocation_shape(one, as_text, include_output=True)["InvokeInstances"][
        "InvokeInstance"
    ]
    return found


def states(assistant: Assistant, **wanted: Any) -> list[str]:
    return [one["InvocationStatus"] for one in listed(assistant, **wanted)]


@pytest.mark.parametrize("options", [YEARLY, EVERY_BOOT], ids=["by the clock", "at each boot"])
def test_a_target_waits_for_its_next_execution_however_the_last_one_ended(
    assistant: Assistant, options: RunOptions
) -> None:
    invoke_id = assistant.run_command("true", ON_2, options).invoke_id
    fire(assistant, invoke_id, 2**41, "Success", "Timeout")
    last = keys.execution("i-1", execution_id(invoke_id, 2**41, "i-1"))
    assistant.redis.call("HSET", last, "exit_code", 0, "finished_ms", 1_800_000_000_000)
    for by in ({"invoke_id": invoke_id}, {}):
        assert results(assistant, **by) == ["Scheduled", "Scheduled"]
        for word in ("Scheduled", "Running"):
            assert results(assistant, record_status=word, **by) == ["Scheduled", "Scheduled"]
        for word in ("Success", "Timeout", "Finished", "Failed"):
            assert results(assistant, record_status=word, **by) == []
        assert results(assistant, instance_id="i-2", **by) == ["Scheduled"]
    assert results(assistant, invoke_id=invoke_id, include_history=True) == ["Success", "Timeout"]
    assert results(assistant, instance_id="i-2", include_history=True) == ["Timeout"]
    first, second = listed(assistant, invoke_id=invoke_id)
    assert (first["InvocationStatus"], second["InvocationStatus"]) == ("Scheduled", "Scheduled")
    assert (first["ExitCode"], first["Output"], first["FinishTime"]) == (0, f"at {2**41}", "2027-01-15T08:00:00Z")
    assistant.stop_invocation(invoke_id)
    assert results(assistant, invoke_id=invoke_id) == states(assistant, invoke_id=invoke_id) == ["Success", "Timeout"]
    assert results(assistant, record_status="Success") == ["Success"]


def test_what_is_paused_waits_as_well_and_what_runs_runs(assistant: Assistant) -> None:
    invoke_id = assistant.run_command("true", ON_2, YEARLY).invoke_id
    fire(assistant, invoke_id, 5, "Failed", "Running")
    assistant.timed.pause(invoke_id)
    assert results(assistant, invoke_id=invoke_id) == states(assistant, invoke_id=invoke_id) == ["Scheduled", "Running"]


def test_what_ran_at_the_next_boot_is_over_where_it_ran(assistant: Assistant) -> None:
    invoke_id = assistant.run_command("true", ON_2, NEXT_BOOT).invoke_id
    fire(assistant, invoke_id, 5, "Failed")
    for by in ({"invoke_id": invoke_id}, {}):
        assert results(assistant, **by) == ["Failed", "Scheduled"]
        assert results(assistant, record_status="Finished", **by) == ["Failed"]
    assert results(assistant, instance_id="i-1") == ["Failed"]
    assert states(assistant, invoke_id=invoke_id) == ["Failed", "Scheduled"]


def test_where_it_was_stopped_a_target_waits_for_nothing(assistant: Assistant) -> None:
    on_3 = Targets(instance_ids=["i-1", "i-2", "i-3"])
    invoke_id = assistant.run_command("true", on_3, YEARLY).invoke_id
    fire(assistant, invoke_id, 5, "Success", "Success")
    assistant.stop_invocation(invoke_id, ["i-1", "i-3"])
    for by in ({"invoke_id": invoke_id}, {}):
        assert results(assistant, **by) == ["Success", "Scheduled", "Cancelled"]
        assert results(assistant, record_status="Stopped", **by) == ["Cancelled"]
        assert results(assistant, record_status="Finished", **by) == ["Success"]
    assert results(assistant, instance_id="i-1") == ["Success"]
    assert states(assistant, invoke_id=invoke_id) == ["Success", "Scheduled", "Cancelled"]
    (one,) = assistant.describe_invocations(InvocationFilter(invoke_id=invoke_id), with_rows=True).items
    assert (one.status.state, one.status.counts) == ("Scheduled", {"Success": 2, "Cancelled": 1})


def test_the_command_line_tells_how_the_last_execution_went(assistant: Assistant) -> None:
    invoke_id = assistant.run_command("true", ON_2, YEARLY).invoke_id
    fire(assistant, invoke_id, 5, "Success", "Timeout")
    (one,) = assistant.describe_invocations(InvocationFilter(invoke_id=invoke_id), with_rows=True).items
    shown = invocation_summary_object(one)["InvokeInstances"]["InvokeInstance"]
    assert [each["InvocationStatus"] for each in shown] == ["Success", "Timeout"]
