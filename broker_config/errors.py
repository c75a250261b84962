"""The exceptions of Cloud Assistant.

CloudAssistantError                 everything below; has ``code`` and, where it helps, a remedy in the text
├── RedisUnreachable                no answer from Redis: down, refused, timed out (also ConnectionError)
│   └── RedisNotTrusted             TLS: a certificate, theirs or ours, is missing or not accepted
├── RedisRefused                    Redis answered with an error: out of memory, read-only, no permission
├── SettingsInvalid                 a setting is unknown or has a bad value (also ValueError)
├── RequestInvalid                  a request breaks a rule of the API; ``code`` is the API's own (also ValueError)
├── NotFound                        an id names nothing; ``code`` is the API's own (also LookupError)
├── Refused                         a rule of policy, quota or state forbids it; ``code`` is the API's own
│   └── RecordUnreadable            what is stored under an id cannot be read (also ValueError)
└── WaitTimedOut                    a wait ended before what it waited for (also TimeoutError)
"""

_PASSING_KINDS = frozenset({"LOADING", "BUSY", "MASTERDOWN", "CLUSTERDOWN", "READONLY", "TRYAGAIN"})


class CloudAssistantError(Exception):
    """Something Cloud Assistant itself has to say; ``code`` is stable, the text is for people."""

    code = "InternalError"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class RedisUnreachable(CloudAssistantError, ConnectionError):
    """Redis gave no answer; whether the last request took effect is not known."""

    code = "ServiceUnavailable"


class RedisNotTrusted(RedisUnreachable):
    """TLS to Redis did not come about; the text says which certificate is the reason and what to do."""


class RedisRefused(CloudAssistantError):
    """Redis answered with an error of its own; nothing was changed by the refused command."""

    code = "ServiceUnavailable"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        #: The first word of the server's error: OOM, READONLY, NOPERM, WRONGPASS, LOADING …
        self.kind = message.split(" ", 1)[0]

    @property
    def is_passing(self) -> bool:
        """Whether the server is expected to accept the same request soon: it loads its data, or fails over."""
        return self.kind in _PASSING_KINDS


class SettingsInvalid(CloudAssistantError, ValueError):
    """A setting cannot be used; the text names it, where it came from, and what is accepted."""

    code = "InvalidSettings"


class RequestInvalid(CloudAssistantError, ValueError):
    """A request breaks a rule; ``code`` is the API's error code."""

    code = "InvalidParameter"


class NotFound(CloudAssistantError, LookupError):
    """An id names nothing that exists."""

    code = "NotFound"


class Refused(CloudAssistantError):
    """The request is well formed, and a policy, a quota or the present state forbids it."""

    code = "Operation.Forbidden"


class RecordUnreadable(Refused, ValueError):
    """What is stored under an id cannot be read; the text names it, why, and what to do about it."""

    code = "RecordUnreadable"


class WaitTimedOut(CloudAssistantError, TimeoutError):
    """The wait ended first; the invocation itself goes on."""

    code = "WaitTimedOut"
