"""Which results a listing shows, how it counts them, and how it goes on to the next page."""

from typing import Any

import pytest

from cloud_assistant.producer.api import Assistant
from cloud_assistant.producer.describing import InvocationFilter
from cloud_assistant.producer.describing_results import ResultFilter
from cloud_assistant.producer.invoking import RunOptions
from cloud_assistant.producer.targets import Targets
from cloud_assistant.producer.visibility import Visible

from .conftest import AgentStandIn

ON_1 = Targets(instance_ids=["i-1"])


def test_results_of_one_invocation_pass_every_filter(assistant: Assistant, agent: AgentStandIn) -> None:
    options = RunOptions(tags={"env": "prod"}, resource_group_id="rg-1")
    made = assistant.run_command("true", ON_1, options)
    agent.run(made.invoke_id, "i-1")

    def count(**wanted: Any) -> int:
        page = assistant.describe_invocation_results(ResultFilter(invoke_id=made.invoke_id, **wanted))
        assert page.total_count == len(page.items)
        return page.total_count

    right: dict[str, Any] = {
        "command_id": made.command_id,
        "tags": {"env": "prod"},
        "resource_group_id": "rg-1",
        "record_status": "Finished",
        "instance_id": "i-1",
    }
    wrong = ("c-other", {"env": "test"}, "rg-2", "Failed", "i-2")
    assert count(**right) == 1
    for name, value in zip(right, wrong, strict=True):
        assert count(**{name: right[name]}) == 1, name
        assert count(**{**right, name: value}) == 0, name


@pytest.mark.parametrize("by_id", [True, False])
def test_an_invocation_is_not_found_by_an_instance_that_it_is_not_for(assistant: Assistant, *, by_id: bool) -> None:
    invoke_id = assistant.run_command("true", ON_1).invoke_id
    named: dict[str, Any] = {"invoke_id": invoke_id} if by_id else {}
    for instance_id, count in (("i-1", 1), ("i-2", 0)):
        wanted = InvocationFilter(instance_id=instance_id, **named)
        page = assistant.describe_invocations(wanted, with_rows=True)
        assert (len(page.items), page.total_count) == (count, count)


def test_an_instance_that_may_not_be_seen_tells_nothing_of_what_ran_on_it(assistant: Assistant) -> None:
    assistant.run_command("true", Targets(everything=True))
    visible = Visible("one", instance_ids=["i-2"])
    for instance_id, count in (("i-2", 1), ("i-1", 0)):
        wanted = InvocationFilter(instance_id=instance_id, visible=visible)
        assert len(assistant.describe_invocations(wanted, with_rows=True).items) == count
