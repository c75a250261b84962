"""What the exit code of ``assist`` says."""

from ...broker_config.errors import (
    CloudAssistantError,
    NotFound,
    RedisRefused,
    RequestInvalid,
    SettingsInvalid,
    WaitTimedOut,
)

#: Done; where the end of an invocation was awaited, every target succeeded.
DONE = 0
#: The end was awaited, and at least one target did not succeed.
SCRIPT_FAILED = 1
#: The command line, a setting or the request itself is wrong.
WRONG_USAGE = 2
#: Redis or the gateway does not answer, or cannot serve at present.
UNREACHABLE = 3
#: A policy, a quota or the present state forbids it.
REFUSED = 4
#: An id names nothing.
NOT_FOUND = 5
#: The time to wait was up; what was waited for goes on.
TIMED_OUT = 6
#: A defect in assist itself.
DEFECT = 70
#: Ended by Ctrl-C, as shells say it.
INTERRUPTED = 130
#: Whoever read our output has gone, as shells say it.
PIPE_CLOSED = 141

#: The API calls these 403, and some that are missing 404; what is wrong all the same is what was typed.
_TYPED_WRONG = ("Parameter.", "ParameterType.", "ParameterKey.Duplicate", "InvalidParameter")
_MISSING = ("MissingParameter", "BothEmpty.")


def code_of(error: CloudAssistantError) -> int:
    """The exit code that an error of ours ends the program with."""
    # Redis, or a gateway.
    if isinstance(error, ConnectionError):
        return UNREACHABLE
    if isinstance(error, RedisRefused):
        return UNREACHABLE if error.is_passing else REFUSED
    if isinstance(error, WaitTimedOut):
        return TIMED_OUT
    if error.code.startswith(_MISSING):
        return WRONG_USAGE
    # A tag that nothing carries is a malformed request to the API; to a person it was not found.
    if isinstance(error, NotFound) or error.code.endswith("NotFound"):
        return NOT_FOUND
    if isinstance(error, RequestInvalid | SettingsInvalid) or error.code.startswith(_TYPED_WRONG):
        return WRONG_USAGE
    return REFUSED
