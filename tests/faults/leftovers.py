"""What a run may leave behind and must not: processes, spool folders, keys, messages."""

import re
from collections.abc import Sequence
from pathlib import Path

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.redis.client import Redis
from harness import proc

_MARKER = b"CA_EXECUTION_ID="
#: Keys of finished work that stay for the history, and those of agents that live.
_STAYING = re.compile(
    r"ca:i:\{[^}]+\}:(exec:.+|history|info|profile|refusals|keys|boot|quarantine)|ca:instances|ca:invocations(:timed)?"
    r"|ca:invocation:.+|ca:command:.+:invocations|ca:timed:.+|ca:firing:.+|ca:beat:turn:.+|ca:audit.*|ca:tag.*|ca:key-ids|ca:credentials"
)
#: Keys that vanish by themselves must say when.
_EXPIRING = re.compile(r"ca:i:\{[^}]+\}:(out:.+|control)|ca:payload:.+|ca:token:.+")
#: Roll-ups of one-off invocations: whoever reads an invocation, or the sweeper, writes them.
_SETTLED_BY_READERS = re.compile(r"ca:invocations:open|ca:command:.+:open|ca:deadlines")


def processes_left(execution_ids: Sequence[str]) -> list[str]:
    """Living processes of these executions, known by the variable that each was started with."""
    wanted = {_MARKER + one.encode() for one in execution_ids}
    found = []
    for info in proc.all_processes():
        try:
            variables = Path(f"/proc/{info.pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted.intersection(variables):
            found.append(f"process {info.pid}: {info.command}")
    return found


def spool_entries(homes: Path) -> list[str]:
    """Folders of executions that wait in a spool below any home."""
    return [str(path) for path in homes.glob("*/spool/*")]


def keys_left(redis: Redis, timed_ids: Sequence[str] = ()) -> list[str]:
    """Keys that no finished run leaves, and those that should expire and never will.

    The work order of a timed invocation stays as long as its history and goes with it.
    """
    replies = redis.pipeline_or_raise([("HGET", keys.timed(one), "token") for one in timed_ids] or [("PING",)])
    kept = {keys.payload(token.decode()) for token in replies if isinstance(token, bytes)}
    names = [name.decode() for name in _scan(redis)]
    expiring = [name for name in names if _EXPIRING.fullmatch(name) and name not in kept]
    lives = redis.pipeline_or_raise([("PTTL", name) for name in expiring]) if expiring else []
    endless = [f"{name} never expires" for name, life in zip(expiring, lives, strict=True) if life == -1]
    known = (_STAYING, _EXPIRING, _SETTLED_BY_READERS)
    queues = re.compile(r"ca:i:\{[^}]+\}:queue")
    strange = [name for name in names if not any(one.fullmatch(name) for one in (*known, queues))]
    return endless + strange


def messages_left(redis: Redis, instance_ids: Sequence[str]) -> list[str]:
    """Messages in queues and control lists."""
    names = [name for one in instance_ids for name in (keys.queue(one), keys.control(one))]
    lengths = redis.pipeline_or_raise([("LLEN", name) for name in names]) if names else []
    return [f"{name} holds {length}" for name, length in zip(names, lengths, strict=True) if length]


def _scan(redis: Redis) -> list[bytes]:
    found: set[bytes] = set()
    cursor = "0"
    while True:
        reply = redis.call("SCAN", cursor, "COUNT", 1000)
        cursor = reply[0].decode()
        found.update(reply[1])
        if cursor == "0":
            return sorted(found)
