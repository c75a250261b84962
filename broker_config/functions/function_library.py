"""Load the function library into Redis and call it.

Programs of different releases work on one Redis while an upgrade is under way. The name by which a function is called
therefore ends with the version of the text that its caller needs: ``ca_claim_1``. A text registers every function
under its own version and all before it, so a newer text serves older callers, and an older one is found wanting before
anything is done. Whoever may load functions then puts its own text in; an agent, which may not, says who has to.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any

import hiredis

from ..errors import RedisRefused
from ..keys import INSTANCES
from ..redis.client import Begun, Redis, raise_refused
from ..redis.connection import Argument, Command

LIBRARY_NAME = "cloud_assistant_1"
#: Raised with every change of the text that its callers must have: another argument, key, field or answer.
TEXT_VERSION = 12
#: Callers of this version and later are served. Raised when an older caller would do harm: it is refused then.
OLDEST_VERSION = 1

#: All that agents call. Every other function is closed to them: with arguments of their own choice, whoever has the
#: credentials of one instance could keep the server busy for hours, or fill its memory, by one call on its own keys.
FOR_AGENTS = ("ca_append_output", "ca_claim", "ca_finish", "ca_fire_boot", "ca_heartbeat")

#: Errors of Redis that concern one command alone, not the server.
OF_ONE_COMMAND = ("ERR", "WRONGTYPE")

_MISSING = "Function not found"
_VERSION_FUNCTION = "ca_text_version"
#: Files whose locals all others may use, and each of these the ones before it.
_SHARED = ("shared_clock.lua", "shared_lists.lua", "shared_refusals.lua", "shared_audit.lua")
_REGISTER = "redis.register_function"
#: Who may ask this is of the control side: no agent may look beyond its own branch.
_CONTROL_SIDE_COMMAND = f"'ZCARD', '{INSTANCES}'"
_PROLOGUE = """
local FOR_AGENTS = {{ {for_agents} }}
local function closed_to_agents(callback)
  return function(keys, args)
    if redis.acl_check_cmd({control_side_command}) then return callback(keys, args) end
    return redis.error_reply('NOPERM this function is for the control side only')
  end
end
local function register(first, callback)
  local wanted = callback and {{ function_name = first, callback = callback }} or first
  if not FOR_AGENTS[wanted.function_name] then wanted.callback = closed_to_agents(wanted.callback) end
  for version = {oldest}, {version} do
    local name = wanted.function_name .. '_' .. version
    redis.register_function {{ function_name = name, callback = wanted.callback, flags = wanted.flags or {{}} }}
  end
end
redis.register_function {{
  function_name = '{version_function}', callback = function() return {version} end, flags = {{ 'no-writes' }} }}
"""


@cache
def library_source(version: int = TEXT_VERSION, oldest: int = OLDEST_VERSION) -> str:
    """The library's source: every ``.lua`` file of this package, each but the shared in its own scope."""
    from importlib.resources import files  # lazy: 5 ms, and only a Redis without the library needs it

    paths = sorted((one for one in files(__package__).iterdir() if one.name.endswith(".lua")), key=lambda one: one.name)
    texts = {one.name: one.read_text(encoding="utf-8").replace(_REGISTER, "register") for one in paths}
    shared = [texts.pop(name) for name in _SHARED]
    bodies = [f"do\n{text}end\n" for text in texts.values()]
    prologue = _PROLOGUE.format(
        for_agents=", ".join(f"{name} = true" for name in FOR_AGENTS),
        control_side_command=_CONTROL_SIDE_COMMAND,
        oldest=oldest,
        version=version,
        version_function=_VERSION_FUNCTION,
    )
    return f"#!lua name={LIBRARY_NAME}{prologue}" + "".join(shared + bodies)


def load_library(redis: Redis) -> None:
    """Put the library into Redis, unless what is there is newer.

    Raises:
        RedisRefused: the user may not load functions; a control-side program has to do it.
    """
    if text_version(redis) > TEXT_VERSION:
        return
    redis.call("FUNCTION", "LOAD", "REPLACE", library_source())


def text_version(redis: Redis) -> int:
    """The version of the library that Redis has; 0 when it has none.

    Raises:
        RedisUnreachable: no answer.
        RedisRefused: the server's own error.
    """
    found = redis.pipeline([("FCALL", _VERSION_FUNCTION, 0)])[0]
    if isinstance(found, hiredis.ReplyError):
        if _is_missing(found):
            return 0
        raise RedisRefused(str(found))
    return int(found)


def fcall(name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Command:
    """Build the command that calls a function of the library."""
    return ("FCALL", f"{name}_{TEXT_VERSION}", len(keys), *keys, *arguments)


def fcall_reading(name: str, keys: Sequence[str], arguments: Sequence[Argument]) -> Command:
    """Build the command that calls a function that only reads: whoever may only read those keys may call it."""
    return ("FCALL_RO", *fcall(name, keys, arguments)[1:])


def run(redis: Redis, command: Command) -> Any:
    """Run one FCALL; load the library first where Redis does not have it.

    Raises:
        RedisUnreachable: no answer.
        RedisRefused: the server's own error, from the function or about the user's rights.
    """
    return run_all(redis, [command])[0]


def run_all(redis: Redis, commands: Sequence[Command], begun: Begun | None = None) -> list[Any]:
    """Run commands in one round trip, and once more after loading the library where Redis did not have it.

    Every function is a compare-and-set or adds what is not there yet, so the second run repeats nothing. With ``begun``
    they were sent already, and their replies are read.

    Raises:
        RedisUnreachable: no answer.
        RedisRefused: the server's own error; ``OLDFUNCTIONS`` and ``NEWFUNCTIONS`` when the library there is of another
            release than this program can work with.
    """
    replies = _replies(redis, commands, begun)
    raise_refused(replies)
    return replies


def run_apart(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    """Run commands as ``run_all`` does; an error that concerns one command alone is the answer in its place.

    For work on rows of many instances: what one of them has written into its own branch must not hold up the others.

    Raises:
        RedisUnreachable: no answer.
        RedisRefused: an error that concerns the server or the rights.
    """
    answers: list[Any] = []
    for reply in _replies(redis, commands):
        error = RedisRefused(str(reply)) if isinstance(reply, hiredis.ReplyError) else None
        if error is not None and error.kind not in OF_ONE_COMMAND:
            raise error
        answers.append(error or reply)
    return answers


def run_ahead(redis: Redis, commands: Iterable[Command]) -> Iterator[Any]:
    """Answer the replies of FCALLs that do not depend on one another; each is sent while the one before is at work.

    The library is there already: the caller has just run one of its functions.

    Raises:
        RedisUnreachable: no answer.
        RedisRefused: the server's own error; the command after the refused one may have taken effect.
    """
    for reply in redis.run_ahead(commands):
        if isinstance(reply, hiredis.ReplyError):
            raise RedisRefused(str(reply))
        yield reply


def _replies(redis: Redis, commands: Sequence[Command], begun: Begun | None = None) -> list[Any]:
    replies = begun.replies() if begun else redis.pipeline(commands)
    if any(map(_is_missing, replies)):
        _load_missing(redis)
        replies = redis.pipeline(commands)
    if any(map(_is_missing, replies)):
        raise RedisRefused(
            "NEWFUNCTIONS the functions in Redis are of a newer release that serves this one no more; "
            "upgrade this program"
        )
    return replies


def _is_missing(reply: Any) -> bool:
    return isinstance(reply, hiredis.ReplyError) and _MISSING in str(reply)


def _load_missing(redis: Redis) -> None:
    try:
        load_library(redis)
    except RedisRefused as exc:
        if exc.kind != "NOPERM":
            raise
        raise RedisRefused(
            "OLDFUNCTIONS Redis does not have the functions that this release needs, and this Redis user may not load "
            "them; start assist-beat or assist-gateway of this release, or use `assist run` of it on the control side"
        ) from exc
