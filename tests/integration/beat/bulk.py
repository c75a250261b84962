"""Put very many timed invocations into Redis, as they are when each was made by a request, without making requests."""

from collections.abc import Sequence

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.ids import new_id, new_token
from cloud_assistant.broker_config.records import Command, Invocation, RepeatMode, Schedule, ScriptType, encode
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Argument
from cloud_assistant.broker_config.redis.connection import Command as RedisCommand
from cloud_assistant.broker_config.schedule import DueTime
from cloud_assistant.broker_config.timed.timed_invocation import calendar_of, next_due, timed_fields

_ROUND_TRIP_COUNT = 2_000


def store(redis: Redis, frequency: str, count: int, *, now_ms: int, instance_ids: Sequence[str]) -> list[str]:
    """Store timed invocations of one frequency, one target each, the instances in turn; answer their ids."""
    schedule = Schedule(repeat_mode=RepeatMode.PERIOD, frequency=frequency, timezone="UTC", overlap="allow")
    due = _next(schedule, now_ms)
    following = _next(schedule, due.utc_ms)
    command = Command(
        command_id=new_id("c"), name="bulk", type=ScriptType.SHELL, content=b"true", created_ms=now_ms, kept=False
    )
    invocation = Invocation(
        invoke_id="",
        command=command,
        created_ms=now_ms,
        target_count=1,
        done_channel=keys.done_channel(new_token()),
        payload_token=new_token(),
        timeout_seconds=10,
        deliver_within_seconds=0,
        schedule=schedule,
    )
    progress: list[Argument] = ["status", "active", "revision", "1", "anchor_ms", now_ms]
    progress += ["due_ms", due.utc_ms, "due_skip", "", "next_ms", following.utc_ms, "next_skip", ""]
    fields = {
        one: [part for pair in timed_fields(invocation, "0" * 64, [one], None).items() for part in pair]
        for one in instance_ids
    }
    record = encode(invocation)
    invoke_ids = [f"t-{number:09x}{new_id('')[1:]}" for number in range(count)]
    for first in range(0, count, _ROUND_TRIP_COUNT):
        commands: list[RedisCommand] = []
        for number, invoke_id in enumerate(invoke_ids[first : first + _ROUND_TRIP_COUNT], first):
            target = instance_ids[number % len(instance_ids)]
            commands.append(("HSET", keys.timed(invoke_id), *progress, *fields[target]))
            commands.append(("RPUSH", keys.invocation_targets(invoke_id), target))
            commands.append(("HSET", keys.invocation(invoke_id), "record", record, "timed", 1))
            commands.append(("ZADD", keys.TIMED_DUE, due.utc_ms, invoke_id))
        redis.pipeline_or_raise(commands)
    redis.pipeline_or_raise([("ZADD", keys.INSTANCES, 1, one) for one in instance_ids])
    return invoke_ids


def _next(schedule: Schedule, after_ms: int) -> DueTime:
    due = next_due(calendar_of(schedule, 0), schedule, after_ms)
    assert due is not None
    return due
