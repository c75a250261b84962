"""Timed invocations of which a test says what it is about, and no more."""

from dataclasses import replace
from typing import Any

from cloud_assistant.broker_config.records import Command, Invocation, Schedule, ScriptType
from cloud_assistant.broker_config.timed.timed_invocation import Timed, read_timed, timed_fields


def some_invocation(schedule: Schedule, **fields: Any) -> Invocation:
    """An invocation with this schedule."""
    command = Command(command_id="c-1", name="n", type=ScriptType.SHELL, content=b"true", created_ms=1)
    given: dict[str, Any] = {"invoke_id": "t-1", "done_channel": "d", "payload_token": "p", **fields}
    return Invocation(command=command, created_ms=1, target_count=1, schedule=schedule, **given)


def some_timed(schedule: Schedule, **changed: Any) -> Timed:
    """One that is stored and goes on, as it is read back, with some of it changed."""
    fields = timed_fields(some_invocation(schedule), "", ["i-1"], None)
    texts = {name: str(value) for name, value in fields.items()}
    found = read_timed("t-1", {**texts, "status": "active", "revision": "1"})
    assert found is not None
    return replace(found, **changed)
