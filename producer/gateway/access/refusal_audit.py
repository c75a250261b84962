"""Enter refused requests in the audit, a few each minute; more are counted, and cannot push out what matters."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ....broker_config.audit.entry import Who
from ....broker_config.errors import RedisRefused, RedisUnreachable, Refused
from ....broker_config.programs.program_log import logger
from ...auditing import Auditing, Change, Request, acting_for
from ...security.caller import AccessKey
from ..api_errors import ApiError, api_error
from ..exchange import Exchange, safe_in_log
from .audited_actions import is_reading, who_of

_WINDOW_MS = 60_000
#: Entries of one key in a window; and of all together whom nobody knows.
KEY_COUNT = 60
STRANGERS_COUNT = 30
#: Keys told apart in one window.
_KEYS_COUNT = 10_000
_STRANGERS = ""

_log = logger("gateway")


@dataclass
class _Counted:
    """What one caller, or all strangers, were refused in this window."""

    who: Who
    count: int = 0
    more: Counter[str] = field(default_factory=Counter)


class RefusalAudit:
    """Enters, or counts, what one gateway refuses. Safe to share between threads."""

    def __init__(self, auditing: Auditing, now_ms: Callable[[], int]) -> None:
        self._auditing = auditing
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._window = 0
        self._counted: dict[str, _Counted] = {}

    def turn(self) -> None:
        """Enter the counts of the last window once it is over; to be called with every request."""
        window = self._now_ms() // _WINDOW_MS
        if window == self._window:
            return
        with self._lock:
            if window == self._window:
                return
            ended, self._counted, self._window = self._counted, {}, window
        self._enter_counts(ended)

    def close(self) -> None:
        """Enter what was counted so far."""
        with self._lock:
            ended, self._counted = self._counted, {}
        self._enter_counts(ended)

    def require_room(self, caller: AccessKey, action: str) -> None:
        """Return if a changing request of this key may go on to where it is entered one by one.

        Raises:
            ApiError: ``Throttling.User``: too many of its requests were refused lately.
        """
        if is_reading(action):
            return
        with self._lock:
            counted = self._counted.get(caller.access_key_id)
            is_over = counted is not None and counted.count >= KEY_COUNT
        if is_over:
            raise api_error("Throttling.User", f"{KEY_COUNT} requests of this access key were refused within a minute.")

    def refused(self, exchange: Exchange, error: ApiError, *, is_entered: bool) -> None:
        """Take note of a refusal; one that was entered already is only counted."""
        if error.http_status >= 500:
            return
        caller = exchange.caller
        who = _who(exchange)
        if self._has_room(caller, who, error.code) and not is_entered:
            with acting_for(Request(who, exchange.request_id)):
                self._enter(Change(safe_in_log(exchange.action), "", "", {}), error.code)

    def _has_room(self, caller: AccessKey | None, who: Who, code: str) -> bool:
        name = caller.access_key_id if caller is not None else _STRANGERS
        with self._lock:
            if name not in self._counted and len(self._counted) >= _KEYS_COUNT:
                name = _STRANGERS
            counted = self._counted.setdefault(name, _Counted(who=who if name else Who(kind="unknown")))
            counted.count += 1
            if counted.count <= (KEY_COUNT if name else STRANGERS_COUNT):
                return True
            counted.more[code] += 1
            return False

    def _enter_counts(self, ended: dict[str, _Counted]) -> None:
        for counted in ended.values():
            if counted.more:
                facts = {code: str(count) for code, count in counted.more.most_common(20)}
                with acting_for(Request(counted.who)):
                    self._enter(Change("RefusedRequests", "", "", facts), "MoreRefusals")

    def _enter(self, change: Change, code: str) -> None:
        try:
            self._auditing.refused(change, code)
        except (RedisUnreachable, RedisRefused, Refused) as exc:
            _log.warning("a refusal is not in the audit: action=%s code=%s: %s", change.action, code, exc)


def _who(exchange: Exchange) -> Who:
    if exchange.caller is not None:
        return who_of(exchange.caller, exchange.source)
    claimed = safe_in_log(exchange.access_key_id)
    return Who(kind="unknown", name="" if claimed == "-" else claimed, source=exchange.source)
