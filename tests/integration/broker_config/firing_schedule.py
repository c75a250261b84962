"""A schedule that is due, and what the function in Redis that fires it has left; no beat takes part."""

import json
from dataclasses import dataclass, field

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.firings import (
    FiringChunk,
    FiringStep,
    FiringTarget,
    TakenOver,
    continue_firing_command,
    firing_step,
    open_firing_command,
    take_over_command,
    taken_over,
)
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.ids import execution_id, new_id
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Argument
from cloud_assistant.broker_config.results import ExecutionRow, read_row
from cloud_assistant.broker_config.task_message import template
from cloud_assistant.broker_config.timed.firing_rows import Firing, load_firings

LEASE_MS = 30_000
QUEUE_COUNT = 2


@dataclass
class Schedule:
    """A timed invocation for three instances, due just now and every minute, and what its firings have left."""

    redis: Redis
    invoke_id: str = field(default_factory=lambda: new_id("t"))
    due_ms: int = 0

    @property
    def next_ms(self) -> int:
        return self.due_ms + 60_000

    def chunk(self, *targets: FiringTarget, first_place: int = 0, target_count: int = 0) -> FiringChunk:
        chosen = targets or tuple(self.target(one) for one in ("i-1", "i-2", "i-3"))
        return FiringChunk(
            invoke_id=self.invoke_id,
            due_ms=self.due_ms,
            token="beat-1",
            lease_ms=LEASE_MS,
            first_place=first_place,
            end_place=first_place + len(chosen),
            target_count=target_count or first_place + len(chosen),
            deadline_ms=self.next_ms - 1,
            envelope=b"{}",
            key_id="k1",
            message_template=template("", "test"),
            queue_count=QUEUE_COUNT,
            command_id="c-1",
            timeout_seconds=10,
            done_channel="ca:done:test",
            overlap="skip",
            max_count=0,
            revision="1",
            next_due_ms=self.next_ms,
            next_skipped="",
            end_reason="",
            open_due_ms=0,
            note="a note",
            targets=chosen,
        )

    def target(self, instance_id: str, *, not_before_ms: int = 0, latest_ms: int = 0) -> FiringTarget:
        latest = execution_id(self.invoke_id, latest_ms, instance_id) if latest_ms else ""
        execution = execution_id(self.invoke_id, self.due_ms, instance_id)
        return FiringTarget(instance_id, execution, b"mac", not_before_ms, latest)

    def open(self, chunk: FiringChunk) -> FiringStep:
        return firing_step(run(self.redis, open_firing_command(chunk)))

    def go_on(self, chunk: FiringChunk) -> FiringStep:
        return firing_step(run(self.redis, continue_firing_command(chunk)))

    def take_over(self, token: str) -> TakenOver | None:
        return taken_over(
            run(self.redis, take_over_command(self.invoke_id, self.due_ms, token=token, lease_ms=LEASE_MS))
        )

    def set(self, **fields: Argument) -> None:
        pairs = [part for pair in fields.items() for part in pair]
        self.redis.call("HSET", keys.timed(self.invoke_id), *pairs)

    def get(self, *names: str) -> list[str | None]:
        found = self.redis.call("HMGET", keys.timed(self.invoke_id), *names)
        return [None if one is None else one.decode() for one in found]

    def firing(self, due_ms: int = 0) -> Firing:
        [found] = load_firings(self.redis, self.invoke_id, [due_ms or self.due_ms])
        return found

    def has_firing(self, *fields: str) -> list[bool]:
        row = keys.firing(self.invoke_id, self.due_ms)
        return [bool(self.redis.call("HEXISTS", row, one)) for one in fields]

    def row(self, instance_id: str, due_ms: int = 0) -> ExecutionRow | None:
        execution = execution_id(self.invoke_id, due_ms or self.due_ms, instance_id)
        return read_row(execution, self.redis.call("HGETALL", keys.execution(instance_id, execution)))

    def states(self) -> list[str]:
        rows = [self.row(one) for one in ("i-1", "i-2", "i-3")]
        return [row.state if row else "" for row in rows]

    def previous(self, instance_id: str, **fields: Argument) -> int:
        """Leave the row of an execution before this one; answer its due time."""
        earlier_ms = self.due_ms - 60_000
        whole = {"deadline_ms": self.due_ms + 600_000, **fields}
        row = keys.execution(instance_id, execution_id(self.invoke_id, earlier_ms, instance_id))
        self.redis.call("HSET", row, *(part for pair in whole.items() for part in pair))
        return earlier_ms

    def score(self, index: str, member: str) -> float | None:
        found = self.redis.call("ZSCORE", index, member)
        return None if found is None else float(found)

    def messages(self, instance_id: str) -> list[str]:
        return [json.loads(one)["headers"]["id"] for one in self.redis.call("LRANGE", keys.queue(instance_id), 0, -1)]

    @property
    def member(self) -> str:
        return f"{self.invoke_id} {self.due_ms}"


def ids(schedule: Schedule, *instance_ids: str) -> list[str]:
    return [execution_id(schedule.invoke_id, schedule.due_ms, one) for one in instance_ids]


def assert_ended(schedule: Schedule, reason: str) -> None:
    ended = schedule.get("status", "end_reason", "due_ms", "due_skip", "next_ms", "next_skip")
    assert ended == ["ended", reason, "0", None, None, None]
    [ended_ms] = schedule.get("ended_ms")
    assert schedule.score(keys.TIMED_DUE, schedule.invoke_id) is None
    assert schedule.score(keys.INVOCATIONS_OPEN, schedule.invoke_id) == float(ended_ms or 0) > schedule.due_ms
