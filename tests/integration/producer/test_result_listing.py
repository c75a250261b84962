"""Which results a listing shows, how it counts them, and how it goes on to the next page."""

from typing import Any

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.producer.api import Assistant
from cloud_assistant.producer.fleet.instances import InstanceFilter
from cloud_assistant.producer.fleet.targets import Targets
from cloud_assistant.producer.invocations import describing_results
from cloud_assistant.producer.invocations.describing import InvocationFilter
from cloud_assistant.producer.invocations.describing_results import DescribedResult, ResultFilter
from cloud_assistant.producer.invocations.invoking import RunOptions
from cloud_assistant.producer.paging import Page, PageRequest
from cloud_assistant.producer.shapes import as_base64, invocation_shape
from cloud_assistant.producer.timed.modifying import TimedModification
from cloud_assistant.producer.visibility import Visible

from .conftest import AgentStandIn

ON_1 = Targets(instance_ids=["i-1"])
ON_2 = Targets(instance_ids=["i-1", "i-2"])
YEARLY = RunOptions(schedule=Schedule(repeat_mode=RepeatMode.PERIOD, frequency="0 0 0 1 1 *"))


def fire(assistant: Assistant, invoke_id: str, due_ms: int, *states: str) -> None:
    """Write what beats and agents leave of a firing on i-1, i-2, …; without a state it was left out."""
    redis = assistant.redis
    status = "fired" if states else "skipped"
    redis.call("HSET", keys.firing(invoke_id, due_ms), "status", status, "due_ms", due_ms)
    redis.call("ZADD", keys.firings(invoke_id), due_ms, due_ms)
    for number, state in enumerate(states, 1):
        instance_id = f"i-{number}"
        execution = execution_id(invoke_id, due_ms, instance_id)
        redis.call("HSET", keys.execution(instance_id, execution), "state", state, "output", f"at {due_ms}")
        redis.call("ZADD", keys.instance_history(instance_id), due_ms, execution)
        redis.call("HSET", keys.timed_latest(invoke_id), instance_id, due_ms)


def every_page(assistant: Assistant, wanted: ResultFilter, *, by_token: bool) -> list[Page[DescribedResult]]:
    """Read pages of two as a client does, until there is no more."""
    pages: list[Page[DescribedResult]] = []
    token = ""
    while len(pages) < 20:
        number = len(pages) + 1
        request = PageRequest(max_results=2, next_token=token) if by_token else PageRequest(number=number, size=2)
        pages.append(assistant.describe_invocation_results(wanted, request))
        token = pages[-1].next_token
        if not (token if by_token else pages[-1].items):
            return pages
    raise AssertionError("the pages do not end")


def shown(pages: list[Page[DescribedResult]]) -> list[tuple[int, str, bytes]]:
    return [
        (one.row.firing_ms, one.row.instance_id, one.row.outcome.output.data) for page in pages for one in page.items
    ]


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
        assert count(**{name: right[name]}) == count(include_history=True, **{name: right[name]}) == 1, name
        assert count(**{name: value}) == 0, name
        for alone in ({name: value}, {"instance_id": "i-1", name: value}):
            wanted = ResultFilter(**dict[str, Any](alone))
            assert not assistant.describe_invocation_results(wanted).items, alone
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


@pytest.mark.parametrize("by_token", [False, True], ids=["by number", "by token"])
@pytest.mark.parametrize(("status", "due"), [("", [9, 8, 5, 3, 2]), ("Finished", [9, 5, 2]), ("Failed", [8, 3])])
def test_pages_of_a_history_show_each_result_once(
    assistant: Assistant, status: str, due: list[int], *, by_token: bool
) -> None:
    invoke_id = assistant.run_command("true", ON_2, YEARLY).invoke_id
    for due_ms in (9, 5, 2):
        fire(assistant, invoke_id, due_ms, "Success")
    for due_ms in (8, 3):
        fire(assistant, invoke_id, due_ms, "Aborted")
    for due_ms in (7, 6, 4):
        fire(assistant, invoke_id, due_ms)
    wanted = ResultFilter(invoke_id=invoke_id, include_history=True, record_status=status)
    pages = every_page(assistant, wanted, by_token=by_token)
    assert shown(pages) == [(one, "i-1", f"at {one}".encode()) for one in due]
    if not by_token:
        assert {page.total_count for page in pages} == {len(due)}


def test_a_page_by_token_passes_over_none_because_others_match_no_more(
    assistant: Assistant, agent: AgentStandIn
) -> None:
    made = assistant.run_command("true", Targets(instance_ids=["i-1", "i-2", "i-3"]))
    wanted = ResultFilter(invoke_id=made.invoke_id, record_status="Pending")
    shown_ids: list[str] = []
    token = ""
    for _ in range(3):
        page = assistant.describe_invocation_results(wanted, PageRequest(max_results=1, next_token=token))
        assert page.total_count == 3 - len(shown_ids)
        shown_ids += [one.row.instance_id for one in page.items]
        token = page.next_token
        assert bool(token) == (len(shown_ids) < 3)
        agent.run(made.invoke_id, shown_ids[-1])
    assert shown_ids == ["i-1", "i-2", "i-3"]


def test_a_page_of_named_instances_passes_over_none_because_others_match_no_more(assistant: Assistant) -> None:
    wanted = InstanceFilter(instance_ids=["i-1", "i-2"], tags={"env": "prod"})
    first = assistant.describe_instances(wanted, PageRequest(max_results=1))
    assistant.modify_instance("i-1", tags={})
    second = assistant.describe_instances(wanted, PageRequest(max_results=1, next_token=first.next_token))
    assert [one.instance_id for one in (*first.items, *second.items)] == ["i-1", "i-2"]
    assert second.next_token == ""


@pytest.mark.parametrize("by_token", [False, True], ids=["by number", "by token"])
def test_a_history_of_one_instance_shows_no_other(assistant: Assistant, *, by_token: bool) -> None:
    invoke_id = assistant.run_command("true", ON_2, YEARLY).invoke_id
    for due_ms in range(1, 6):
        fire(assistant, invoke_id, due_ms, "Success", "Failed")
    for instance_id, due in (("i-2", [5, 4, 3, 2, 1]), ("i-3", [])):
        wanted = ResultFilter(invoke_id=invoke_id, instance_id=instance_id, include_history=True)
        pages = every_page(assistant, wanted, by_token=by_token)
        assert shown(pages) == [(one, instance_id, f"at {one}".encode()) for one in due]
        assert by_token or {page.total_count for page in pages} == {len(due)}


def test_a_history_goes_on_behind_a_turn_that_is_gone(assistant: Assistant) -> None:
    invoke_id = assistant.run_command("true", ON_2, YEARLY).invoke_id
    for due_ms in (1, 2, 3):
        fire(assistant, invoke_id, due_ms, "Success", "Success")
    # One whose dispatch goes on has results already.
    assistant.redis.call("HSET", keys.firing(invoke_id, 1), "status", "dispatching")
    wanted = ResultFilter(invoke_id=invoke_id, include_history=True)
    first = assistant.describe_invocation_results(wanted, PageRequest(max_results=3))
    assistant.redis.call("ZREM", keys.firings(invoke_id), 2)
    request = PageRequest(max_results=3, next_token=first.next_token)
    pages = [first, assistant.describe_invocation_results(wanted, request)]
    assert [due_ms for due_ms, _, _ in shown(pages)] == [3, 3, 2, 1, 1]


def test_results_are_found_by_the_command_that_ran(assistant: Assistant) -> None:
    made = assistant.run_command("true", ON_2, YEARLY)
    fire(assistant, made.invoke_id, 1, "Success")
    row = keys.execution("i-1", execution_id(made.invoke_id, 1, "i-1"))
    assistant.redis.call("HSET", row, "command_id", made.command_id)
    changed_id = assistant.timed.modify(made.invoke_id, TimedModification(content=b"false"))
    for command_id, instance_id in ((made.command_id, "i-1"), (changed_id, "i-2")):
        found = assistant.describe_invocation_results(ResultFilter(invoke_id=made.invoke_id, command_id=command_id))
        assert [one.row.instance_id for one in found.items] == [instance_id]
    everywhere = assistant.describe_invocation_results(ResultFilter(command_id=changed_id))
    assert [one.row.instance_id for one in everywhere.items] == ["i-2"]


def test_what_is_half_removed_is_no_longer_there(assistant: Assistant, agent: AgentStandIn) -> None:
    invoke_id = assistant.run_command("true", ON_2).invoke_id
    agent.run(invoke_id, "i-1", "i-2")
    assistant.describe_invocations(InvocationFilter(invoke_id=invoke_id))
    assistant.redis.call("DEL", keys.execution("i-1", execution_id(invoke_id, 0, "i-1")))
    for wanted in (ResultFilter(invoke_id=invoke_id), ResultFilter()):
        found = assistant.describe_invocation_results(wanted)
        assert [one.row.instance_id for one in found.items] == ["i-2"]
    (whole,) = assistant.describe_invocations(InvocationFilter(invoke_id=invoke_id), with_rows=True).items
    assert ([row.instance_id for row in whole.rows], whole.status.state) == (["i-2"], "Success")
    for status, count in (("Finished", 1), ("Failed", 0)):
        found = assistant.describe_invocation_results(ResultFilter(instance_id="i-2", record_status=status))
        assert len(found.items) == found.total_count == count
    assistant.run_command("true", Targets(instance_ids=["i-2"]))
    # Redis was restarted empty, and the agent has delivered its result since.
    assistant.redis.call("DEL", keys.invocation(invoke_id), keys.invocation_targets(invoke_id))
    for instance_id, count in (("i-2", 1), ("i-1", 0), ("", 0)):
        found = assistant.describe_invocation_results(ResultFilter(invoke_id=invoke_id, instance_id=instance_id))
        assert len(found.items) == count, instance_id
    assert not assistant.describe_invocation_results(ResultFilter(instance_id="i-2", tags={"env": None})).items


@pytest.mark.parametrize("status", ["", "Pending"])
def test_large_ones_are_read_in_parts(assistant: Assistant, monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    assistant.run_command("true", Targets(instance_ids=["i-3", "i-1", "i-2"]))
    for name in ("_ROWS_COUNT", "_NAMES_COUNT"):
        monkeypatch.setattr(describing_results, name, 2)
    pages = every_page(assistant, ResultFilter(record_status=status), by_token=True)
    assert [instance_id for _, instance_id, _ in shown(pages)] == ["i-3", "i-1", "i-2"]


def test_a_long_history_is_shown_whole(assistant: Assistant) -> None:
    invoke_id = assistant.run_command("true", ON_1, YEARLY).invoke_id
    for due_ms in range(1, 231):
        fire(assistant, invoke_id, due_ms, *["Success"][: due_ms % 10 != 0])
    wanted = ResultFilter(invoke_id=invoke_id, include_history=True)
    page = assistant.describe_invocation_results(wanted, PageRequest(size=50, number=5))
    assert (len(page.items), page.total_count) == (7, 207)
    found: list[int] = []
    token = ""
    while token or not found:
        request = PageRequest(max_results=50, next_token=token)
        page = assistant.describe_invocation_results(wanted, request)
        found += [one.row.firing_ms for one in page.items]
        token = page.next_token
    assert found == [due_ms for due_ms in range(230, 0, -1) if due_ms % 10]


def test_a_history_goes_on_where_it_was_while_new_firings_come(assistant: Assistant) -> None:
    invoke_id = assistant.run_command("true", ON_2, YEARLY).invoke_id
    for due_ms in range(1, 5):
        fire(assistant, invoke_id, due_ms, "Success", "Success")
    wanted = ResultFilter(invoke_id=invoke_id, include_history=True)
    pages = [assistant.describe_invocation_results(wanted, PageRequest(max_results=3))]
    while pages[-1].next_token:
        fire(assistant, invoke_id, 10 + len(pages), "Success")
        request = PageRequest(max_results=3, next_token=pages[-1].next_token)
        pages.append(assistant.describe_invocation_results(wanted, request))
    found = [(due_ms, instance_id) for due_ms, instance_id, _ in shown(pages)]
    assert found == [(due_ms, instance_id) for due_ms in (4, 3, 2, 1) for instance_id in ("i-1", "i-2")]


@pytest.mark.parametrize("by_token", [False, True], ids=["by number", "by token"])
def test_results_of_many_invocations_are_counted(assistant: Assistant, agent: AgentStandIn, *, by_token: bool) -> None:
    made = [assistant.run_command("true", ON_2).invoke_id for _ in range(3)]
    for one in made:
        agent.run(one, "i-1")
    for status, count in (("", 6), ("Finished", 3), ("Failed", 0)):
        pages = every_page(assistant, ResultFilter(record_status=status), by_token=by_token)
        results = [(one.row.invoke_id, one.row.instance_id) for page in pages for one in page.items]
        expected = [(one, target) for one in reversed(made) for target in ("i-1", "i-2")]
        assert results == [one for one in expected if not status or one[1] == "i-1"][:count]
        if not by_token:
            assert {page.total_count for page in pages} == {count}


def test_a_page_by_token_goes_on_behind_an_invocation_that_is_gone(assistant: Assistant) -> None:
    first, second, third = (assistant.run_command("true", ON_2).invoke_id for _ in range(3))
    page = assistant.describe_invocation_results(ResultFilter(), PageRequest(max_results=3))
    assert [one.row.invoke_id for one in page.items] == [third, third, second]
    assistant.redis.call("DEL", keys.invocation(second))
    request = PageRequest(max_results=3, next_token=page.next_token)
    page = assistant.describe_invocation_results(ResultFilter(), request)
    assert [(one.row.invoke_id, one.row.instance_id) for one in page.items] == [(first, "i-1"), (first, "i-2")]


@pytest.mark.parametrize("by_token", [False, True], ids=["by number", "by token"])
def test_a_timed_invocation_is_listed_once_for_an_instance(assistant: Assistant, *, by_token: bool) -> None:
    older, timed, other = (assistant.run_command("true", ON_1, options).invoke_id for options in (None, YEARLY, YEARLY))
    for due_ms in range(2**41, 2**41 + 7):
        fire(assistant, timed, due_ms, "Success")
        fire(assistant, other, due_ms, "Failed")
    wanted = ResultFilter(instance_id="i-1")
    pages = every_page(assistant, wanted, by_token=by_token)
    assert {(one.row.invoke_id, one.row.firing_ms) for page in pages for one in page.items} == {
        (older, 0),
        (timed, 2**41 + 6),
        (other, 2**41 + 6),
    }
    assert by_token or {page.total_count for page in pages} == {3}
    history = every_page(assistant, ResultFilter(instance_id="i-1", include_history=True), by_token=by_token)
    assert len(shown(history)) == 15

    listed: list[str] = []
    request = PageRequest(max_results=2) if by_token else PageRequest(size=2)
    for number in (1, 2):
        found = assistant.describe_invocations(InvocationFilter(instance_id="i-1"), request, with_rows=True)
        listed += [one.stored.record.invoke_id for one in found.items]
        assert by_token or found.total_count == 3
        request = PageRequest(max_results=2, next_token=found.next_token) if by_token else PageRequest(size=2, number=2)
        assert bool(found.next_token) == (by_token and number == 1)
    assert sorted(listed) == sorted([older, timed, other])


def test_what_ran_before_many_turns_of_a_schedule_is_on_the_same_page(assistant: Assistant) -> None:
    older, timed = (assistant.run_command("true", ON_1, options).invoke_id for options in (None, YEARLY))
    fire(assistant, timed, 2**41, "Success")
    turns: list[tuple[int, str]] = [
        (2**41 - turn, execution_id(timed, 2**41 - turn, "i-1")) for turn in range(1, 21_000)
    ]
    assistant.redis.call("ZADD", keys.instance_history("i-1"), *(one for turn in turns for one in turn))
    for request in (PageRequest(), PageRequest(max_results=10)):
        page = assistant.describe_invocation_results(ResultFilter(instance_id="i-1"), request)
        assert [one.row.invoke_id for one in page.items] == [timed, older]
        assert page.total_count == (0 if request.by_token else 2)


def test_a_target_that_has_not_had_its_turn_is_shown_as_scheduled(assistant: Assistant) -> None:
    invoke_id = assistant.run_command("true", ON_2, YEARLY).invoke_id

    def states(**wanted: Any) -> list[tuple[str, str]]:
        page = assistant.describe_invocation_results(ResultFilter(invoke_id=invoke_id, **wanted))
        assert page.total_count == len(page.items)
        return [(one.row.instance_id, one.row.state) for one in page.items]

    def states_in_listing() -> list[tuple[str, str]]:
        (one,) = assistant.describe_invocations(InvocationFilter(invoke_id=invoke_id), with_rows=True).items
        return [(row.instance_id, row.state) for row in one.rows]

    assert states() == states_in_listing() == [("i-1", "Scheduled"), ("i-2", "Scheduled")]
    assert states(record_status="Running", instance_id="i-2") == [("i-2", "Scheduled")]
    assert len(assistant.describe_invocation_results(ResultFilter(record_status="Scheduled")).items) == 2
    fire(assistant, invoke_id, 5, "Success")
    assert states() == states_in_listing() == [("i-1", "Success"), ("i-2", "Scheduled")]
    assistant.stop_invocation(invoke_id)
    assert states() == states_in_listing() == [("i-1", "Success"), ("i-2", "Cancelled")]


def test_a_target_that_has_no_row_yet_waits(assistant: Assistant) -> None:
    invoke_id = assistant.run_command("true", ON_2).invoke_id
    # As a producer leaves it that ends between two chunks of targets, until a beat goes on.
    assistant.redis.call("DEL", keys.execution("i-2", execution_id(invoke_id, 0, "i-2")))
    for status in ("", "Pending", "Running"):
        page = assistant.describe_invocation_results(ResultFilter(invoke_id=invoke_id, record_status=status))
        assert [(one.row.instance_id, one.row.state) for one in page.items] == [("i-1", "Pending"), ("i-2", "Pending")]


def test_the_older_word_for_a_timed_invocation_is_running_until_it_is_over(assistant: Assistant) -> None:
    invoke_id = assistant.run_command("true", ON_2, YEARLY).invoke_id
    fire(assistant, invoke_id, 5, "Success", "Timeout")

    def words(**wanted: Any) -> list[str]:
        asked = ResultFilter(invoke_id=invoke_id, **wanted)
        return [one.legacy_status for one in assistant.describe_invocation_results(asked).items]

    def words_in_listing() -> list[str]:
        (one,) = assistant.describe_invocations(InvocationFilter(invoke_id=invoke_id), with_rows=True).items
        instances = invocation_shape(one, as_base64, include_output=False)["InvokeInstances"]["InvokeInstance"]
        return [shape["InstanceInvokeStatus"] for shape in instances]

    assert words() == words_in_listing() == words(record_status="Running") == ["Running", "Running"]
    assert words(record_status="Finished") == []
    assert words(record_status="Success") == []
    # Each firing by itself is over.
    assert words(include_history=True) == ["Finished", "Failed"]
    wanted = ResultFilter(instance_id="i-1", include_history=True)
    assert [one.legacy_status for one in assistant.describe_invocation_results(wanted).items] == ["Finished"]
    assistant.stop_invocation(invoke_id)
    assert words() == words_in_listing() == ["Finished", "Failed"]
    assert words(record_status="Finished") == ["Finished"]


@pytest.mark.parametrize("by_token", [False, True], ids=["by number", "by token"])
def test_what_will_run_on_an_instance_is_found_before_it_has(assistant: Assistant, *, by_token: bool) -> None:
    made = [assistant.run_command("true", targets, YEARLY).invoke_id for targets in (ON_2, ON_1, ON_2, ON_2)]
    assistant.stop_invocation(made[3])
    fire(assistant, made[0], 5, "Success", "Success")
    listed: list[str] = []
    request = PageRequest(max_results=1) if by_token else PageRequest(size=1)
    for number in (1, 2):
        wanted = InvocationFilter(instance_id="i-2", timed=True)
        found = assistant.describe_invocations(wanted, request, with_rows=True)
        listed += [one.stored.record.invoke_id for one in found.items]
        assert by_token or found.total_count == 2
        request = PageRequest(max_results=1, next_token=found.next_token) if by_token else PageRequest(size=1, number=2)
        assert bool(found.next_token) == (by_token and number == 1)
        assert [row.instance_id for row in found.items[0].rows] == ["i-2"]
    assert listed == [made[2], made[0]]


def test_a_start_of_a_machine_that_is_not_noted_yet_does_not_list_an_invocation_twice(assistant: Assistant) -> None:
    every_boot = RunOptions(schedule=Schedule(repeat_mode=RepeatMode.EVERY_REBOOT))
    invoke_id = assistant.run_command("true", ON_1, every_boot).invoke_id
    for due_ms in (5, 9):
        fire(assistant, invoke_id, due_ms, "Success")
    # What the agent has made of the later start, before a beat has noted it.
    assistant.redis.call("HSET", keys.timed_latest(invoke_id), "i-1", 5)
    assert len(assistant.describe_invocations(InvocationFilter(instance_id="i-1")).items) == 1
    page = assistant.describe_invocation_results(ResultFilter(instance_id="i-1"))
    assert [one.row.firing_ms for one in page.items] == [9]
    assistant.redis.call("HDEL", keys.timed_latest(invoke_id), "i-1")
    assert len(assistant.describe_invocations(InvocationFilter(instance_id="i-1")).items) == 1
