"""A stop holds for those as well that the dispatch has not reached yet: it was cut off, or is still under way."""

from integration.beat.conftest import Timing
from integration.beat.test_pacing import release_once
from integration.beat.test_sweeper import MASTER, cut_off

from cloud_assistant.beat.unfinished import Unfinished
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.executions import Claimed, NotClaimed
from cloud_assistant.broker_config.ledger import load_invocation
from cloud_assistant.broker_config.records import Invocation, Pacing
from cloud_assistant.producer.invocations.describing_results import ResultFilter

NAMES = ("i-1", "i-2", "i-3")


def states(timing: Timing, invocation: Invocation) -> list[str]:
    return [timing.state(invocation.invoke_id, 0, one) for one in NAMES]


def complete(timing: Timing) -> None:
    Unfinished(timing.redis, MASTER, 100).work()


def test_what_was_stopped_is_not_completed(timing: Timing) -> None:
    invocation = cut_off(timing, age_ms=10_000, master=MASTER)
    timing.claim(invocation.invoke_id, 0, "i-1")
    changed = timing.assistant.stop_invocation(invocation.invoke_id)
    assert changed == {"i-1": "Stopping", "i-2": "Cancelled", "i-3": "Cancelled"}
    complete(timing)
    assert states(timing, invocation) == ["Stopping", "Cancelled", "Cancelled"]
    assert timing.claim(invocation.invoke_id, 0, "i-2") == NotClaimed("Cancelled", "taken")
    assert timing.redis.call("EXISTS", *map(keys.queue, NAMES[1:]), *map(keys.open_executions, NAMES[1:])) == 0
    timing.finish(invocation.invoke_id, 0, "i-1", "Terminated")
    complete(timing)
    assert load_invocation(timing.redis, invocation.invoke_id).settled == {"Terminated": 1, "Cancelled": 2}


def test_it_is_shown_as_any_other_that_was_stopped_as_it_waited(timing: Timing) -> None:
    invocation = cut_off(timing, age_ms=10_000)
    listening = timing.redis.subscribe(invocation.done_channel)
    before_ms = timing.server_ms()
    timing.assistant.stop_invocation(invocation.invoke_id)
    heard = [one[1] for one in (listening.next(5) for _ in NAMES) if one]
    listening.close()
    assert heard == [f"end {invocation.invoke_id}.0@{one} Cancelled".encode() for one in NAMES]
    usual, unwritten, _ = (timing.row(invocation.invoke_id, 0, one) for one in NAMES)
    assert usual is not None
    assert unwritten is not None
    assert before_ms <= unwritten.stop_ms == unwritten.outcome.finished_ms <= timing.server_ms()
    for name in ("state", "command_id", "created_ms", "timeout_seconds"):
        assert getattr(unwritten, name) == getattr(usual, name)
    assert timing.redis.call("ZSCORE", keys.instance_history("i-2"), unwritten.execution_id) == b"%d" % usual.created_ms
    for wanted in (ResultFilter(instance_id="i-2"), ResultFilter(command_id=invocation.command.command_id)):
        found = [one.row.execution_id for one in timing.assistant.describe_invocation_results(wanted).items]
        assert unwritten.execution_id in found


def test_of_those_that_are_left_the_others_are_completed(timing: Timing) -> None:
    invocation = cut_off(timing, age_ms=10_000, master=MASTER)
    assert timing.assistant.stop_invocation(invocation.invoke_id, ["i-2"]) == {"i-2": "Cancelled"}
    complete(timing)
    assert states(timing, invocation) == ["Pending", "Cancelled", "Pending"]
    assert isinstance(timing.claim(invocation.invoke_id, 0, "i-3"), Claimed)


def test_whoever_stands_behind_it_in_a_line_waits_for_the_one_before_it(timing: Timing) -> None:
    invocation = cut_off(timing, age_ms=10_000, master=MASTER, pacing=Pacing(at_once_count=1))
    timing.claim(invocation.invoke_id, 0, "i-1")
    timing.assistant.stop_invocation(invocation.invoke_id, ["i-2"])
    complete(timing)
    for _ in range(3):
        timing.redis.call("ZADD", keys.TIMED_WAITING, "XX", 1, f"{invocation.invoke_id}.0@i-3")
        release_once(timing)
    assert states(timing, invocation) == ["Running", "Cancelled", "Scheduled"]
    timing.finish(invocation.invoke_id, 0, "i-1")
    timing.redis.call("ZADD", keys.TIMED_WAITING, "XX", 1, f"{invocation.invoke_id}.0@i-3")
    release_once(timing)
    assert states(timing, invocation) == ["Success", "Cancelled", "Pending"]


def test_of_an_invocation_that_is_over_nothing_is_written(timing: Timing) -> None:
    """Its rows went by themselves, or somebody removed them."""
    invocation = cut_off(timing, age_ms=10_000)
    timing.redis.call("HSET", keys.invocation(invocation.invoke_id), "finished_ms", 1)
    assert timing.assistant.stop_invocation(invocation.invoke_id, ["i-2"]) == {}
    assert states(timing, invocation) == ["Pending", "", ""]
