"""Hide secret values in what a script writes, before anything of it is kept, shown or stored.

Works on bytes as they come: a value is found wherever its pieces were cut, in bounded memory. What a script does to a
value (another encoding, other letters, half of it on each stream) is beyond it: this is against accidents.
"""

import re
from collections.abc import Iterable

MASK = b"******"
#: A line of a longer value is hidden too when it has this many bytes; shorter ones are braces and blanks.
_LINE_BYTES_MIN = 8


def patterns_of(values: Iterable[str]) -> list[bytes]:
    """All that is to be hidden: each value as a whole, without its line end, and the longer ones of its lines."""
    found: set[bytes] = set()
    for value in values:
        whole = value.encode()
        found.add(whole)
        found.add(whole.rstrip(b"\r\n"))
        found.update(line for line in whole.splitlines() if len(line) >= _LINE_BYTES_MIN)
    found.discard(b"")
    return list(found)


class Mask:
    """Masks one stream. What may be the beginning of a value is held back until its rest has come, or the end."""

    def __init__(self, patterns: list[bytes]) -> None:
        self._patterns = patterns
        # The longest first: at one place the longer of two values counts.
        self._search = re.compile(b"|".join(map(re.escape, sorted(patterns, key=len, reverse=True))))
        self._longest = max(map(len, patterns))
        self._held = b""

    def feed(self, data: bytes | memoryview) -> bytes:
        """Take what comes next and give what is safe to show."""
        text = self._held + bytes(data)
        shown: list[bytes] = []
        begin = 0
        undecided = self._undecided(text, begin)
        for found in self._search.finditer(text):
            if found.start() >= undecided:
                break
            shown += (text[begin : found.start()], MASK)
            begin = found.end()
            if begin > undecided:
                undecided = self._undecided(text, begin)
        self._held = text[undecided:]
        shown.append(text[begin:undecided])
        return b"".join(shown)

    def finish(self) -> bytes:
        """Give what was held back: nothing more comes."""
        return self._search.sub(MASK, self._held)

    def _undecided(self, text: bytes, begin: int) -> int:
        """Where the first piece begins that more bytes could make a value, or a longer one; else the end."""
        first = max(begin, len(text) - self._longest + 1)
        place = len(text)
        for pattern in self._patterns:
            at = text.find(pattern[:1], max(first, len(text) - len(pattern) + 1))
            while 0 <= at < place:
                if pattern.startswith(text[at:]):
                    place = at
                    break
                at = text.find(pattern[:1], at + 1)
        return place
