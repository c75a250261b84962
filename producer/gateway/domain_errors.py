"""Turn the control side's own exceptions into the API's errors, once for every action."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from ...broker_config.errors import (
    CloudAssistantError,
    NotFound,
    RedisRefused,
    RedisUnreachable,
    Refused,
    RequestInvalid,
)
from ...broker_config.programs.program_log import logger
from ...broker_config.redis.remedies import with_remedy
from .actions.action import Action, Call, Fields, NotYet
from .api_errors import ApiError, api_error
from .error_catalogue import is_documented

_log = logger("gateway")

#: For codes that the catalogue does not hold: they name what only this product can refuse.
_STATUS_OF_KIND: Mapping[type[CloudAssistantError], int] = {RequestInvalid: 400, NotFound: 404, Refused: 403}


def with_api_errors(action: Action) -> Action:
    """Wrap an action, and every later look of one that waits, so that it raises nothing but ``ApiError``."""

    def wrapped(call: Call) -> Fields | NotYet:
        return _guarded(call.action, lambda: action(call))

    return wrapped


def api_error_of(error: CloudAssistantError, action: str = "") -> ApiError:
    """Give the API's error for one of the control side's own."""
    if isinstance(error, RedisUnreachable):
        _log.warning("request failed for lack of Redis action=%s reason=%s", action, error)
        return api_error("ServiceUnavailable", "The store behind this gateway does not answer.")
    if isinstance(error, RedisRefused):
        _log.warning("request failed, Redis refuses action=%s reason=%s", action, with_remedy(error))
        return api_error("ServiceUnavailable", "The store behind this gateway refuses; the gateway's log says why.")
    text = str(error)
    detail = text if text.endswith((".", "?", "!")) else text + "."
    if is_documented(error.code):
        return api_error(error.code, detail, action=action)
    for kind, http_status in _STATUS_OF_KIND.items():
        if isinstance(error, kind):
            return ApiError(error.code, http_status, detail)
    _log.error("request failed action=%s code=%s reason=%s", action, error.code, text)
    return api_error("InternalError")


@contextmanager
def renamed_codes(names: Mapping[str, str]) -> Iterator[None]:
    """Raise under another code what this action documents under a name of its own."""
    try:
        yield
    except ApiError as error:
        if error.code not in names:
            raise
        raise api_error(names[error.code], error.message) from error
    except CloudAssistantError as error:
        if error.code not in names:
            raise
        raise api_error(names[error.code], f"{error}.") from error


def _guarded(action: str, look: Callable[[], Fields | NotYet]) -> Fields | NotYet:
    try:
        outcome = look()
    except CloudAssistantError as error:
        raise api_error_of(error, action) from error
    if isinstance(outcome, NotYet):
        again = outcome.look_again
        return replace(outcome, look_again=lambda: _guarded(action, again))
    return outcome
