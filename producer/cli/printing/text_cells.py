"""Turn values into text for people: widths, times, durations, counts."""

import unicodedata
from collections.abc import Mapping, Sequence

_WIDE = {"W", "F"}


def width_of(text: str) -> int:
    """The columns a text takes; Chinese characters take two."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(one) else 2 if unicodedata.east_asian_width(one) in _WIDE else 1 for one in text
    )


def cut(text: str, width: int) -> str:
    """The text, its end replaced by … when it takes more than ``width`` columns."""
    if width_of(text) <= width:
        return text
    kept = ""
    for one in text:
        if width_of(kept + one) > width - 1:
            break
        kept += one
    return kept + "…"


def pad(text: str, width: int) -> str:
    """The text, filled with blanks up to ``width`` columns."""
    return text + " " * max(0, width - width_of(text))


def duration(span_ms: int) -> str:
    """A span of time as people say it: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if span_ms < 100:
        return f"{span_ms / 1000:.3g} s"
    if span_ms < 10_000:
        return f"{span_ms / 1000:.1f} s"
    seconds = round(span_ms / 1000)
    if seconds < 120:
        return f"{seconds} s"
    units = ("d", "h", "min", "s")
    amounts = (seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60, seconds % 60)
    largest = next(place for place, amount in enumerate(amounts) if amount)
    shown = [f"{amounts[place]} {units[place]}" for place in (largest, largest + 1) if place < 4 and amounts[place]]
    return " ".join(shown)


def by_state(counts: Mapping[str, int]) -> str:
    """Counts by state, largest first: ``98 Success, 2 Failed``."""
    ordered = sorted(((count, state) for state, count in counts.items() if count), reverse=True)
    return ", ".join(f"{count:,} {state}" for count, state in ordered)


def tags_text(tags: Mapping[str, str]) -> str:
    """Tags in one cell."""
    return " ".join(f"{key}={value}" for key, value in sorted(tags.items()))


def names_that_fit(names: Sequence[str], width: int) -> str:
    """As many names as fit, and how many more there are."""
    shown = ""
    for number, name in enumerate(names):
        more = f" and {len(names) - number:,} more"
        addition = f", {name}" if shown else name
        is_last = number == len(names) - 1
        if shown and width_of(shown + addition) + (0 if is_last else len(more)) > width:
            return shown + more
        shown += addition
    return shown
