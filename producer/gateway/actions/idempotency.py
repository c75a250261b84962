"""ClientToken: the same request a second time gets the first answer and has no second effect."""

import hmac
from collections.abc import Callable, Mapping

import msgspec

from ....broker_config.errors import Refused
from ....broker_config.redis.client import Redis
from ....broker_config.security.sealing import seal, unseal
from ... import client_tokens
from ...security.caller import AccessKey
from ...shapes import Shape
from .action import Call

_ANSWER = "answer"
#: An answer that only its key and token open.
_SEALED = "sealed"


def once_per_token(redis: Redis, call: Call, act: Callable[[], Shape], *, is_secret: bool = False) -> Shape:
    """Act, unless this access key's token was seen with this action: then give the answer of that time.

    Two requests are the same when all parameters are, those of the protocol apart. Only successes are remembered. An
    answer that ``is_secret`` is kept so that only the key and the token that asked for it open it.

    Raises:
        Refused: the token came with other parameters, or the first request is still under way.
        RequestInvalid: the token is malformed.
    """
    parameters = call.parameters.business_values
    token = parameters.pop("ClientToken", "")
    if not token:
        return act()

    def kept() -> dict[str, str]:
        answer = msgspec.json.encode(act())
        if not is_secret:
            return {_ANSWER: answer.decode()}
        return {_SEALED: seal(_key_of(call, token), answer, call.action.encode()).decode()}

    scope = scope_of(call.action, call.caller)
    return _read(call, token, client_tokens.once(redis, scope=scope, token=token, parameters=parameters, act=kept))


def answer_given(redis: Redis, call: Call) -> Shape | None:
    """Look up the first answer to a request that comes once more; ``None`` when it is not one, or has none yet.

    Raises:
        Refused: the token was used under another secret of this access key.
    """
    parameters = call.parameters.business_values
    token = parameters.pop("ClientToken", "")
    if not token:
        return None
    scope = scope_of(call.action, call.caller)
    stored = client_tokens.answer_given(redis, scope=scope, token=token, parameters=parameters)
    return _read(call, token, stored) if stored else None


def scope_of(action: str, caller: AccessKey) -> str:
    """Say whose token it is: the access key's that signed, for several may have one name; without a key, the user's."""
    return f"{action}:{caller.access_key_id or '@' + caller.principal}"


def _key_of(call: Call, token: str) -> bytes:
    return hmac.digest(call.caller.secret.encode(), b"answer to " + token.encode(), "sha256")


def _read(call: Call, token: str, stored: Mapping[str, str]) -> Shape:
    if _SEALED not in stored:
        return msgspec.json.decode(stored[_ANSWER], type=Shape)
    try:
        opened = unseal(_key_of(call, token), stored[_SEALED].encode(), call.action.encode())
    except Refused as exc:
        raise Refused(
            "this client token was used with another secret of this access key, or another master key; use a new one",
            code="IdempotentParameterMismatch",
        ) from exc
    return msgspec.json.decode(opened, type=Shape)
