"""ClientToken: the same request a second time gets the first answer and has no second effect."""

from collections.abc import Callable

import msgspec

from ...broker_config.redis_client import Redis
from .. import client_tokens
from ..shapes import Shape
from .actions import Call

_ANSWER = "answer"


def once_per_token(redis: Redis, call: Call, act: Callable[[], Shape]) -> Shape:
    """Act, unless this caller's token was seen with this action: then give the answer of that time.

    Two requests are the same when all parameters are, those of the protocol apart. Only successes are remembered.

    Raises:
        Refused: the token came with other parameters, or the first request is still under way.
        RequestInvalid: the token is malformed.
    """
    parameters = call.parameters.business_values
    token = parameters.pop("ClientToken", "")
    if not token:
        return act()
    stored = client_tokens.once(
        redis,
        scope=f"{call.action}:{call.caller.principal}",
        token=token,
        parameters=parameters,
        act=lambda: {_ANSWER: msgspec.json.encode(act()).decode()},
    )
    return msgspec.json.decode(stored[_ANSWER], type=Shape)
