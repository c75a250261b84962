"""The one way a frequency is refused."""

from __future__ import annotations


class InvalidFrequency(ValueError):
    """Say why a frequency text is refused, and where in it.

    ``position`` is the offset of the offending character in ``text``, counted from 0; None when the expression is
    well formed and is refused as a whole (no future run, runs too close together).
    """

    def __init__(self, reason: str, position: int | None, text: str) -> None:
        super().__init__(reason, position, text)
        self.reason = reason
        self.position = position
        self.text = text

    def __str__(self) -> str:
        if self.position is None:
            return f"{self.reason} (in {self.text!r})"
        return f"{self.reason} (at character {self.position + 1} of {self.text!r})"
