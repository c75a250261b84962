"""A piece of a text that knows where it stands, so that a refusal can point at it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .errors import InvalidFrequency

#: Only these separate words: a no-break or ideographic space pasted from a document is refused, not guessed at.
_WORD = re.compile(r"[^ \t]+")


@dataclass(frozen=True, slots=True)
class Span:
    """Hold the part of ``source`` from ``start`` up to ``end``."""

    source: str
    start: int
    end: int

    @classmethod
    def whole(cls, source: str) -> Span:
        """Return the span of an entire text."""
        return cls(source, 0, len(source))

    @property
    def text(self) -> str:
        """Return the characters of the span."""
        return self.source[self.start : self.end]

    def part(self, start: int, end: int | None = None) -> Span:
        """Return a part of the span, by offsets within it."""
        return Span(self.source, self.start + start, self.end if end is None else self.start + end)

    def words(self) -> list[Span]:
        """Return the parts between blanks."""
        return [Span(self.source, *match.span()) for match in _WORD.finditer(self.source, self.start, self.end)]

    def split(self, separator: str) -> list[Span]:
        """Return the parts between separators of one character, empty ones included."""
        spans, start = [], self.start
        for part in self.text.split(separator):
            spans.append(Span(self.source, start, start + len(part)))
            start += len(part) + 1
        return spans

    def stripped(self) -> Span:
        """Return the span without the blanks around it."""
        text = self.text
        start = self.start + len(text) - len(text.lstrip(" \t"))
        return Span(self.source, start, max(start, self.start + len(text.rstrip(" \t"))))

    def refused(self, reason: str) -> InvalidFrequency:
        """Build the error that points at the beginning of this span."""
        return InvalidFrequency(reason, self.start, self.source)
