"""The order of versions, and conditions on them: ``>=1.2``, ``<2``, ``==1.4.1``."""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import RequestInvalid

_CONDITION = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)?\s*(?P<test>(?:(?:>=|<=|==|<|>)\s*[0-9A-Za-z.+_-]+\s*,?\s*)*)")
_PART = re.compile(r"(>=|<=|==|<|>)\s*([0-9A-Za-z.+_-]+)")
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}


def version_order(version: str) -> tuple[tuple[int, int, str], ...]:
    """Order versions as people read them: 1.10 after 1.9, 2.0rc1 before 2.0, and 2.0 the same as 2."""
    parts = re.findall(r"[0-9]+|[A-Za-z]+", version)
    numbers_count = next((place for place, part in enumerate(parts) if not part.isdecimal()), len(parts))
    while numbers_count > 1 and not int(parts[numbers_count - 1]):
        numbers_count -= 1
        del parts[numbers_count]
    order = tuple((1, int(part), "") if part.isdecimal() else (-1, 0, part.lower()) for part in parts)
    return (*order, (0, 0, ""))


class Condition:
    """A name and what its version must be, as in ``base>=1.0,<2``; the name may be left out."""

    def __init__(self, text: str) -> None:
        """Read it.

        Raises:
            RequestInvalid: it is no condition (``InvalidCondition``).
        """
        found = _CONDITION.fullmatch(text.strip())
        if not text.strip() or found is None:
            raise RequestInvalid(f"{text!r} is not a condition; write base, or base>=1.0,<2", code="InvalidCondition")
        self.text = text.strip()
        self.name = found["name"] or ""
        self._parts = _PART.findall(found["test"])

    def holds(self, version: str) -> bool:
        """Tell whether a version fulfils it."""
        return all(_OPERATORS[word](version_order(version), version_order(limit)) for word, limit in self._parts)

    def __str__(self) -> str:
        return self.text
