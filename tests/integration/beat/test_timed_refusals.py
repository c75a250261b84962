"""Changes of timed invocations that are refused, or overtaken by somebody else: nothing of them is left."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import pytest
from integration.beat.conftest import EVERY_SECOND, Timing

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import Refused, RequestInvalid
from cloud_assistant.broker_config.records import RepeatMode
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Command
from cloud_assistant.producer import RunOptions, Schedule, Targets
from cloud_assistant.producer.timed import modifying
from cloud_assistant.producer.timed.modifying import TimedModification, modify
from cloud_assistant.producer.timed.stopping import pause

DAILY = "0 0 3 * * *"


class Overtaken(Redis):
    """A connection on which somebody else does something before each call of one function."""

    function = ""
    meanwhile: Callable[[], object]
    count = 0

    def pipeline(self, commands: Sequence[Command], *, timeout_seconds: float | None = None) -> list[Any]:
        if any(command[0] == "FCALL" and str(command[1]).startswith(self.function) for command in commands):
            self.count += 1
            self.meanwhile()
        return super().pipeline(commands, timeout_seconds=timeout_seconds)


@contextmanager
def overtaken(timing: Timing, function: str, meanwhile: Callable[[], object]) -> Iterator[Overtaken]:
    with closing(Overtaken(timing.redis.url)) as redis:
        redis.function, redis.meanwhile = function, meanwhile
        yield redis


def kept(timing: Timing) -> str:
    """A timed invocation of a command in the library."""
    command_id = timing.assistant.create_command(name="n", type="RunShellScript", content="true")
    schedule = Schedule(frequency=DAILY)
    return timing.assistant.invoke_command(
        command_id, Targets(instance_ids=["i-1"]), RunOptions(schedule=schedule)
    ).invoke_id


def library(timing: Timing) -> list[bytes]:
    found: list[bytes] = timing.redis.call("ZRANGE", keys.COMMANDS, 0, -1)
    return found


def test_new_content_needs_room_in_the_library(timing: Timing) -> None:
    invoke_id = kept(timing)
    settings = timing.assistant.settings
    full = replace(settings, limits=replace(settings.limits, commands_count=1))
    before = library(timing)
    with pytest.raises(Refused) as refused:
        modify(timing.redis, invoke_id, TimedModification(content=b"false"), full, None)
    assert refused.value.code == "CommandLimitExceeded"
    modify(timing.redis, invoke_id, TimedModification(frequency="0 0 4 * * *"), full, None)
    assert library(timing) == before


def test_what_runs_when_machines_start_has_no_frequency(timing: Timing) -> None:
    invoke_id = timing.invoke(frequency="", repeat_mode=RepeatMode.EVERY_REBOOT)
    for change in (TimedModification(frequency=DAILY), TimedModification(at_once="1")):
        with pytest.raises(RequestInvalid, match="runs when machines start and has no frequency") as refused:
            timing.assistant.timed.modify(invoke_id, change)
        assert refused.value.code == "InvalidParameter.Frequency"


def test_an_instance_on_which_it_was_stopped_is_not_added_again(timing: Timing) -> None:
    invoke_id = timing.invoke("i-1", "i-2", frequency=DAILY)
    timing.assistant.stop_invocation(invoke_id, ["i-1"])
    with pytest.raises(Refused, match="was stopped on i-1, for good") as refused:
        timing.assistant.timed.modify(invoke_id, TimedModification(instance_ids=["i-1", "i-3"]))
    assert refused.value.code == "InvalidOperation.InvokeAlreadyFinished"
    timing.assistant.timed.modify(invoke_id, TimedModification(instance_ids=["i-2", "i-3"]))
    assert timing.timed(invoke_id).target_count == 3


def test_whom_others_keep_getting_ahead_of_is_told_so_and_leaves_nothing(timing: Timing) -> None:
    invoke_id = kept(timing)
    before = library(timing)
    change = TimedModification(content=b"false")

    def elsewhere() -> None:
        timing.redis.call("HINCRBY", keys.timed(invoke_id), "revision", 1)

    with overtaken(timing, "ca_modify_timed", elsewhere) as redis, pytest.raises(Refused) as refused:
        modify(redis, invoke_id, change, timing.assistant.settings, None)
    assert (refused.value.code, redis.count) == ("IdempotentProcessing", 10)
    assert library(timing) == before


def test_an_instance_that_is_removed_in_the_moment_in_which_it_is_added_is_named(timing: Timing) -> None:
    invoke_id = kept(timing)
    before = library(timing)
    change = TimedModification(content=b"false", instance_ids=["i-2"])

    def removed() -> None:
        if timing.redis.call("ZSCORE", keys.INSTANCES, "i-2"):
            timing.assistant.remove_instance("i-2")

    with overtaken(timing, "ca_modify_timed", removed) as redis, pytest.raises(Refused, match="i-2") as refused:
        modify(redis, invoke_id, change, timing.assistant.settings, None)
    assert refused.value.code == "InvalidInstanceId.NotFound"
    assert (library(timing), timing.timed(invoke_id).target_count) == (before, 1)


def test_one_that_is_stopped_in_the_moment_in_which_it_is_paused_stays_stopped(timing: Timing) -> None:
    invoke_id = timing.invoke(frequency=DAILY)
    with (
        overtaken(timing, "ca_move_timed", lambda: timing.assistant.stop_invocation(invoke_id)) as redis,
        pytest.raises(Refused, match="is over: stopped") as refused,
    ):
        pause(redis, invoke_id)
    assert refused.value.code == "InvalidOperation.InvokeAlreadyFinished"
    assert timing.timed(invoke_id).status == "stopped"


def test_a_pause_that_due_times_keep_getting_ahead_of_is_told_so(timing: Timing) -> None:
    invoke_id = timing.invoke(frequency=EVERY_SECOND)

    def due() -> None:
        timing.set_back(invoke_id, timing.server_ms() - 1)

    with overtaken(timing, "ca_move_timed", due) as redis, pytest.raises(Refused) as refused:
        pause(redis, invoke_id)
    assert (refused.value.code, redis.count) == ("IdempotentProcessing", 20)
    assert timing.timed(invoke_id).status == "active"


def test_a_schedule_that_ends_before_its_next_due_time_without_a_row_is_refused(timing: Timing) -> None:
    """The clock of Redis was put back since the last one."""
    invoke_id = timing.invoke(frequency=DAILY)
    end_ms = timing.server_ms() + 3 * 86_400_000
    timing.redis.call("ZADD", keys.firings(invoke_id), end_ms, end_ms)
    with pytest.raises(RequestInvalid, match="never due") as refused:
        timing.assistant.timed.modify(
            invoke_id, TimedModification(frequency="0 0 4 * * *", policies={"end_ms": end_ms})
        )
    assert refused.value.code == "InvalidParameter.Frequency"
    assert timing.timed(invoke_id).schedule.frequency == DAILY


def test_a_due_time_that_has_just_come_is_left_to_beats_for_a_moment(
    timing: Timing, monkeypatch: pytest.MonkeyPatch
) -> None:
    invoke_id = timing.invoke(frequency=DAILY)
    timing.set_back(invoke_id, timing.server_ms() - 1)
    # What a beat does meanwhile.
    monkeypatch.setattr(modifying, "sleep", lambda _: timing.set_back(invoke_id, timing.server_ms() + 86_400_000))
    timing.assistant.timed.modify(invoke_id, TimedModification(frequency="0 0 4 * * *"))
    assert timing.firings(invoke_id) == []


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_what_is_over_cannot_be_paused_or_resumed_and_says_why(timing: Timing, verb: str) -> None:
    invoke_id = timing.invoke(frequency=DAILY)
    timing.redis.call("HSET", keys.timed(invoke_id), "status", "ended", "end_reason", "max_count")
    with pytest.raises(Refused, match=r"is over: ended \(max_count\); make a new one") as refused:
        getattr(timing.assistant.timed, verb)(invoke_id)
    assert refused.value.code == "InvalidOperation.InvokeAlreadyFinished"
