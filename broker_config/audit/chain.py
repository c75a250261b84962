"""Enter things in the audit: a chain of entries in a stream, each sealed over the one before it.

Redis takes an entry only at the end that its writer has seen, so writers that meet are put in a row by trying again.
A writer remembers the end that it left, and as long as nobody else writes, an entry costs no extra round trip.
"""

import os
import threading
from collections.abc import Callable, Sequence
from time import sleep
from typing import Any

from .. import keys
from ..errors import RedisRefused, Refused
from ..functions.audit import append_audit_command
from ..functions.function_library import run
from ..redis.client import Redis
from ..redis.connection import Argument, Command
from ..security.signing import MasterKeys
from ..unreadable import raised, read_or_tell
from .entry import AuditEntry, encode_entry, entry_mac

#: What Redis answers when the end is another than the writer has seen, or is reserved for one who has waited long.
_NOT_AT_THE_END = (b"stale", b"busy")
#: Lost races after which a writer asks for the next turn; a distant writer beside a busy one would never win.
_LOSSES_BEFORE_TURN = 3
#: A turn lasts a second at most, so this is patience for dozens of those who crashed in theirs.
_TRIES_COUNT = 2_000
_PAUSE_SECONDS = 0.002
#: Of the number of an entry, at most.
_NUMBER_DIGITS = 15
_REMEDY = (
    "Until it is right nothing can be changed: see what else was touched (assist audit verify --output json), and put "
    f"the last entry's number and MAC back: redis-cli HSET {keys.AUDIT_HEAD} number LastEntry mac LastMac"
)

#: Asks for the end of the chain.
END: Command = ("HMGET", keys.AUDIT_HEAD, "number", "mac")

Send = Callable[[list[Argument]], list[Any]]


class AuditChain:
    """The end of the chain as one process sees it. Safe to share between threads."""

    def __init__(self, redis: Redis, master: Callable[[], MasterKeys | None]) -> None:
        self._redis = redis
        self._master = master
        self._token = os.urandom(8).hex()
        self._lock = threading.Lock()
        #: Number and MAC of the last entry; ``None`` when that has to be asked.
        self._end: tuple[int, str] | None = None

    @property
    def knows_its_end(self) -> bool:
        """Whether the next entry costs no round trip of its own."""
        return self._end is not None

    def note_end(self, reply: Sequence[bytes | None]) -> None:
        """Take what somebody has read by ``END``; when it is old by then, Redis says so.

        Raises:
            RecordUnreadable: it is no end of a chain.
        """
        with self._lock:
            self._end = self._end or _end_in(reply)

    def append(self, entries: Sequence[AuditEntry], taken_over: Sequence[tuple[str, str, str]] = ()) -> bool:
        """Enter entries one after another; false when another program has taken over the same refusals.

        Raises:
            RedisUnreachable, RedisRefused: whether they stand there is not known, or they do not.
            Refused: this program cannot seal entries (``AuditUnsealed``), or where the chain ends cannot be read
            (``RecordUnreadable``).
        """
        reply = self.enter(entries, lambda audit: run(self._redis, append_audit_command(audit, taken_over)))
        return bool(reply[0] == b"ok")

    def enter(self, entries: Sequence[AuditEntry], send: Send) -> list[Any]:
        """Have ``send`` call a function that enters entries with its change; answers that function's reply.

        ``send`` is given the arguments that ``shared_audit.lua`` describes, and is called again with others as long as
        another writer was quicker. Entries count as written when the reply's first word is ``ok``.
        """
        bodies = [encode_entry(one) for one in entries]
        for losses in range(_TRIES_COUNT):
            with self._lock:
                reply = self._try(bodies, send, wants_turn=losses >= _LOSSES_BEFORE_TURN)
            if reply[0] not in _NOT_AT_THE_END:
                return reply
            if reply[0] == b"busy":
                sleep(_PAUSE_SECONDS * (1 + os.urandom(1)[0] / 255))
        raise RedisRefused("BUSY the audit has so many writers that this change could not be entered; try again")

    def _try(self, bodies: Sequence[bytes], send: Send, *, wants_turn: bool) -> list[Any]:
        # Until the answer is there the end is not known; an exception leaves it so.
        end, self._end = self._end or _end_in(self._redis.call(*END)), None
        number, mac = end
        arguments: list[Argument] = [number, mac, self._token, int(wants_turn), len(bodies)]
        master = self._master()
        for body in bodies:
            number += 1
            mac = entry_mac(master, mac, number, body)
            arguments += (body, mac)
        reply = send(arguments)
        if reply[0] in _NOT_AT_THE_END:
            self._end = _end_in(reply[1:])
            if self._end[0] < end[0]:
                _log_cut(end[0], self._end[0])
        elif reply[0] == b"unsealed":
            raise Refused(
                "the audit of this installation is sealed with its master key, which is not here, so nothing can be "
                "changed from here; copy the master key file, or name it with security.master_key_file",
                code="AuditUnsealed",
            )
        else:
            self._end = (number, mac) if reply[0] == b"ok" else end
        return reply


def _end_in(reply: Sequence[bytes | None]) -> tuple[int, str]:
    return raised(read_or_tell("the head of the audit", _REMEDY, _read_end, reply))


def _read_end(reply: Sequence[bytes | None]) -> tuple[int, str]:
    number, mac = ((one or b"").decode() for one in reply)
    # In the form in which it is compared: another writing of the same number would never be met.
    if number and not (number.isdecimal() and len(number) <= _NUMBER_DIGITS and str(int(number)) == number):
        raise ValueError(f"its number is {number[:20]!r}")
    return int(number or 0), mac


def _log_cut(known: int, found: int) -> None:
    from ..programs.program_log import logger  # lazy: 10 ms that the command line does without

    logger("audit").error(
        "the audit was cut back: it had come to entry %d and ends at %d now; see: assist audit verify", known, found
    )
