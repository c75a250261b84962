"""Take over into the audit what agents refused.

An agent cannot write the audit: it reports into a stream of its own branch. What was taken over is remembered in the
same step that enters it, so each report stands in the audit once, whoever takes it over and however often.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from .. import keys
from ..chunks import chunks
from ..clock import now_ms
from ..functions.reported import read_refusals
from ..redis.client import Redis
from .chain import AuditChain
from .entry import AuditEntry, Outcome, Who

_CHUNK_COUNT = 500
#: Reports of one agent read in one go, and entered one by one; the rest of these is counted by code in one more entry.
_READ_COUNT = 1_000
_SINGLE_COUNT = 20
_INFO_CHARACTERS = 256
_BEGINNING = "0-0"

_Report = tuple[str, dict[str, str]]


def take_over(redis: Redis, chain: AuditChain, instance_ids: Sequence[str]) -> Counter[str]:
    """Enter what these agents have reported since the last time; answers how many reports of each that were.

    Raises:
        RedisUnreachable, RedisRefused, Refused: the rest is taken over later.
    """
    counts: Counter[str] = Counter()
    for chunk in chunks(instance_ids, _CHUNK_COUNT):
        seen = redis.call("HMGET", keys.AUDIT_FOLDED, *chunk)
        places = [(one or _BEGINNING.encode()).decode() for one in seen]
        found = read_refusals(redis, chunk, places, count=_READ_COUNT)
        for instance_id, items, before in zip(chunk, found, seen, strict=True):
            if isinstance(items, int):
                # No true agent's: what they said is gone, that there were so many is not.
                chain.append([_more_refusals(instance_id, now_ms(), {"-": str(items)})])
                counts[instance_id] += items
            elif items:
                reports = list(_reports(items))
                guard = (instance_id, (before or b"").decode(), reports[-1][0])
                if chain.append(list(_entries(instance_id, reports)), [guard]):
                    counts[instance_id] += len(reports)
    return counts


def _reports(items: Sequence[Any]) -> Iterator[_Report]:
    for place, fields in items:
        texts = [one.decode("utf-8", "replace") for one in fields]
        yield place.decode(), dict(zip(texts[::2], texts[1::2], strict=True))


def _entries(instance_id: str, reports: Sequence[_Report]) -> Iterator[AuditEntry]:
    for place, report in reports[:_SINGLE_COUNT]:
        yield _entry(
            instance_id,
            _number(report.get("at_ms", "")) or _number(place.partition("-")[0]),
            code=report.get("code", "")[:_INFO_CHARACTERS],
            what=report.get("execution_id", "")[:_INFO_CHARACTERS],
            facts={"Info": report.get("info", "")[:_INFO_CHARACTERS]},
        )
    rest = reports[_SINGLE_COUNT:]
    if rest:
        counts = Counter(report.get("code", "")[:64] for _, report in rest)
        facts = {name or "-": str(count) for name, count in counts.most_common(20)}
        yield _more_refusals(instance_id, _number(rest[-1][0].partition("-")[0]), facts)


def _more_refusals(instance_id: str, at_ms: int, facts: dict[str, str]) -> AuditEntry:
    return _entry(instance_id, at_ms, code="MoreRefusals", what="", facts=facts)


def _entry(instance_id: str, at_ms: int, *, code: str, what: str, facts: dict[str, str]) -> AuditEntry:
    return AuditEntry(
        at_ms=at_ms,
        who=Who(kind="agent", name=instance_id),
        action="RunExecution",
        outcome=Outcome.REFUSED,
        code=code,
        what=what,
        facts={name: value for name, value in facts.items() if value},
    )


def _number(text: str) -> int:
    # The agent's words: whoever has its credentials may write anything here.
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else 0
