"""Find out whether the audit is as it was written: nothing edited, removed, inserted or moved.

Each entry's MAC covers the one before it, so an entry that does not fit is a place where somebody changed something.
Behind it the walk goes on, because what is known already must not hide what was done since. That the end is missing
shows nowhere in the chain itself: for that there are notes kept elsewhere.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from ...broker_config import keys
from ...broker_config.audit.entry import has_mac, is_sealed
from ...broker_config.redis.client import Redis
from ...broker_config.security.signing import MasterKeys
from ...broker_config.untrusted_input import UntrustedDecoder
from .audit_reading import StoredEntry, oldest_first

TRIMMED = "AuditTrimmed"
#: Problems told one by one.
_TOLD_COUNT = 10


class Known(msgspec.Struct, frozen=True):
    """What somebody outside of Redis knows of one entry, and from where; no body where only the MAC was noted."""

    number: int
    mac: str
    source: str
    body: bytes | None = None


class Problem(msgspec.Struct, frozen=True):
    """One place that is not as it was written."""

    #: The entry that was changed, or the first that is missing.
    number: int
    text: str


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it; there is no problem when all is as it was written."""

    count: int = 0
    first_number: int = 0
    last_number: int = 0
    last_mac: str = ""
    last_stream_id: str = ""
    #: In the order of the chain, the first few.
    problems: Sequence[Problem] = ()
    problem_count: int = 0
    known_count: int = 0

    @property
    def problem(self) -> str:
        """The problems in one sentence; ``""`` where there is none."""
        more_count = self.problem_count - len(self.problems)
        return "; ".join([*(one.text for one in self.problems), *([f"and {more_count} more"] if more_count else ())])

    @property
    def bad_number(self) -> int:
        """The first entry that is not as it was written, or the first that is missing; 0 where there is none."""
        return self.problems[0].number if self.problems else 0


class _Problem(Exception):
    def __init__(self, number: int, text: str) -> None:
        super().__init__(text)
        self.number = number


def verify_audit(
    redis: Redis, master: MasterKeys | None, known: Iterable[Known] = (), *, unsealed_through: int = 0
) -> Verified:
    """Walk the whole chain. Entries that are written meanwhile are checked as well.

    Where there is a master key, entries without a seal are none of ours; but for those up to ``unsealed_through``, of
    which somebody says that they are from before there was one.
    """
    number, mac = redis.call("HMGET", keys.AUDIT_HEAD, "number", "mac")
    # Read first: what is written from now on only lengthens the chain.
    head = Known(_number(number), (mac or b"").decode("utf-8", "replace"), "the head of the chain")
    walk = _Walk(master, known, head, unsealed_through)
    for stored in oldest_first(redis):
        walk.take(stored)
    walk.end()
    return walk.result()


class _Walk:
    """Goes along the chain, entry by entry."""

    def __init__(self, master: MasterKeys | None, known: Iterable[Known], head: Known, unsealed_through: int) -> None:
        self._master = master
        self._unsealed_through = unsealed_through
        self._head = head
        self._mac_at_head = ""
        self._known: dict[int, list[Known]] = {}
        for one in known:
            self._known.setdefault(one.number, []).append(one)
        self._first: StoredEntry | None = None
        self._last: StoredEntry | None = None
        self._count = 0
        self._known_count = 0
        #: What sealed statements say was removed for its age: the last entry of it, and its MAC.
        self._trimmed: dict[int, str] = {}
        self._has_sealed = False
        self._problems: list[Problem] = []
        self._problem_count = 0

    def take(self, stored: StoredEntry) -> None:
        with self._noting():
            self._check_place(stored)
            # Only of what is proved to be in its place.
            self._note_trimming(stored)
        if stored.number < 1 or (self._last is not None and stored.number <= self._last.number):
            # It stands where it does not belong; the chain goes on behind what it followed.
            return
        with self._noting():
            self._check_known(stored)
        self._has_sealed |= is_sealed(stored.mac)
        if stored.number == self._head.number:
            self._mac_at_head = stored.mac
        self._first = self._first or stored
        self._last = stored
        self._count += 1

    def end(self) -> None:
        with self._noting():
            self._check_end()
        with self._noting():
            self._check_beginning()

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except _Problem as problem:
            self._problem_count += 1
            if len(self._problems) < _TOLD_COUNT:
                self._problems.append(Problem(problem.number, str(problem)))

    def _check_place(self, stored: StoredEntry) -> None:
        if stored.number < 1:
            raise _Problem(0, f"what stands at {stored.stream_id} is not an entry of the audit")
        if self._last is not None:
            # What it must follow nobody knows behind a gap.
            self._check_number(stored, self._last.number + 1)
            self._check(stored, self._last.mac)
        elif stored.number == 1:
            self._check(stored, "")

    def _check_end(self) -> None:
        last = self._last
        last_number = last.number if last else 0
        if self._head.number:
            self._known.setdefault(self._head.number, []).append(self._head)
        for number in sorted(self._known):
            if number > last_number:
                one = self._known[number][0]
                raise _Problem(
                    last_number + 1,
                    f"the end is missing: entries {last_number + 1} to {number} are gone ({one.source} knows them)",
                )
        if last_number and self._mac_at_head != self._head.mac:
            raise _Problem(self._head.number + 1, f"the head of the chain does not name entry {last_number}")

    def _check_beginning(self) -> None:
        first = self._first
        if first is None or first.number == 1:
            return
        # One of what comes later says nothing of the first: somebody may have put that back, with other words.
        stated = max((through for through in self._trimmed if through < first.number), default=0)
        if stated < first.number - 1:
            raise _Problem(
                stated + 1,
                f"the beginning is missing: entries {stated + 1} to {first.number - 1} are gone, and no sealed "
                "statement says that they were removed for their age",
            )
        # The statement gives the MAC that the first entry must follow.
        self._check(first, self._trimmed[stated])

    def result(self) -> Verified:
        return Verified(
            count=self._count,
            first_number=self._first.number if self._first else 0,
            last_number=self._last.number if self._last else 0,
            last_mac=self._last.mac if self._last else "",
            last_stream_id=self._last.stream_id if self._last else "",
            problems=self._problems,
            problem_count=self._problem_count,
            known_count=self._known_count,
        )

    def _check_number(self, stored: StoredEntry, expected: int) -> None:
        if stored.number > expected:
            last = stored.number - 1
            raise _Problem(
                expected,
                f"entry {expected} is missing" if last == expected else f"entries {expected} to {last} are missing",
            )
        if stored.number != expected:
            raise _Problem(
                expected, f"after entry {expected - 1} stands entry {stored.number}: it was moved, repeated or inserted"
            )

    def _check(self, stored: StoredEntry, before: str) -> None:
        number = stored.number
        if self._master is not None and not is_sealed(stored.mac) and number > self._unsealed_through:
            raise _Problem(number, self._without_seal(number))
        try:
            fits = has_mac(self._master, stored.mac, before, number, stored.body)
        except KeyError as exc:
            name = str(exc.args[0])[:32]
            raise _Problem(number, f"entry {number} is sealed with the master key {name!r}, which is not here") from exc
        if not fits:
            raise _Problem(number, f"entry {number} was changed, or what stood before it was")

    def _without_seal(self, number: int) -> str:
        why = f"entry {number} carries no seal: it was not written by a holder of the master key"
        if self._has_sealed:
            return why
        # After a sealed one nobody can say that of it.
        return (
            f"{why}; those that you know to be from before there was one: --unsealed-through NUMBER (the last of them)"
        )

    def _check_known(self, stored: StoredEntry) -> None:
        for one in self._known.get(stored.number, ()):
            if one.mac != stored.mac or (one.body is not None and one.body != stored.body):
                raise _Problem(stored.number, f"entry {stored.number} is not the one that {one.source} knows")
            self._known_count += 1

    def _note_trimming(self, stored: StoredEntry) -> None:
        if b'"' + TRIMMED.encode() + b'"' not in stored.body:
            return
        try:
            entry = stored.entry
            if entry.action != TRIMMED or entry.who.kind != "beat":
                return
            through, kept_count = int(entry.facts["Through"]), int(entry.facts["Kept"])
            self._trimmed[through] = entry.facts["Mac"]
        except (msgspec.MsgspecError, KeyError, ValueError) as exc:
            raise _Problem(stored.number, f"entry {stored.number} cannot be read") from exc
        # A beat counts what lies in Redis, where anybody may have put more; how many there truly were its number says.
        if stored.number - 1 - through < kept_count:
            raise _Problem(
                stored.number,
                f"entry {stored.number} states that entries up to {through} were removed, and they were not old enough",
            )


def read_export(lines: Iterable[bytes], source: str) -> Iterator[Known]:
    """Read what ``export`` wrote.

    Raises:
        msgspec.MsgspecError: a line is none of an export.
    """
    for line in lines:
        if line.strip():
            one = _export_decoder.decode(line)
            yield Known(one.number, one.mac, source, one.body.encode())


def export_line(stored: StoredEntry) -> bytes:
    """One entry as a line of JSON that holds its exact bytes."""
    return msgspec.json.encode(
        _ExportLine(stored.number, stored.stream_id, stored.mac, stored.body.decode("utf-8", "replace"))
    )


class _ExportLine(msgspec.Struct, rename={"number": "Number", "stream_id": "StreamId", "mac": "Mac", "body": "Entry"}):
    number: int
    stream_id: str
    mac: str
    body: str


_export_decoder = UntrustedDecoder(msgspec.json.Decoder(_ExportLine))


def _number(text: bytes | None) -> int:
    return int(text) if text and text.isdigit() and len(text) <= 15 else 0
