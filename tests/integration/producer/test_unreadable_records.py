"""One record that cannot be read, be it damaged, written by hand or of a newer release, takes nothing else down."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from cloud_assistant.beat.boot_notes import BootNotes
from cloud_assistant.beat.removal import remove_invocation
from cloud_assistant.beat.retention import Retention
from cloud_assistant.beat.unfinished import Unfinished
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import NotFound, RecordUnreadable
from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.settings_table import LimitSettings
from cloud_assistant.producer import Assistant, RunOptions, Targets
from cloud_assistant.producer.cli import main
from cloud_assistant.producer.commands.command_library import CommandFilter
from cloud_assistant.producer.fleet import activations, tagged_resources
from cloud_assistant.producer.fleet.activations import ActivationFilter
from cloud_assistant.producer.fleet.instances import InstanceFilter
from cloud_assistant.producer.invocations.describing import InvocationFilter
from cloud_assistant.producer.invocations.describing_results import ResultFilter
from cloud_assistant.producer.paging import Page, PageRequest

Spoil = Callable[[Redis, str], object]
#: Every way to ask for a page.
PAGES = [PageRequest(), PageRequest(max_results=5)]


def timed(assistant: Assistant, repeat_mode: RepeatMode = RepeatMode.PERIOD) -> str:
    schedule = Schedule(repeat_mode=repeat_mode, frequency="0 0 3 * * *" if repeat_mode == RepeatMode.PERIOD else "")
    options = RunOptions(schedule=schedule)
    return assistant.run_command("true", Targets(instance_ids=["i-1", "i-2"]), options).invoke_id


def of_timed(*pairs: str | bytes) -> Spoil:
    return lambda redis, one: redis.call("HSET", keys.timed(one), *pairs)


def of_record(value: str | bytes) -> Spoil:
    return lambda redis, one: redis.call("HSET", keys.invocation(one), "record", value)


def of_another_kind(key_of: Callable[[str], str]) -> Spoil:
    return lambda redis, one: redis.pipeline([("DEL", key_of(one)), ("LPUSH", key_of(one), "x")])


SPOILT_SCHEDULES = {
    "a repeat mode of a newer release": of_timed("schedule", '{"repeat_mode":"Weekly"}'),
    "a status of a newer release": of_timed("status", "dormant"),
    "no JSON": of_timed("schedule", "{"),
    "no UTF-8": of_timed("schedule", b"\xff"),
    "no number": of_timed("due_ms", "soon"),
    "no number among what listings read": of_timed("fired_count", "many"),
    "no revision": of_timed("schedule", "{", "revision", "one"),
    "no status": lambda redis, one: redis.call("HDEL", keys.timed(one), "status"),
    "another kind of value": of_another_kind(keys.timed),
}
SPOILT_RECORDS = {
    "no JSON": of_record("{"),
    "no UTF-8": of_record(b'{"invoke_id":"\xff"}'),
    "nested without end": of_record("[" * 100_000),
    "another kind of value": of_another_kind(keys.invocation),
}


def named(page: Page[Any]) -> list[str]:
    return [str(one) for one in page.unreadable]


@pytest.mark.parametrize("spoil", SPOILT_SCHEDULES.values(), ids=SPOILT_SCHEDULES.keys())
def test_a_schedule_that_cannot_be_read_is_named_and_can_be_stopped(
    assistant: Assistant, redis: Redis, spoil: Spoil
) -> None:
    first, bad, last = timed(assistant), timed(assistant), timed(assistant)
    spoil(redis, bad)
    for page in PAGES:
        found = assistant.timed.list(page)
        assert [one.timed.invoke_id for one in found.items] == [last, first]
        assert [f"{bad} cannot be read" in one for one in named(found)] == [True]
        assert f"assist timed stop {bad}" in named(found)[0] or f"assist invocation stop {bad}" in named(found)[0]
    with pytest.raises(RecordUnreadable, match=bad):
        assistant.timed.show(bad)
    assert {one.stored.record.invoke_id for one in assistant.describe_invocations().items} >= {first, last}

    assistant.stop_invocation(bad)
    assert redis.call("ZSCORE", keys.TIMED_DUE, bad) is None
    assert redis.call("ZSCORE", keys.TIMED_DUE, first) is not None
    assert redis.call("TYPE", keys.timed(bad)) == b"none" or redis.call("HGET", keys.timed(bad), "status") == b"stopped"
    assert redis.call("ZSCORE", keys.INVOCATIONS_OPEN, bad) is None
    with suppress(NotFound):
        # A second time does no harm; what was of another kind is gone by then.
        assistant.stop_invocation(bad)


@pytest.mark.parametrize("spoil", SPOILT_RECORDS.values(), ids=SPOILT_RECORDS.keys())
def test_a_record_that_cannot_be_read_is_named_and_its_executions_can_be_stopped(
    assistant: Assistant, redis: Redis, spoil: Spoil
) -> None:
    first, bad, last = (assistant.run_command("true", Targets(instance_ids=["i-1", "i-2"])).invoke_id for _ in range(3))
    spoil(redis, bad)
    for wanted in (InvocationFilter(), InvocationFilter(status="Pending")):
        for page in PAGES:
            found = assistant.describe_invocations(wanted, page, with_rows=True)
            assert [one.stored.record.invoke_id for one in found.items] == [last, first]
            assert [f"{bad} cannot be read" in one for one in named(found)] == [True]
    by_instance = assistant.describe_invocations(InvocationFilter(instance_id="i-1"))
    assert [one.stored.record.invoke_id for one in by_instance.items] == [last, first]
    with pytest.raises(RecordUnreadable, match=f"assist invocation stop {bad}"):
        assistant.describe_invocations(InvocationFilter(invoke_id=bad))
    results = assistant.describe_invocation_results(ResultFilter())
    assert {one.row.invoke_id for one in results.items} == {first, last}
    assert len(assistant.describe_invocation_results(ResultFilter(instance_id="i-1")).items) == 3
    tags = (
        tagged_resources.tags_of(redis, "invocation", [first, bad])
        if b"hash" in redis.call("TYPE", keys.invocation(bad))
        else [{}, None]
    )
    assert tags == [{}, None]

    assert assistant.stop_invocation(bad, ["i-1"]) == {"i-1": "Cancelled"}
    assert assistant.stop_invocation(bad) == {"i-2": "Cancelled"}
    assert redis.call("ZSCORE", keys.INVOCATIONS_OPEN, bad) is None


def test_one_target_of_what_cannot_be_read_is_stopped_alone_and_the_last_ends_it(
    assistant: Assistant, redis: Redis
) -> None:
    bad = timed(assistant)
    redis.call("HSET", keys.timed(bad), "schedule", "{")
    assistant.stop_invocation(bad, ["i-1"])
    assert redis.call("HGET", keys.timed(bad), "status") == b"active"
    assert redis.call("SMEMBERS", keys.timed_stopped(bad)) == [b"i-1"]
    assistant.stop_invocation(bad, ["i-2"])
    assert redis.call("HGET", keys.timed(bad), "status") == b"stopped"


def test_beats_go_on_beside_it_and_give_nothing_up(assistant: Assistant, redis: Redis) -> None:
    bad = timed(assistant, RepeatMode.EVERY_REBOOT)
    well = timed(assistant, RepeatMode.EVERY_REBOOT)
    redis.call("HSET", keys.timed(bad), "schedule", "{")
    redis.pipeline_or_raise([("ZADD", keys.INVOCATIONS_OPEN, 1, bad), ("ZADD", keys.INVOCATIONS_OPEN, 1, "t-gone")])
    one_off = assistant.run_command("true", Targets(instance_ids=["i-1"])).invoke_id
    redis.call("HSET", keys.invocation(one_off), "record", "{")

    Unfinished(redis, None, 100).work()
    BootNotes(redis).work()
    assert redis.call("HGET", keys.timed(bad), "status") == b"active", "it is not given up"
    assert redis.call("HGET", keys.timed(well), "status") == b"active"
    assert redis.call("ZSCORE", keys.INVOCATIONS_OPEN, one_off) is not None
    assert redis.call("ZSCORE", keys.INVOCATIONS_OPEN, "t-gone") is None


def test_retention_removes_what_was_stopped_and_cannot_be_read_with_all_that_leads_on_from_it(
    assistant: Assistant, redis: Redis
) -> None:
    bad = timed(assistant)
    redis.call("HSET", keys.timed(bad), "fired_count", "many")
    assistant.stop_invocation(bad)
    token = redis.call("HGET", keys.timed(bad), "token").decode()
    assert redis.call("EXISTS", keys.payload(token)) == 1
    redis.call("HSET", keys.invocation(bad), "finished_ms", 1)
    redis.call("ZADD", keys.INVOCATIONS, 1, bad)
    Retention(redis, LimitSettings()).work()
    left = redis.call("EXISTS", keys.invocation(bad), keys.timed(bad), keys.payload(token), keys.timed_stopped(bad))
    assert left == 0
    assert redis.call("ZSCORE", keys.INVOCATIONS_TIMED, bad) is None


def test_a_frequency_of_a_newer_release_is_listed_for_programs_too_and_can_be_stopped(
    assistant: Assistant, redis: Redis, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, well = timed(assistant), timed(assistant)
    redis.call("HSET", keys.timed(bad), "schedule", '{"repeat_mode":"Period","frequency":"every(2 moons)"}')
    assert main(["timed", "list", "--output", "json", "--redis-url", redis_url]) == 0
    shown = {one["InvokeId"]: one["NextDueTimeLocal"] for one in json.loads(capsys.readouterr().out)}
    assert (shown[bad], bool(shown[well])) == ("", True)
    assert main(["timed", "preview", bad, "--redis-url", redis_url]) == 4
    assert "cannot be read" in capsys.readouterr().err
    assert main(["timed", "stop", bad, "--redis-url", redis_url]) == 0


def test_the_command_line_lists_the_others_names_it_and_stops_it(
    assistant: Assistant, redis: Redis, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bad, well = timed(assistant), timed(assistant)
    redis.call("HSET", keys.timed(bad), "schedule", '{"repeat_mode":"\x1bWeekly"}')

    def told(*arguments: str, code: int = 0) -> tuple[str, str]:
        assert main([*arguments, "--redis-url", redis_url]) == code
        return capsys.readouterr()

    out, err = told("timed", "list")
    assert (well in out, bad in out) == (True, False)
    assert f"the timed invocation {bad} cannot be read" in err
    assert f"Stop it: assist timed stop {bad}" in err
    assert [one["InvokeId"] for one in json.loads(told("timed", "list", "--output", "json")[0])] == [well]
    for verb in (["show"], ["pause"], ["resume"], ["modify", "--overlap", "allow"]):
        assert "RecordUnreadable" in told("timed", verb[0], bad, *verb[1:], code=4)[1]
    assert f"{bad} stopped, though it cannot be read" in told("timed", "stop", bad)[1]
    assert "It is over" in told("timed", "list")[1]
    redis.call("HSET", keys.invocation(well), "record", "{")
    answer = json.loads(told("invocation", "stop", well, "--output", "json")[0])
    assert answer == {"InvokeId": well, "Stopped": []}


def test_a_command_that_cannot_be_read_is_named_and_can_be_deleted(assistant: Assistant, redis: Redis) -> None:
    first, bad, last = (assistant.create_command(name="x", type="RunShellScript", content="true") for _ in range(3))
    redis.call("HSET", keys.command(bad), "record", "{")
    for wanted in (CommandFilter(), CommandFilter(name="x")):
        for page in PAGES:
            found = assistant.describe_commands(wanted, page)
            assert [one.command.command_id for one in found.items] == [last, first]
            assert [f"assist command delete {bad}" in one for one in named(found)] == [True]
    for refused in (
        lambda: assistant.describe_commands(CommandFilter(command_id=bad)),
        lambda: assistant.invoke_command(bad, Targets(instance_ids=["i-1"])),
        lambda: assistant.modify_command(bad, name="y"),
    ):
        with pytest.raises(RecordUnreadable, match=bad):
            refused()
    assistant.delete_command(bad)
    assert assistant.describe_commands().unreadable == []


@pytest.mark.parametrize("is_removed", [False, True], ids=["stopped", "removed for its age since"])
def test_a_command_can_be_deleted_once_an_invocation_of_it_that_cannot_be_read_is_stopped(
    assistant: Assistant, redis: Redis, *, is_removed: bool
) -> None:
    command_id = assistant.create_command(name="x", type="RunShellScript", content="true")
    bad = assistant.invoke_command(command_id, Targets(instance_ids=["i-1"])).invoke_id
    redis.call("HSET", keys.invocation(bad), "record", "{")
    with pytest.raises(RecordUnreadable, match=f"assist invocation stop {bad}"):
        assistant.delete_command(command_id)
    assistant.stop_invocation(bad)
    if is_removed:
        remove_invocation(redis, bad, None)
    assistant.delete_command(command_id)
    assert assistant.describe_commands().total_count == 0


def test_an_activation_that_cannot_be_read_is_named_and_can_be_deleted(redis: Redis) -> None:
    first, bad, last = (activations.create(redis, None)[0] for _ in range(3))
    redis.call("HSET", keys.activation(bad), "record", "{")
    for page in PAGES:
        found = activations.describe(redis, ActivationFilter(), page)
        assert {one.activation.activation_id for one in found.items} == {last, first}
        assert [f"assist activation delete {bad}" in one for one in named(found)] == [True]
    with pytest.raises(RecordUnreadable, match=bad):
        activations.load(redis, bad)
    assert activations.delete(redis, bad) is None
    assert activations.describe(redis, ActivationFilter(), PageRequest()).unreadable == []


def test_an_instance_whose_tags_cannot_be_read_is_listed_runs_commands_and_can_be_removed(
    assistant: Assistant, redis: Redis, redis_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    redis.call("HSET", keys.profile("i-2"), "tags", "{", "registered_ms", "long ago")
    for wanted in (InstanceFilter(), InstanceFilter(instance_ids=["i-1", "i-2", "i-3"]), InstanceFilter(name="*")):
        found = {one.instance_id: one for one in assistant.describe_instances(wanted).items}
        assert set(found) == {"i-1", "i-2", "i-3"}
        assert [name for name, one in found.items() if one.unreadable] == ["i-2"]
    assert main(["instance", "list", "--redis-url", redis_url]) == 0
    assert "assist instance remove i-2" in capsys.readouterr().err
    assistant.run_command("true", Targets(everything=True))
    with pytest.raises(RecordUnreadable, match="the tags of i-2"):
        assistant.modify_instance("i-2", tags={"env": "test"})
    assistant.remove_instance("i-2")
    assistant.add_instance("i-2", tags={"env": "test"})


@pytest.fixture
def redis_url(assistant: Assistant) -> str:
    return assistant.redis.url
