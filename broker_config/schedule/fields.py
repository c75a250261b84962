"""The part of a cron field that every field shares: values, ranges, steps, names, lists.

Day of month and day of week add letters of their own; see ``day_fields``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .errors import InvalidFrequency
from .text_span import Span

_DIGITS = re.compile(r"[0-9]+")
#: At most one leading zero, and only before a single digit: 8 and 08, not 008 and not 012.
_NUMBER = re.compile(r"0?[0-9]|[1-9][0-9]+")


def _names(words: str, first: int) -> Mapping[str, int]:
    """Number full English names from ``first``, each also by its first three letters."""
    numbered = {word: number for number, word in enumerate(words.split(), first)}
    return MappingProxyType(numbered | {word[:3]: number for word, number in numbered.items()})


MONTH_NAMES = _names("JANUARY FEBRUARY MARCH APRIL MAY JUNE JULY AUGUST SEPTEMBER OCTOBER NOVEMBER DECEMBER", first=1)
WEEKDAY_NAMES = _names("SUNDAY MONDAY TUESDAY WEDNESDAY THURSDAY FRIDAY SATURDAY", first=0)


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """Describe a field: its values, its names, and what a refusal lists as allowed.

    A step above ``max_step`` would only ever select the field's first value; it is refused, because whoever writes
    ``*/60`` minutes or ``*/24`` hours means something else.
    """

    name: str
    low: int
    high: int
    max_step: int
    allowed: str
    names: Mapping[str, int]

    def refuse(self, span: Span, complaint: str) -> InvalidFrequency:
        """Build the error for a part of this field, with what is allowed."""
        return span.refused(f"{self.name} field: {complaint}; allowed are {self.allowed}")


_NO_NAMES: Mapping[str, int] = MappingProxyType({})
SECOND = FieldSpec("second", 0, 59, 59, "0-59 and * ? , - /", _NO_NAMES)
MINUTE = FieldSpec("minute", 0, 59, 59, "0-59 and * ? , - /", _NO_NAMES)
HOUR = FieldSpec("hour", 0, 23, 23, "0-23 and * ? , - /", _NO_NAMES)
DAY_OF_MONTH = FieldSpec(
    "day-of-month", 1, 31, 31, "1-31, * ? , - /, and L (last day), LW, nW (nearest weekday)", _NO_NAMES
)
MONTH = FieldSpec("month", 1, 12, 12, "1-12, JAN-DEC and * ? , - /", MONTH_NAMES)
DAY_OF_WEEK = FieldSpec(
    "day-of-week", 0, 7, 7, "0-7 (0 and 7 are Sunday), SUN-SAT, * ? , - /, and L, nL (last), n#k (k-th)", WEEKDAY_NAMES
)
YEAR = FieldSpec("year", 1970, 2099, 129, "1970-2099 and * ? , - /", _NO_NAMES)


@dataclass(frozen=True, slots=True)
class Item:
    """Hold one entry of a field's list."""

    values: range
    canonical: str
    is_wildcard: bool = False
    #: Whether it goes on to the field's end by itself: ``*``, ``*/n``, ``a/n``, or a range that spells one of them.
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class FieldValues:
    """Hold what a plain field selects: ascending values, and how it was put."""

    values: tuple[int, ...]
    canonical: str
    is_open: bool


def field_values(span: Span, spec: FieldSpec) -> FieldValues:
    """Parse a field that has no letters of its own."""
    items = [parse_item(part, spec) for part in list_entries(span, spec)]
    values = sorted({value for item in items for value in item.values})
    return FieldValues(
        values=tuple(values),
        canonical=canonical_list(items),
        # A step that selects a single value (1/23 hours) is a fixed value, however it is written.
        is_open=len(values) > 1 and any(item.is_open for item in items),
    )


def canonical_list(items: list[Item]) -> str:
    """Return a list of items as text; a wildcard swallows the rest."""
    if any(item.is_wildcard for item in items):
        return "*"
    return ",".join(item.canonical for item in items)


def list_entries(span: Span, spec: FieldSpec) -> list[Span]:
    """Return the entries of a field's comma-separated list; refuse an empty one."""
    entries = span.split(",")
    for entry in entries:
        if not entry.text:
            raise spec.refuse(entry, "an entry of the list is empty")
    return entries


def parse_item(span: Span, spec: FieldSpec) -> Item:
    """Parse ``*``, ``?``, ``a``, ``a-b``, ``*/n``, ``a/n`` or ``a-b/n``."""
    base, *steps = span.split("/")
    if len(steps) > 1:
        raise spec.refuse(steps[1], "there are two steps")
    if base.text == "?" and steps:
        raise spec.refuse(span, "'?' takes no step; write */n")
    step = parse_step(steps[0], spec) if steps else None
    if base.text in {"*", "?"}:
        return _item(spec.low, spec.high, step, spec, "*")
    first, *lasts = base.split("-")
    low = parse_value(first, spec)
    if not lasts:
        return _item(low, spec.high if step else low, step, spec, str(low))
    if len(lasts) > 1:
        raise spec.refuse(lasts[1], "a range has two ends")
    high = parse_value(lasts[0], spec)
    if spec is DAY_OF_WEEK and high == 0 < low and lasts[0].text.upper() in WEEKDAY_NAMES:
        high = 7
    if high < low:
        raise spec.refuse(base, f"range {base.text!r} runs backwards, write {_unwrapped(low, high, spec)}")
    return _item(low, high, step, spec, f"{low}-{high}")


def _item(low: int, high: int, step: int | None, spec: FieldSpec, canonical: str) -> Item:
    return Item(
        values=range(low, high + 1, step or 1),
        canonical=canonical if step is None else f"{canonical}/{step}",
        is_wildcard=canonical == "*" and step is None,
        is_open=high == spec.high and ((step or 1) > 1 or low == spec.low),
    )


def _unwrapped(low: int, high: int, spec: FieldSpec) -> str:
    """Spell a range that wraps around the field's end as a list."""
    head = f"{low}-{spec.high}" if low < spec.high else str(low)
    tail = f"{spec.low}-{high}" if high > spec.low else str(high)
    return f"{head},{tail}"


def parse_step(span: Span, spec: FieldSpec) -> int:
    """Parse the number after a slash."""
    step = _number(span, spec, "a step")
    if not 1 <= step <= spec.max_step:
        raise spec.refuse(span, f"step {step} is out of range, steps are 1-{spec.max_step}")
    return step


def parse_value(span: Span, spec: FieldSpec) -> int:
    """Parse a number or a name."""
    named = spec.names.get(span.text.upper())
    if named is not None:
        return named
    value = _number(span, spec, "a value")
    if not spec.low <= value <= spec.high:
        raise spec.refuse(span, f"{value} is out of range")
    return value


def _number(span: Span, spec: FieldSpec, what: str) -> int:
    text = span.text
    if not text:
        raise spec.refuse(span, f"{what} is missing")
    if not _DIGITS.fullmatch(text):
        raise spec.refuse(span, f"{text!r} is not {what}")
    if not _NUMBER.fullmatch(text):
        raise spec.refuse(span, f"{text!r} has too many leading zeros, write {int(text)}")
    return int(text)
