"""Read what an agent wrote about itself. Whoever has its credentials may have written anything there.

One value that cannot be read must not fail a listing of the whole fleet, so it counts as not said.
"""

from typing import Any

import msgspec

from .untrusted_input import UntrustedDecoder

#: What every reader, JSON included, takes for a whole number.
_LARGEST = 2**53
_list_decoder = UntrustedDecoder(msgspec.json.Decoder(list[Any]))


def whole_number(value: bytes | str | None) -> int:
    """Read a whole number; 0 for what is none, or too large to be one of ours."""
    return (maybe_number(value) or 0) if value else 0


def maybe_number(value: bytes | str | None) -> int | None:
    """Read a whole number; ``None`` for what is absent, none, or too large to be one of ours."""
    if not value:
        return None
    try:
        number = int(value)
    except ValueError:
        return None
    return None if abs(number) > _LARGEST else number


def decimal_number(value: bytes | str | None) -> float:
    """Read a number with a fraction; 0 for what is none, or too large to be one of ours."""
    try:
        number = float(value or 0)
    except ValueError:
        return 0.0
    # A comparison with "not a number" is false.
    return number if abs(number) <= _LARGEST else 0.0


def text(value: bytes | None) -> str:
    """Read text; what is no UTF-8 in it is replaced, and absent is ``""``."""
    return value.decode("utf-8", "replace") if value else ""


def json_list(value: bytes | None) -> list[Any]:
    """Read a list in JSON; an empty one for what is none."""
    try:
        return _list_decoder.decode(value) if value else []
    except msgspec.MsgspecError:
        return []
