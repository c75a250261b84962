"""ClientToken: the same request a second time gets the first answer and has no second effect."""

import hmac
from collections.abc import Callable

import msgspec

from ...broker_config.errors import Refused
from ...broker_config.redis_client import Redis
from ...broker_config.sealing import seal, unseal
from .. import client_tokens
from ..shapes import Shape
from .access_keys import AccessKey
from .actions import Call

_ANSWER = "answer"


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
    key = hmac.digest(call.caller.secret.encode(), b"answer to " + token.encode(), "sha256")
    context = call.action.encode()

    def kept() -> str:
        answer = msgspec.json.encode(act())
        return (seal(key, answer, context) if is_secret else answer).decode()

    stored = client_tokens.once(
        redis,
        scope=scope_of(call.action, call.caller),
        token=token,
        parameters=parameters,
        act=lambda: {_ANSWER: kept()},
    )
    return msgspec.json.decode(_opened(key, stored[_ANSWER], context) if is_secret else stored[_ANSWER], type=Shape)


def scope_of(action: str, caller: AccessKey) -> str:
    """Say whose token it is: the access key's that signed, for several may have one name; without a key, the user's."""
    return f"{action}:{caller.access_key_id or '@' + caller.principal}"


def _opened(key: bytes, sealed: str, context: bytes) -> bytes:
    try:
        return unseal(key, sealed.encode(), context)
    except Refused as exc:
        raise Refused(
            "this client token was used with another secret of this access key; use a new one",
            code="IdempotentParameterMismatch",
        ) from exc
