"""Keep the audit: take over what agents refused, remove what is beyond its limit, note its end outside of Redis.

What is removed for its age is named in a sealed entry first, so that the rest can still be verified.
"""

from collections import Counter
from pathlib import Path

import msgspec

from ..broker_config import keys
from ..broker_config.audit.anchor import Anchor, anchor_path, read_anchor, write_anchor
from ..broker_config.audit.chain import AuditChain
from ..broker_config.audit.entry import AuditEntry, Outcome, Who
from ..broker_config.audit.refusals_of_agents import take_over
from ..broker_config.clock import monotonic_seconds, now_ms
from ..broker_config.errors import Refused
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Redis
from ..broker_config.settings_table import Settings

#: The limit may be passed by this much, so that entries are removed in pieces and not one by one.
_SLACK_SHARE = 0.1
#: Entries read in one piece, and removed in one turn.
_PIECE_COUNT = 1_000
_REMOVED_PER_TURN_COUNT = 50_000
#: After this many reports of one agent the rest of its hour waits: with a few at each look, it would push all that
#: others did out of the audit within hours.
_REPORTS_COUNT = 20
_HOUR_SECONDS = 3600.0
#: Of the number of an entry, at most.
_NUMBER_DIGITS = 15

_log = logger("beat")


class AuditKeeper:
    """Looks after the audit, for all beats alike."""

    def __init__(self, redis: Redis, chain: AuditChain, settings: Settings) -> None:
        self._redis = redis
        self._chain = chain
        self._keep_count = settings.limits.audit_count
        self._anchor_path = anchor_path(settings)
        self._is_mute = False
        self._is_cut = False
        #: Reports of each agent in this hour.
        self._taken_over: Counter[str] = Counter()
        self._hour_ends = 0.0

    def work(self) -> None:
        """Do all three.

        Raises:
            RedisUnreachable, RedisRefused: the rest is done the next time.
        """
        try:
            self._take_over()
            self._trim()
            self._is_mute = False
        except Refused as exc:
            # Without the master key nothing can be entered; another beat, which has it, does this work.
            if not self._is_mute:
                _log.warning("cannot keep the audit: %s", exc)
            self._is_mute = True
        if self._anchor_path is not None:
            self._note_end(self._anchor_path)

    def _take_over(self) -> None:
        now = monotonic_seconds()
        if now >= self._hour_ends:
            self._taken_over.clear()
            self._hour_ends = now + _HOUR_SECONDS
        instances = (one.decode() for one in self._redis.call("ZRANGE", keys.INSTANCES, 0, -1))
        heard = [one for one in instances if self._taken_over[one] < _REPORTS_COUNT]
        counts = take_over(self._redis, self._chain, heard)
        self._taken_over += counts
        if counts:
            _log.info("took over refusals of agents count=%d", counts.total())

    def _trim(self) -> None:
        count = self._redis.call("XLEN", keys.AUDIT)
        if count <= self._keep_count * (1 + _SLACK_SHARE):
            return
        last_gone = self._last_of_surplus(count - self._keep_count)
        if last_gone is None:
            return
        through = str(last_gone.number)
        statement = AuditEntry(
            at_ms=now_ms(),
            who=Who(kind="beat"),
            action="AuditTrimmed",
            outcome=Outcome.DONE,
            # The number of this entry is under its seal: whoever filled the stream with junk cannot make it greater.
            facts={"Through": through, "Mac": last_gone.mac, "Kept": str(self._keep_count)},
        )
        self._chain.append([statement])
        # The statement at least comes after them.
        first_kept = self._redis.call("XRANGE", keys.AUDIT, f"({last_gone.stream_id}", "+", "COUNT", 1)[0]
        self._redis.call("XTRIM", keys.AUDIT, "MINID", first_kept[0])
        _log.info("removed the oldest entries of the audit through=%s kept=%d", through, self._keep_count)

    def _last_of_surplus(self, surplus_count: int) -> Anchor | None:
        """The last of the oldest entries that are too many, or of as many as are removed in one turn.

        ``None`` when another beat was faster. What is no entry at all is passed over: nothing can be stated of it.

        Read from the old end, piece by piece: those that stay are ten times as many, and all of them at once would be
        more than a beat may take of memory.
        """
        left_count, start = min(surplus_count, _REMOVED_PER_TURN_COUNT), "-"
        last = None
        while left_count:
            found = self._redis.call("XRANGE", keys.AUDIT, start, "+", "COUNT", min(left_count, _PIECE_COUNT))
            if not found:
                return None
            left_count -= len(found)
            start = f"({found[-1][0].decode()}"
            entries = (_anchor_of(*one) for one in reversed(found))
            last = next((one for one in entries if one.number), last)
        return last

    def _note_end(self, path: Path) -> None:
        last = self._redis.call("XREVRANGE", keys.AUDIT, "+", "-", "COUNT", 1)
        try:
            noted = read_anchor(path)
            if noted is not None and not self._still_holds(noted):
                if not self._is_cut:
                    _log.error(
                        "the audit is not what it was: entry %d, noted in %s, is not there any more; "
                        "see: assist audit verify",
                        noted.number,
                        path,
                    )
                # The note is what shows it, so it stays as it is.
                self._is_cut = True
                return
            self._is_cut = False
            if last:
                end = _anchor_of(*last[0])
                if noted is None or end.number > noted.number:
                    write_anchor(path, end)
        except (OSError, msgspec.MsgspecError) as exc:
            _log.warning("the end of the audit could not be noted in %s: %s", path, exc)

    def _still_holds(self, noted: Anchor) -> bool:
        """Tell whether the noted entry is there, or was removed for its age."""
        found = self._redis.call("XRANGE", keys.AUDIT, noted.stream_id, noted.stream_id)
        if found:
            there = _anchor_of(*found[0])
            return (there.number, there.mac) == (noted.number, noted.mac)
        first = self._redis.call("XRANGE", keys.AUDIT, "-", "+", "COUNT", 1)
        # That it was stated before it was removed is for verify to check.
        return bool(first) and _anchor_of(*first[0]).number > noted.number


def _anchor_of(place: bytes, fields: list[bytes]) -> Anchor:
    given = dict(zip(fields[::2], fields[1::2], strict=True))
    number = given.get(b"number", b"")
    mac = given.get(b"mac", b"").decode("utf-8", "replace")
    # Whoever can write to Redis may have put anything there.
    is_number = number.isdigit() and len(number) <= _NUMBER_DIGITS
    return Anchor(int(number) if is_number else 0, mac, place.decode(), now_ms())
