"""Unfinished invocations are looked at in turn: none holds up another, and what never began is stopped."""

import logging
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pytest
from integration.beat.conftest import Timing
from integration.beat.test_sweeper import MASTER, cut_off
from msgspec.structs import replace

from cloud_assistant.beat import unfinished
from cloud_assistant.beat.unfinished import Unfinished
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import RedisUnreachable
from cloud_assistant.broker_config.functions.executions import Claimed
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.functions.invocations import create_invocation_command
from cloud_assistant.broker_config.ids import new_id, new_token
from cloud_assistant.broker_config.programs.program_log import LOGGER_NAME
from cloud_assistant.broker_config.records import Command, Invocation, RepeatMode, Schedule, ScriptType, encode
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Command as RedisCommand
from cloud_assistant.producer import Targets


def ended(timing: Timing) -> str:
    """An invocation whose only execution is over, and that counts as unfinished."""
    invoke_id = timing.assistant.run_command("true", Targets(instance_ids=["i-1"])).invoke_id
    timing.claim(invoke_id, 0)
    timing.finish(invoke_id, 0)
    return invoke_id


def look(timing: Timing) -> None:
    Unfinished(timing.redis, None, 100).work()


def is_settled(timing: Timing, invoke_id: str) -> bool:
    return bool(timing.redis.call("HGET", keys.invocation(invoke_id), "finished_ms"))


def is_open(timing: Timing, invoke_id: str) -> bool:
    return timing.redis.call("ZSCORE", keys.INVOCATIONS_OPEN, invoke_id) is not None


@pytest.mark.parametrize("part", ["record", "schedule"])
def test_an_invocation_that_cannot_be_read_holds_up_no_other(
    timing: Timing, caplog: pytest.LogCaptureFixture, part: str
) -> None:
    if part == "record":
        unreadable = ended(timing)
        timing.redis.call("HSET", keys.invocation(unreadable), "record", '{"of": "a newer release"}')
    else:
        unreadable = timing.invoke(frequency="0 0 0 1 1 *")
        timing.assistant.stop_invocation(unreadable)
        timing.redis.call("HSET", keys.timed(unreadable), "status", "of a newer release")
    others = [ended(timing) for _ in range(3)]
    looking = Unfinished(timing.redis, None, 100)
    with caplog.at_level(logging.ERROR, logger=LOGGER_NAME):
        looking.work()
        looking.work()
    assert all(is_settled(timing, one) for one in others)
    assert (is_settled(timing, unreadable), is_open(timing, unreadable)) == (False, True)
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith("cannot look at an unfinished invocation")
    assert unreadable in said


def test_an_entry_whose_invocation_is_gone_goes_too(timing: Timing) -> None:
    timing.redis.call("ZADD", keys.INVOCATIONS_OPEN, 1, "t-00000000gone")
    look(timing)
    assert not is_open(timing, "t-00000000gone")


def test_of_many_targets_a_turn_looks_at_some_and_the_next_goes_on(
    timing: Timing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "_TARGETS_PER_TURN", 2)
    made = [ended(timing) for _ in range(5)]
    # Nothing more can be done about these, and they stay.
    for one in made[:2]:
        timing.redis.call("HSET", keys.execution("i-1", f"{one}.0@i-1"), "state", "Running")
    looking = Unfinished(timing.redis, None, 100)
    settled = []
    for _ in range(3):
        looking.work()
        settled.append([is_settled(timing, one) for one in made])
    assert settled == [[False] * 5, [False, False, True, True, False], [False, False, True, True, True]]
    for one in made[:2]:
        timing.redis.call("HSET", keys.execution("i-1", f"{one}.0@i-1"), "state", "Success")
    looking.work()
    assert all(is_settled(timing, one) for one in made), "it began anew"


def test_an_invocation_counts_with_its_targets_for_what_a_turn_looks_at(
    timing: Timing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unfinished, "_TARGETS_PER_TURN", 3)
    made = []
    for _ in range(3):
        invoke_id = timing.assistant.run_command("true", Targets(instance_ids=["i-1", "i-2"])).invoke_id
        timing.assistant.stop_invocation(invoke_id)
        made.append(invoke_id)
    looking = Unfinished(timing.redis, None, 100)
    looking.work()
    assert [is_settled(timing, one) for one in made] == [True, True, False]
    looking.work()
    assert is_settled(timing, made[2])


def with_secrets(timing: Timing, age_ms: int) -> Invocation:
    """A dispatch that has not reached i-2 and i-3, with a secret value for each target."""
    invocation = replace(cut_off(timing, age_ms=age_ms, master=MASTER), secret_names=("token",))
    timing.redis.call("HSET", keys.invocation(invocation.invoke_id), "record", encode(invocation))
    return invocation


def test_what_only_its_producer_can_complete_is_left_to_it_until_its_time_is_over(timing: Timing) -> None:
    """Its line may be slow: seconds later than the others it is as good."""
    under_way, over = with_secrets(timing, 50_000), with_secrets(timing, 61_000)
    Unfinished(timing.redis, MASTER, 100).work()
    assert timing.state(under_way.invoke_id, 0, "i-2") == ""
    assert timing.state(over.invoke_id, 0, "i-2") == "Pending"
    assert not isinstance(timing.claim(over.invoke_id, 0, "i-2"), Claimed)


def test_what_is_to_be_signed_is_left_to_a_beat_with_the_key_and_told_once(
    timing: Timing, caplog: pytest.LogCaptureFixture
) -> None:
    """An agent would refuse it unsigned. What is too late runs nowhere, and any beat says so."""
    in_time, late = (cut_off(timing, age_ms=age_ms, master=MASTER).invoke_id for age_ms in (10_000, 61_000))
    unsigned = cut_off(timing, age_ms=10_000).invoke_id
    looking = Unfinished(timing.redis, None, 100)
    with caplog.at_level(logging.ERROR, logger=LOGGER_NAME):
        looking.work()
        looking.work()
    assert [timing.state(one, 0, "i-2") for one in (in_time, late, unsigned)] == ["", "Pending", "Pending"]
    assert not isinstance(timing.claim(late, 0, "i-2"), Claimed)
    [said] = [record.getMessage() for record in caplog.records]
    assert (in_time in said, "master_key_file" in said) == (True, True)
    Unfinished(timing.redis, MASTER, 100).work()
    claimed = timing.claim(in_time, 0, "i-2")
    assert isinstance(claimed, Claimed)
    assert claimed.mac


# Timed invocations


def never_begun(timing: Timing, *, age_ms: int, clock_ms: int = 0, mode: RepeatMode = RepeatMode.PERIOD) -> str:
    """Store a timed invocation as a producer does that is killed before it begins it.

    ``clock_ms`` is how far its clock was ahead.
    """
    command = Command(
        command_id=new_id("c"), name="t", type=ScriptType.SHELL, content=b"true", created_ms=1, kept=False
    )
    invocation = Invocation(
        invoke_id=new_id("t"),
        command=command,
        created_ms=timing.server_ms() - age_ms + clock_ms,
        target_count=1,
        done_channel=keys.done_channel(new_token()),
        payload_token=new_token(),
        schedule=Schedule(repeat_mode=mode, frequency="0 0 0 1 1 *"),
    )
    create = create_invocation_command(
        invocation.invoke_id,
        command.command_id,
        encode(invocation),
        ["i-1"],
        created_ms=invocation.created_ms,
        payload_token=invocation.payload_token,
        payload=b"{}",
        payload_ttl_ms=0,
        command_must_exist=False,
        timed=True,
    )
    run(timing.redis, create)
    timing.redis.call("HINCRBY", keys.invocation(invocation.invoke_id), "stored_ms", -age_ms)
    return invocation.invoke_id


@pytest.mark.parametrize("mode", [RepeatMode.PERIOD, RepeatMode.EVERY_REBOOT])
def test_a_timed_invocation_that_never_began_is_stopped_and_settled(timing: Timing, mode: RepeatMode) -> None:
    invoke_id = never_begun(timing, age_ms=61_000, mode=mode)
    young = never_begun(timing, age_ms=50_000, clock_ms=-3_600_000, mode=mode)
    timing.redis.call("HSET", keys.boot_bound("i-1"), invoke_id, "{}", young, "{}")
    look(timing)
    timed = timing.timed(invoke_id)
    assert (timed.status, timed.end_reason) == ("stopped", "its producer ended before it could begin")
    assert timing.redis.call("HKEYS", keys.boot_bound("i-1")) == [young.encode()]
    assert timing.redis.call("EXISTS", keys.timed(young), keys.TIMED_BOOT, keys.TIMED_DUE) == 0
    look(timing)
    assert (is_settled(timing, invoke_id), is_open(timing, invoke_id)) == (True, False)
    assert is_open(timing, young)


class CutOff(Redis):
    """A connection of a beat that is killed as soon as it has begun what it means to stop."""

    def pipeline(self, commands: Sequence[RedisCommand], *, timeout_seconds: float | None = None) -> list[Any]:
        replies = super().pipeline(commands, timeout_seconds=timeout_seconds)
        if any(str(part).startswith("ca_begin_timed") for command in commands for part in command):
            raise RedisUnreachable("killed")
        return replies


def test_one_that_never_began_does_not_go_on_for_good_where_a_beat_dies_as_it_stops_it(timing: Timing) -> None:
    invoke_id = never_begun(timing, age_ms=61_000)
    with closing(CutOff(timing.redis.url)) as dying, pytest.raises(RedisUnreachable):
        Unfinished(dying, None, 100).work()
    look(timing)
    assert timing.timed(invoke_id).status == "stopped"
    assert is_settled(timing, invoke_id)


def test_what_goes_on_by_itself_is_no_unfinished_work(timing: Timing) -> None:
    invoke_id = timing.invoke(frequency="0 0 0 1 1 *")
    timing.redis.call("ZADD", keys.INVOCATIONS_OPEN, 1, invoke_id)
    look(timing)
    assert (is_open(timing, invoke_id), is_settled(timing, invoke_id)) == (False, False)


def test_a_timed_invocation_is_not_over_while_a_firing_of_it_is_dispatched(timing: Timing) -> None:
    invoke_id = timing.invoke(frequency="0 0 0 1 1 *")
    timing.redis.call("HSET", keys.timed(invoke_id), "open_due_ms", 5)
    timing.assistant.stop_invocation(invoke_id)
    timing.redis.call("HDEL", keys.invocation(invoke_id), "finished_ms")
    look(timing)
    assert (is_open(timing, invoke_id), is_settled(timing, invoke_id)) == (True, False)
    timing.redis.call("HDEL", keys.timed(invoke_id), "open_due_ms")
    look(timing)
    assert (is_open(timing, invoke_id), is_settled(timing, invoke_id)) == (False, True)
