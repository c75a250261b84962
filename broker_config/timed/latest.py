"""The latest execution of each target of a timed invocation.

Targets do not march in step: one was left out because its last script still ran, another's machine has not started yet.
So what a timed invocation looks like now is read target by target.
"""

from collections.abc import Sequence
from itertools import chain

from .. import keys
from ..chunks import chunks
from ..ids import execution_id, split_execution_id
from ..redis.client import Redis
from ..redis.connection import Command

#: Targets read by one call.
_CHUNK_COUNT = 1000


def latest_execution_ids(redis: Redis, wanted: Sequence[tuple[str, Sequence[str]]]) -> list[list[str]]:
    """The execution ids for invocations with their targets, ``""`` for one that has had none; in one round trip."""
    commands: list[Command] = [
        ("HMGET", keys.timed_latest(invoke_id), *chunk)
        for invoke_id, targets in wanted
        for chunk in chunks(targets, _CHUNK_COUNT)
    ]
    firings = chain.from_iterable(redis.pipeline_or_raise(commands))
    return [
        [execution_id(invoke_id, int(at), one) if (at := next(firings)) else "" for one in targets]
        for invoke_id, targets in wanted
    ]


def latest_only(redis: Redis, executions: Sequence[str]) -> list[str]:
    """Those of some executions that are the latest of their invocation on their instance, in their order.

    Of a one-off each is. One that a machine's start made counts also while no beat has noted it yet.
    """
    parts = [split_execution_id(one) for one in executions]
    newest: dict[tuple[str, str], int] = {}
    for one in parts:
        if one and one[1]:
            newest[one[0], one[2]] = max(one[1], newest.get((one[0], one[2]), 0))
    replies = redis.pipeline_or_raise([("HGET", keys.timed_latest(one), on) for one, on in newest])
    noted = {pair: int(at or 0) for pair, at in zip(newest, replies, strict=True)}
    return [
        execution
        for execution, one in zip(executions, parts, strict=True)
        if one and (not one[1] or noted[one[0], one[2]] <= one[1] == newest[one[0], one[2]])
    ]
