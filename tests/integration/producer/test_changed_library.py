"""A timed invocation whose content is changed and the library of commands: both have the new one, or neither."""

from collections.abc import Callable

import pytest

from cloud_assistant.broker_config.errors import RedisUnreachable, Refused
from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.producer.api import Assistant
from cloud_assistant.producer.commands import command_library
from cloud_assistant.producer.fleet.targets import Targets
from cloud_assistant.producer.invocations.describing import InvocationFilter
from cloud_assistant.producer.invocations.invoking import RunOptions
from cloud_assistant.producer.timed import modifying, storing
from cloud_assistant.producer.timed.modifying import TimedModification

YEARLY = RunOptions(schedule=Schedule(repeat_mode=RepeatMode.PERIOD, frequency="0 0 0 1 1 *"))
CHANGE = TimedModification(content=b"echo 2")


@pytest.fixture
def invoke_id(assistant: Assistant) -> str:
    command_id = assistant.create_command(name="kept", type="RunShellScript", content="echo 1")
    return assistant.invoke_command(command_id, Targets(instance_ids=["i-1"]), YEARLY).invoke_id


def content(assistant: Assistant, invoke_id: str) -> bytes:
    (one,) = assistant.describe_invocations(InvocationFilter(invoke_id=invoke_id)).items
    return one.stored.record.command.content


def library(assistant: Assistant) -> list[bytes]:
    return [one.command.content for one in assistant.describe_commands().items]


def once(monkeypatch: pytest.MonkeyPatch, module: object, name: str, act: Callable[..., object]) -> None:
    """Have a function replaced for one call."""
    before = getattr(module, name)

    def replaced(*what: object, **more: object) -> object:
        monkeypatch.setattr(module, name, before)
        return act(*what, **more)

    monkeypatch.setattr(module, name, replaced)


def lose(*_: object, **__: object) -> None:
    raise RedisUnreachable("gone")


def test_what_does_not_come_into_the_library_is_not_run(
    assistant: Assistant, invoke_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    once(monkeypatch, command_library, "create", lose)
    with pytest.raises(RedisUnreachable):
        assistant.timed.modify(invoke_id, CHANGE)
    assert (content(assistant, invoke_id), library(assistant)) == (b"echo 1", [b"echo 1"])
    assistant.timed.modify(invoke_id, CHANGE)
    assert (content(assistant, invoke_id), library(assistant)) == (b"echo 2", [b"echo 2", b"echo 1"])


def test_a_change_that_is_refused_leaves_nothing_in_the_library(
    assistant: Assistant, invoke_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refused, match="i-none"):
        assistant.timed.modify(invoke_id, TimedModification(content=b"echo 2", instance_ids=["i-none"]))
    assert (content(assistant, invoke_id), library(assistant)) == (b"echo 1", [b"echo 1"])
    # Somebody else is first with a change: it is made anew, from that.
    once(monkeypatch, modifying, "store", lambda *_: False)
    assistant.timed.modify(invoke_id, CHANGE)
    assert (content(assistant, invoke_id), library(assistant)) == (b"echo 2", [b"echo 2", b"echo 1"])


def test_a_change_of_which_nobody_knows_whether_it_is_stored_keeps_its_command(
    assistant: Assistant, invoke_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = storing.store

    def store_and_lose(*what: object) -> None:
        assert store(*what)  # type: ignore[arg-type]
        lose()

    once(monkeypatch, modifying, "store", store_and_lose)
    with pytest.raises(RedisUnreachable):
        assistant.timed.modify(invoke_id, CHANGE)
    assert (content(assistant, invoke_id), library(assistant)) == (b"echo 2", [b"echo 2", b"echo 1"])
