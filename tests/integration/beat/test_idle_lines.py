"""Lines that are done take over from those that an instance holds up, and never do more run than may."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from integration.beat.conftest import Timing

from cloud_assistant.beat.decisions import Policies
from cloud_assistant.beat.firing_chunks import ChunkBuilder
from cloud_assistant.beat.idle_lines import IdleLines
from cloud_assistant.beat.preparing import Prepared, Preparer
from cloud_assistant.beat.releasing import Releases
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.followers import follow_another_command, followers_key
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.pacing import lines
from cloud_assistant.broker_config.records import Pacing, RepeatMode, Schedule
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Command
from cloud_assistant.broker_config.states import is_final
from cloud_assistant.producer import RunOptions, Targets
from harness.eventually import always, eventually

TARGETS = [f"i-{number}" for number in range(1, 10)]
POLICIES = Policies("latest", 10, 3_600_000, 60_000)
YEARLY = "0 0 0 1 1 *"


@dataclass
class Paced(Timing):
    """What does not run everywhere at once: invocations that run once, or firings of timed ones."""

    is_timed: bool = False


@pytest.fixture(params=["once", "timed"])
def paced(timing: Timing, request: pytest.FixtureRequest) -> Paced:
    for name in TARGETS[3:]:
        timing.assistant.add_instance(name)
    return Paced(timing.assistant, timing.system, is_timed=request.param == "timed")


class Dispatch:
    """A dispatch to nine instances, and a stand-in for their agents and for a beat."""

    def __init__(self, timing: Paced, at_once: int, stop_at: str = "") -> None:
        self.timing = timing
        self.at_once = at_once
        schedule = Schedule(repeat_mode=RepeatMode.PERIOD, frequency=YEARLY) if timing.is_timed else Schedule()
        request = RunOptions(
            at_once=str(at_once), stop_at=stop_at, timeout_seconds=600, deliver_within_seconds=600, schedule=schedule
        )
        self.invoke_id = timing.assistant.run_command("true", Targets(instance_ids=TARGETS), request).invoke_id
        self.neighbours = lines(TARGETS, Pacing(at_once_count=at_once))
        self.firing_ms = self._fire() if timing.is_timed else 0

    def _fire(self) -> int:
        due_ms = self.timing.server_ms()
        self.timing.set_back(self.invoke_id, due_ms)
        preparer = Preparer(self.timing.redis, ChunkBuilder(None, "beat", 100), POLICIES)
        [prepared] = preparer.prepare([self.invoke_id], due_ms)
        assert isinstance(prepared, Prepared)
        assert run(self.timing.redis, prepared.command)[:2] == [b"opened", 1]
        return due_ms

    def states(self) -> list[str]:
        rows = [keys.execution(one, execution_id(self.invoke_id, self.firing_ms, one)) for one in TARGETS]
        replies = self.timing.redis.pipeline([("HGET", row, "state") for row in rows])
        return [reply.decode() if isinstance(reply, bytes) else "" for reply in replies]

    def in_state(self, *states: str) -> list[str]:
        return [one for one, state in zip(TARGETS, self.states(), strict=True) if state in states]

    def under_way(self) -> list[str]:
        return self.in_state("Pending", "Running")

    def perform(self, instance_id: str, state: str = "Success") -> None:
        self.timing.claim(self.invoke_id, self.firing_ms, instance_id)
        self.timing.finish(self.invoke_id, self.firing_ms, instance_id, state)

    def look(self) -> None:
        """One turn of a beat that has not been at work before, and finds all of them due."""
        for name in self.timing.redis.call("ZRANGE", keys.TIMED_WAITING, 0, -1):
            self.timing.redis.call("ZADD", keys.TIMED_WAITING, 1, name)
        releases = Releases(self.timing.redis, token="beat", queue_count=10, confirm_ms=1000)
        releases.next_ms = 1
        releases.work(self.timing.server_ms())

    def settle(self) -> None:
        """Look until nothing changes by that; whatever happens, no more are under way than may be.

        With each look one that never ran is stepped over.
        """
        unchanged_count, before = 0, self.states()
        while unchanged_count < 5:
            self.look()
            assert len(self.under_way()) <= self.at_once
            unchanged_count = unchanged_count + 1 if before == (before := self.states()) else 0

    def follow(self, instance_id: str, before: str, ended: str) -> int:
        command = follow_another_command(
            self.invoke_id, self.firing_ms, instance_id, before=before, ended=ended, neighbours=self.neighbours
        )
        answer: int = run(self.timing.redis, command)
        return answer


def test_an_instance_that_takes_long_holds_up_nobody(paced: Paced) -> None:
    paced.start_beat()
    dispatch = Dispatch(paced, 2)
    paced.claim(dispatch.invoke_id, dispatch.firing_ms, "i-1")
    done: list[str] = []
    while len(done) < len(TARGETS) - 1:
        following = eventually(lambda: dispatch.in_state("Pending"), what=f"another one let go after {done}")
        assert len(following) == 1
        dispatch.perform(following[0])
        done += following
    # Its own line first, then what stood behind the one that takes long, from the end.
    assert done == ["i-2", "i-4", "i-6", "i-8", "i-9", "i-7", "i-5", "i-3"]
    assert dispatch.in_state("Running") == ["i-1"]
    assert paced.redis.call("ZCARD", keys.TIMED_WAITING) == 0
    # What waits may wait for a month.
    left_ms = paced.redis.call("PTTL", followers_key(dispatch.invoke_id, dispatch.firing_ms))
    assert 30 * 86_400_000 < left_ms <= 31 * 86_400_000


def test_lines_that_are_busy_take_nothing(paced: Paced) -> None:
    dispatch = Dispatch(paced, 3)
    for one in ("i-1", "i-2", "i-3"):
        paced.claim(dispatch.invoke_id, dispatch.firing_ms, one)
    paced.start_beat()
    always(lambda: dispatch.in_state("Scheduled") == TARGETS[3:], 1.0)
    assert paced.redis.call("EXISTS", followers_key(dispatch.invoke_id, dispatch.firing_ms)) == 0


def test_one_that_was_stopped_at_the_end_of_a_line_hides_nobody_before_it(paced: Paced) -> None:
    dispatch = Dispatch(paced, 2)
    paced.claim(dispatch.invoke_id, dispatch.firing_ms, "i-1")
    paced.assistant.stop_invocation(dispatch.invoke_id, ["i-9", "i-7"])
    for one in ("i-2", "i-4", "i-6", "i-8", "i-5", "i-3"):
        dispatch.settle()
        assert dispatch.in_state("Pending") == [one]
        dispatch.perform(one)
    dispatch.settle()
    assert dispatch.in_state("Running") == ["i-1"]


def test_a_line_whose_last_one_was_stopped_is_idle_only_when_the_one_before_it_has_ended(paced: Paced) -> None:
    dispatch = Dispatch(paced, 2)
    paced.claim(dispatch.invoke_id, dispatch.firing_ms, "i-1")
    paced.claim(dispatch.invoke_id, dispatch.firing_ms, "i-2")
    paced.assistant.stop_invocation(dispatch.invoke_id, ["i-4", "i-6", "i-8"])
    dispatch.settle()
    assert dispatch.in_state("Pending") == []
    paced.finish(dispatch.invoke_id, dispatch.firing_ms, "i-2")
    dispatch.settle()
    assert dispatch.in_state("Pending") == ["i-9"]


@pytest.mark.parametrize("paced", ["once"], indirect=True)  # of a firing he stands in no line
def test_a_line_in_which_nobody_ran_takes_over_too(paced: Paced) -> None:
    paced.redis.call("HSET", keys.quarantine("i-4"), "reason", "a test")
    dispatch = Dispatch(paced, 4)
    for one in ("i-1", "i-2", "i-3"):
        paced.claim(dispatch.invoke_id, dispatch.firing_ms, one)
    paced.assistant.stop_invocation(dispatch.invoke_id, ["i-8"])
    dispatch.settle()
    assert dispatch.in_state("Pending") == ["i-6"]


class Counted(Redis):
    """A connection that counts its round trips."""

    count = 0

    def pipeline(self, commands: Sequence[Command], *, timeout_seconds: float | None = None) -> list[Any]:
        self.count += 1
        return super().pipeline(commands, timeout_seconds=timeout_seconds)


def test_an_invocation_is_read_once_and_its_lines_a_few_times_a_second(paced: Paced) -> None:
    dispatch = Dispatch(paced, 2)
    counted = Counted(paced.redis.url)
    idle_lines = IdleLines(counted)

    def look() -> int:
        before = counted.count
        idle_lines.fill([(dispatch.invoke_id, dispatch.firing_ms)])
        return counted.count - before

    first = look()
    always(lambda: look() == 0, 0.1)
    assert 0 < eventually(look) < first
    counted.close()


def test_what_is_not_paced_or_is_gone_has_no_lines(paced: Paced) -> None:
    # An agent could write into its row that it waits for its turn.
    plain = paced.assistant.run_command("true", Targets(instance_ids=TARGETS)).invoke_id
    IdleLines(paced.redis).fill([(plain, 0), (plain, 1), ("t-gone00000", 0)])
    assert paced.redis.call("EXISTS", keys.invocation_followers(plain)) == 0


def test_failures_are_counted_in_whatever_line_they_were(paced: Paced) -> None:
    dispatch = Dispatch(paced, 2, stop_at="3")
    paced.claim(dispatch.invoke_id, dispatch.firing_ms, "i-1")
    for one, state in (("i-2", "Success"), ("i-4", "Failed"), ("i-6", "Failed"), ("i-8", "Success"), ("i-9", "Failed")):
        dispatch.settle()
        assert dispatch.in_state("Pending") == [one]
        dispatch.perform(one, state)
    dispatch.settle()
    assert dispatch.in_state("Cancelled") == ["i-3", "i-5", "i-7"]
    assert dispatch.in_state("Running") == ["i-1"]


def test_a_place_is_taken_once(paced: Paced) -> None:
    dispatch = Dispatch(paced, 2)
    dispatch.perform("i-2")
    assert dispatch.follow("i-9", before="i-7", ended="i-2") == 0, "the next in its line stands there"
    assert dispatch.follow("i-9", before="i-5", ended="i-8") == 0, "it stands behind another one"
    paced.assistant.stop_invocation(dispatch.invoke_id, ["i-7"])
    assert dispatch.follow("i-7", before="i-5", ended="i-8") == 0, "it waits no longer"
    assert dispatch.follow("i-9", before="i-7", ended="i-8") == 1
    assert dispatch.follow("i-9", before="i-7", ended="i-8") == 0
    assert dispatch.follow("i-5", before="i-3", ended="i-8") == 0, "somebody stands there by now"
    assert dispatch.follow("i-5", before="i-3", ended="i-9") == 1
    # Who moved away leaves the place that it had taken.
    assert dispatch.follow("i-9", before="i-8", ended="i-7") == 1
    assert dispatch.follow("i-5", before="i-9", ended="i-8") == 1
    row = keys.execution("i-5", execution_id(dispatch.invoke_id, dispatch.firing_ms, "i-5"))
    assert paced.redis.call("HGET", row, "waits_for").decode() == execution_id(
        dispatch.invoke_id, dispatch.firing_ms, "i-8"
    )


def test_a_stolen_instance_that_spoils_its_row_holds_up_its_own_line_and_no_other(paced: Paced) -> None:
    dispatch = Dispatch(paced, 3)
    row = keys.execution("i-9", execution_id(dispatch.invoke_id, dispatch.firing_ms, "i-9"))
    paced.redis.call("DEL", row)
    paced.redis.call("SET", row, "no row")
    paced.claim(dispatch.invoke_id, dispatch.firing_ms, "i-3")
    paced.claim(dispatch.invoke_id, dispatch.firing_ms, "i-1")
    for one in ("i-2", "i-5", "i-8", "i-7", "i-4"):
        dispatch.settle()
        assert dispatch.in_state("Pending") == [one]
        dispatch.perform(one)
    dispatch.settle()
    assert dispatch.in_state("Scheduled") == ["i-6"]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_no_more_run_than_may_and_none_is_idle(paced: Paced, seed: int) -> None:
    chosen = random.Random(seed)
    at_once = chosen.randint(1, 4)
    dispatch = Dispatch(paced, at_once)
    long_one = chosen.choice(TARGETS[:at_once])
    while not all(is_final(state) for one, state in zip(TARGETS, dispatch.states(), strict=True) if one != long_one):
        dispatch.settle()
        assert len(dispatch.under_way()) == at_once or not dispatch.in_state("Scheduled")
        for one in chosen.sample(dispatch.under_way(), k=chosen.randint(0, len(dispatch.under_way()))):
            if one != long_one or at_once == 1:
                dispatch.perform(one, chosen.choice(["Success", "Failed", "Timeout"]))
        if dispatch.in_state("Scheduled") and chosen.random() < 0.3:
            paced.assistant.stop_invocation(dispatch.invoke_id, [chosen.choice(dispatch.in_state("Scheduled"))])
        if chosen.random() < 0.5:
            dispatch.look()
    dispatch.perform(long_one)
    dispatch.settle()
    assert paced.redis.call("ZCARD", keys.TIMED_WAITING) == 0
