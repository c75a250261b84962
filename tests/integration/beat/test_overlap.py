"""What happens to an instance whose last execution has not ended when the next is due."""

import pytest
from integration.beat.conftest import Timing

from cloud_assistant.beat.releasing import Releases
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.executions import request_stop_command
from cloud_assistant.broker_config.functions.function_library import load_library, run
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.timed.firing_rows import Firing
from cloud_assistant.producer.following.waiting import Ended, Progress
from cloud_assistant.producer.invocations.describing_results import ResultFilter
from cloud_assistant.producer.shapes import as_text, result_shape
from harness.eventually import always, eventually


def first_running(timing: Timing, invoke_id: str, *instance_ids: str) -> Firing:
    """The first firing, its executions claimed as by agents."""
    firing = timing.wait_for_firings(invoke_id, 1)[0]
    for one in instance_ids:
        timing.claim(invoke_id, firing, one)
        assert timing.state(invoke_id, firing, one) == "Running"
    return firing


def after(timing: Timing, invoke_id: str, firing: Firing) -> Firing:
    """The firing after one."""
    found = timing.wait_for_firings(invoke_id, len(timing.firings(invoke_id)) + 1)
    return next(one for one in found if one.due_ms > firing.due_ms)


def test_skip_leaves_out_the_instance_that_is_busy_and_names_it(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke("i-1", "i-2")
    first = first_running(timing, invoke_id, "i-1")
    second = after(timing, invoke_id, first)
    assert (second.status, second.overlap) == ("fired", ("i-1",))
    assert timing.state(invoke_id, second, "i-1") == ""
    assert timing.state(invoke_id, second, "i-2")
    timing.finish(invoke_id, first)
    eventually(lambda: timing.state(invoke_id, timing.firings(invoke_id)[-1], "i-1"), what="i-1 takes part again")


def test_skip_leaves_out_the_whole_due_time_when_every_instance_is_busy(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke("i-1")
    first = first_running(timing, invoke_id, "i-1")
    second = after(timing, invoke_id, first)
    assert (second.status, second.reason, second.overlap) == ("skipped", "overlap", ("i-1",))
    assert timing.timed(invoke_id).fired_count == 1
    # What is shown of it is still the execution that runs.
    page = timing.assistant.describe_invocations(with_rows=True)
    assert [(row.firing_ms, row.state) for row in page.items[0].rows] == [(first.due_ms, "Running")]
    assert page.items[0].status.state == "Running"


def test_who_follows_an_execution_is_not_told_of_the_next_one(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke("i-1", "i-2", overlap="allow")
    first = first_running(timing, invoke_id, "i-1", "i-2")
    events = timing.assistant.follow(invoke_id, timeout_seconds=20, live=False)
    assert [next(events), next(events)] == [Progress("i-1", "Running"), Progress("i-2", "Running")]
    timing.finish(invoke_id, first, "i-1")
    ends = [next(events)]
    second = after(timing, invoke_id, first)
    assert timing.state(invoke_id, second, "i-2") == "Pending"
    # What is announced now is lost, and the ledger is looked at.
    assert timing.redis.call("CLIENT", "KILL", "TYPE", "pubsub")
    timing.finish(invoke_id, first, "i-2")
    ends += events
    rows = [one.row for one in ends if isinstance(one, Ended)]
    assert [(row.instance_id, row.firing_ms) for row in rows] == [("i-1", first.due_ms), ("i-2", first.due_ms)]
    assert len(ends) == 2


def test_of_each_instance_its_own_executions_are_counted(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke("i-1", "i-2", "i-3", frequency="*/4 * * * * *")
    first = first_running(timing, invoke_id, "i-1", "i-2")
    timing.finish(invoke_id, first, "i-2")
    second = after(timing, invoke_id, first)
    timing.claim(invoke_id, second, "i-2")
    assert timing.state(invoke_id, second, "i-2") == "Running"
    found = timing.assistant.describe_invocation_results(ResultFilter(invoke_id=invoke_id)).items
    # One was left out because it is busy, and one never took what it was given.
    shapes = [result_shape(one, as_text) for one in found]
    assert {one["InstanceId"]: one["Repeats"] for one in shapes} == {"i-1": 1, "i-2": 2, "i-3": 0}


def test_queue_lets_the_next_one_wait_for_the_end_of_the_last(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke("i-1", frequency="*/4 * * * * *", overlap="queue")
    first = first_running(timing, invoke_id, "i-1")
    second = after(timing, invoke_id, first)
    assert timing.state(invoke_id, second) == "Scheduled"
    assert timing.redis.call("LLEN", keys.queue("i-1")) == 1  # the first one's, which the stand-in left there
    timing.finish(invoke_id, first)
    eventually(lambda: timing.state(invoke_id, second) == "Pending", 2)
    assert timing.redis.call("LLEN", keys.queue("i-1")) == 2
    assert second.waiting_count == 1


def test_what_waited_in_vain_is_given_up_when_the_next_is_due(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke("i-1", overlap="queue")
    first = first_running(timing, invoke_id, "i-1")
    second = after(timing, invoke_id, first)
    row = eventually(lambda: row if (row := timing.row(invoke_id, second)) and row.state == "Aborted" else None)
    assert row.outcome.error_code == "DeliveryTimeout"
    assert "before this one" in row.outcome.error_info
    assert timing.state(invoke_id, first) == "Running"


def test_cancel_stops_the_last_one_and_starts_the_next_after_its_end(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke("i-1", frequency="*/4 * * * * *", overlap="cancel")
    first = first_running(timing, invoke_id, "i-1")
    second = after(timing, invoke_id, first)
    eventually(lambda: timing.state(invoke_id, first) == "Stopping", 2)
    assert timing.state(invoke_id, second) == "Scheduled"
    timing.finish(invoke_id, first, state="Terminated")
    eventually(lambda: timing.state(invoke_id, second) == "Pending", 2)


def test_allow_runs_both(timing: Timing) -> None:
    timing.start_beat()
    invoke_id = timing.invoke("i-1", overlap="allow")
    first = first_running(timing, invoke_id, "i-1")
    second = after(timing, invoke_id, first)
    assert timing.state(invoke_id, second) in ("Pending", "Aborted")
    assert timing.state(invoke_id, first) == "Running"


@pytest.mark.parametrize("policy", ["queue", "cancel"])
def test_what_comes_after_one_that_waited_in_vain_waits_for_the_same_end(timing: Timing, policy: str) -> None:
    timing.start_beat()
    invoke_id = timing.invoke("i-1", overlap=policy)
    first = first_running(timing, invoke_id, "i-1")
    later = timing.wait_for_firings(invoke_id, 5)[1:]
    states = {timing.state(invoke_id, one) for one in later}
    assert states <= {"Scheduled", "Aborted"}, "nothing starts beside what runs"
    assert timing.state(invoke_id, first) in ("Running", "Stopping")
    timing.finish(invoke_id, first, state="Success" if policy == "queue" else "Terminated")
    eventually(lambda: is_any_pending(timing, invoke_id), 4, "the wait is over")


def is_any_pending(timing: Timing, invoke_id: str) -> bool:
    return any(timing.state(invoke_id, one) == "Pending" for one in timing.firings(invoke_id))


def test_one_that_waits_for_a_waiting_one_waits_for_its_predecessor_when_that_is_stopped(timing: Timing) -> None:
    invoke_id = timing.invoke("i-1", frequency="*/10 * * * * *", overlap="queue", misfire="all")
    due = timing.timed(invoke_id).due
    assert due is not None
    timing.set_back(invoke_id, due.utc_ms - 30_000)
    timing.start_beat()
    running, waiting, last = timing.wait_for_firings(invoke_id, 3)[:3]
    timing.claim(invoke_id, running)
    middle = execution_id(invoke_id, waiting.due_ms, "i-1")
    stop = request_stop_command("i-1", middle, confirm_ms=1000)
    run(timing.redis, stop)
    assert timing.state(invoke_id, waiting) == "Cancelled"
    always(lambda: timing.state(invoke_id, last) == "Scheduled", 1.0)
    timing.finish(invoke_id, running)
    eventually(lambda: timing.state(invoke_id, last) == "Pending", 3)


@pytest.mark.parametrize(
    ("state", "asked", "messages_count"),
    [("Running", "Stopping", 1), ("Pending", "Cancelled", 0), ("Success", "Success", 0)],
)
def test_one_that_is_to_make_room_is_asked_once(timing: Timing, state: str, asked: str, messages_count: int) -> None:
    load_library(timing.redis)
    last_ms = timing.server_ms() + 60_000
    before, waiting = (execution_id("t-0123456789", number, "i-1") for number in (1, 2))
    rows: dict[str, tuple[str | int, ...]] = {
        before: ("state", state, "deadline_ms", last_ms),
        waiting: ("state", "Scheduled", "deadline_ms", last_ms, "waits_for", before, "stops_previous", 1),
    }
    for one, fields in rows.items():
        timing.redis.call("HSET", keys.execution("i-1", one), *fields)
    releases = Releases(timing.redis, token="beat", queue_count=10, confirm_ms=1000)
    for _ in range(3):
        timing.redis.call("ZADD", keys.TIMED_WAITING, 1, waiting)
        releases.next_ms = 1
        releases.work(timing.server_ms())
    assert timing.state("t-0123456789", 1) == asked
    assert timing.redis.call("LLEN", keys.control("i-1")) == messages_count
