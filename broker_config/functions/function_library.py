"""Load the function library into Redis and call it."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import hiredis

from ..errors import RedisRefused
from ..redis_client import Redis
from ..redis_connection import Argument, Command

#: The library's name carries the version of the calling convention: two versions may live side by side.
LIBRARY_NAME = "cloud_assistant_1"
_MISSING = "Function not found"


@cache
def library_source() -> str:
    """The library's source: every ``.lua`` file of this package, each closed in a scope of its own."""
    from importlib.resources import files  # lazy: 5 ms, and only a Redis without the library needs it

    sources = sorted(
        (path for path in files(__package__).iterdir() if path.name.endswith(".lua")), key=lambda path: path.name
    )
    bodies = (f"do\n{path.read_text(encoding='utf-8')}end\n" for path in sources)
    return f"#!lua name={LIBRARY_NAME}\n" + "".join(bodies)


def load_library(redis: Redis) -> None:
    """Put the library into Redis, replacing an older text of the same version.

    Raises:
        RedisRefused: the user may not load functions; a control-side program has to do it.
    """
    redis.call("FUNCTION", "LOAD", "REPLACE", library_source())


def fcall(name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Command:
    """Build the command that calls a function of the library."""
    return ("FCALL", name, len(keys), *keys, *arguments)


def run(redis: Redis, command: Command) -> Any:
    """Run one FCALL; load the library first where Redis does not have it.

    Raises:
        RedisUnreachable: no answer.
        RedisRefused: the server's own error, from the function or about the user's rights.
    """
    return run_all(redis, [command])[0]


def run_all(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    """Run commands in one round trip, and once more after loading the library where Redis did not have it.

    Every function is a compare-and-set or adds what is not there yet, so the second run repeats nothing.
    """
    replies = redis.pipeline(commands)
    if any(isinstance(reply, hiredis.ReplyError) and _MISSING in str(reply) for reply in replies):
        load_library(redis)
        replies = redis.pipeline(commands)
    for reply in replies:
        if isinstance(reply, hiredis.ReplyError):
            raise RedisRefused(str(reply))
    return replies
