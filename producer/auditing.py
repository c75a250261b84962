"""Enter every change and every refusal of the control side in the audit.

A change that is one function call in Redis is entered by that call. Any other is entered as begun before its first
step, and its end after the last; when the first cannot be entered, the change does not happen.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

import msgspec

from ..broker_config.audit.chain import AuditChain, Send
from ..broker_config.audit.entry import AuditEntry, Outcome, Who
from ..broker_config.clock import now_ms
from ..broker_config.errors import (
    NotFound,
    RedisRefused,
    RedisUnreachable,
    Refused,
    RequestInvalid,
)
from ..broker_config.machine_name import machine_name, sendable
from ..broker_config.redis.client import Redis
from ..broker_config.security.signing import MasterKeys

#: Targets named in an entry; their count stands there in any case.
NAMED_COUNT = 10
#: Longest fact; a client's words could be of any length.
_FACT_CHARACTERS = 256
_REFUSALS = (RequestInvalid, NotFound, Refused)


class Change:
    """One change under way; what becomes known of it only later may be told until it ends."""

    def __init__(self, action: str, what: str, digest: str, facts: Mapping[str, str]) -> None:
        self.action = action
        self.what = what
        self.digest = digest
        self.facts = dict(facts)
        self.id = os.urandom(8).hex()


class Request:
    """Whose request this thread works on, and whether the audit has what there is to say of it."""

    def __init__(self, who: Who, request_id: str = "") -> None:
        self.who = who
        self.request_id = request_id
        #: A change is under way: what it consists of needs no entries of its own.
        self.is_covered = False
        #: The refusal that ends it was entered already.
        self.is_refused = False


_request: ContextVar[Request | None] = ContextVar("audited_request", default=None)


@contextmanager
def acting_for(request: Request) -> Iterator[Request]:
    """Enter what this thread does now as somebody else's request."""
    token = _request.set(request)
    try:
        yield request
    finally:
        _request.reset(token)


@cache
def local_user() -> Who:
    """Who runs this program: the user the system knows it by, whatever the environment says, and the machine."""
    return Who(kind="local", name=sendable(_user_name()), source=machine_name())


class Auditing:
    """Enters what one process changes."""

    def __init__(self, redis: Redis, master: Callable[[], MasterKeys | None]) -> None:
        self.chain = AuditChain(redis, master)

    @contextmanager
    def change(self, action: str, *, what: str = "", digest: str = "", **facts: str) -> Iterator[Change]:
        """Enter that a change begins, and how it ended.

        Raises:
            RedisUnreachable, RedisRefused, Refused: it could not be entered, and nothing was changed.
        """
        request = _request.get() or Request(local_user())
        change = Change(action, what, digest, facts)
        if request.is_covered:
            yield change
            return
        with acting_for(request):
            self.chain.append([self._entry(change, Outcome.BEGUN)])
            request.is_covered = True
            try:
                yield change
            except BaseException as error:
                request.is_refused = True
                self._end(self._entry(change, *_outcome_of(error)))
                raise
            finally:
                request.is_covered = False
            self._end(self._entry(change, Outcome.DONE))

    @contextmanager
    def refusals(self, action: str, *, what: str = "", digest: str = "", **facts: str) -> Iterator[Change]:
        """Enter the refusal of a change that enters its success by itself."""
        change = Change(action, what, digest, facts)
        try:
            yield change
        except _REFUSALS as error:
            request = _request.get()
            if request is None or not (request.is_covered or request.is_refused):
                self._end(self._entry(change, Outcome.REFUSED, error.code))
            if request is not None:
                request.is_refused = True
            raise

    def entering(self, change: Change, what: str) -> Callable[[Send], list[Any]] | None:
        """What enters a change together with the function call that makes it; ``None`` inside a larger change."""
        change.what = what
        request = _request.get()
        if request is not None and request.is_covered:
            return None
        entry = msgspec.structs.replace(self._entry(change, Outcome.DONE), change="")
        return lambda send: self.chain.enter([entry], send)

    def refused(self, change: Change, code: str) -> None:
        """Enter a refusal.

        Raises:
            RedisUnreachable, RedisRefused, Refused: it could not be entered.
        """
        self.chain.append([self._entry(change, Outcome.REFUSED, code)])

    def _end(self, entry: AuditEntry) -> None:
        """Enter how something ended. What happened has happened: that it cannot be entered is told to the log."""
        try:
            self.chain.append([entry])
        except (RedisUnreachable, RedisRefused, Refused) as exc:
            from ..broker_config.programs.program_log import logger  # lazy: 10 ms that the command line does without

            logger("audit").warning(
                "not in the audit: action=%s what=%s outcome=%s: %s", entry.action, entry.what, entry.outcome, exc
            )

    def _entry(self, change: Change, outcome: Outcome, code: str = "") -> AuditEntry:
        request = _request.get() or Request(local_user())
        return AuditEntry(
            at_ms=now_ms(),
            who=request.who,
            action=change.action,
            outcome=outcome,
            code=code,
            what=change.what,
            digest=change.digest,
            facts={name: value[:_FACT_CHARACTERS] for name, value in change.facts.items() if value},
            request_id=request.request_id,
            change="" if outcome is Outcome.REFUSED and not request.is_covered else change.id,
        )


def named_targets(instance_ids: Sequence[str]) -> dict[str, str]:
    """The facts about the targets of a change: the first of them by id, and how many there are."""
    return {"Instances": " ".join(instance_ids[:NAMED_COUNT]), "InstanceCount": str(len(instance_ids))}


def shown(tags: Mapping[str, str] | Mapping[str, str | None] | None) -> str:
    """Tags as one fact; one of any value is its key alone."""
    return " ".join(key if value is None else f"{key}={value}" for key, value in (tags or {}).items())


def _outcome_of(error: BaseException) -> tuple[Outcome, str]:
    # The gateway's own errors have the status that they are answered with.
    is_refusal = isinstance(error, _REFUSALS) or 400 <= getattr(error, "http_status", 0) < 500
    return Outcome.REFUSED if is_refusal else Outcome.FAILED, str(getattr(error, "code", type(error).__name__))


def _user_name() -> str:
    try:
        import pwd  # lazy: not there on Windows
    except ImportError:
        from getpass import getuser  # lazy: only where there is no other way

        return getuser()
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
