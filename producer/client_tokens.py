"""Make a request idempotent: the same ClientToken with the same parameters gets the first answer again."""

import hashlib
from collections.abc import Callable, Mapping

import msgspec

from ..broker_config import keys
from ..broker_config.errors import CloudAssistantError, RedisRefused, RedisUnreachable, Refused
from ..broker_config.records import Command
from ..broker_config.redis.client import Redis
from . import validation

#: How long a token is remembered.
TOKEN_TTL_MS = 24 * 3600 * 1000


class _Remembered(msgspec.Struct):
    fingerprint: str
    answer: dict[str, str] = {}


_decoder = msgspec.json.Decoder(_Remembered)


def once(
    redis: Redis,
    *,
    scope: str,
    token: str,
    parameters: Mapping[str, object],
    act: Callable[[], dict[str, str]],
) -> dict[str, str]:
    """Run ``act`` once per token and answer with what it returned then; without a token, just run it.

    A request that was refused may be repeated with the same token. One that broke off, so that nobody knows whether it
    took effect, may not: whoever gives a token asks for at most one effect.

    Raises:
        RequestInvalid: the token is malformed.
        Refused: the token was used with other parameters, or its first request is still under way or broke off.
    """
    if not token:
        return act()
    validation.client_token(token)
    fingerprint = _fingerprint(parameters)
    key = _key(scope, token)
    pending = msgspec.json.encode(_Remembered(fingerprint))
    if redis.call("SET", key, pending, "NX", "PX", TOKEN_TTL_MS) is None:
        return _repeat(redis.call("GET", key), fingerprint)
    try:
        answer = act()
    except BaseException as error:
        if _is_refusal(error):
            redis.call("DEL", key)
        raise
    redis.call("SET", key, msgspec.json.encode(_Remembered(fingerprint, answer)), "PX", TOKEN_TTL_MS)
    return answer


def answer_given(redis: Redis, *, scope: str, token: str, parameters: Mapping[str, object]) -> dict[str, str]:
    """Look up what the same request was answered before; empty when it was not, or not yet."""
    stored = redis.call("GET", _key(scope, token))
    remembered = _decoder.decode(stored) if stored else None
    return remembered.answer if remembered and remembered.fingerprint == _fingerprint(parameters) else {}


def _is_refusal(error: BaseException) -> bool:
    """Tell whether nothing took effect.

    Where Redis does not answer, the answer was lost, not necessarily the request. What it refuses may be the second
    half of something, which others complete. And whoever interrupts us, or finds a mistake of ours, does so anywhere.
    """
    if isinstance(error, CloudAssistantError):
        return not isinstance(error, RedisUnreachable | RedisRefused)
    # The gateway's own errors have the status that they are answered with.
    return 400 <= getattr(error, "http_status", 0) < 500


def _fingerprint(parameters: Mapping[str, object]) -> str:
    return hashlib.sha256(msgspec.json.encode(sorted(parameters.items()))).hexdigest()


def _key(scope: str, token: str) -> str:
    return keys.client_token(scope, hashlib.sha256(token.encode()).hexdigest())


def _repeat(stored: bytes | None, fingerprint: str) -> dict[str, str]:
    remembered = _decoder.decode(stored) if stored else None
    if remembered is None or (remembered.fingerprint == fingerprint and not remembered.answer):
        raise Refused(
            "a request with this client token is still under way, or broke off and may have taken effect: ask again,"
            " look for it in `assist invocation list`, or make it anew with another token",
            code="IdempotentProcessing",
        )
    if remembered.fingerprint != fingerprint:
        raise Refused(
            "this client token was used with other parameters; use a new one", code="IdempotentParameterMismatch"
        )
    return remembered.answer


def without_id(command: Command) -> str:
    """What a client token compares of a command: all but what is made anew for each request."""
    return repr(msgspec.structs.replace(command, command_id="", created_ms=0))
