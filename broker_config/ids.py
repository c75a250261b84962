"""Make and recognise identifiers.

Commands ``c-…``, invocations ``t-…``, file deliveries ``f-…`` and managed instances ``mi-…`` are made here; the
owner of a machine may name it ``i-…``. Identifiers become parts of key names and of file names, so the accepted
alphabet is narrow on purpose.
"""

import os
import re

from .clock import now_us

_BASE36 = "0123456789abcdefghijklmnopqrstuvwxyz"
#: Two digits at a time: half the divisions.
_PAIRS = [first + second for first in _BASE36 for second in _BASE36]
#: A digit for each byte, five random bits of it: as many digits of each kind, and no division.
_DIGIT_OF_BYTE = _BASE36[:32].encode() * 8
_INSTANCE = re.compile(r"(?:i|mi)-[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_INVOCATION = re.compile(r"t-[0-9a-z]{8,40}")
#: One way to write each firing: an instance remembers by name what it ran, and ``00`` would be another name of ``0``.
_EXECUTION = re.compile(
    r"(?P<invoke>[tf]-[0-9a-z]{8,40})\.(?P<firing>0|[1-9][0-9]{0,14})@(?P<instance>(?:i|mi)-[A-Za-z0-9._-]{1,63})"
)


def _ten_digits(number: int) -> str:
    pairs = []
    for _ in range(5):
        number, rest = divmod(number, 36 * 36)
        pairs.append(_PAIRS[rest])
    return "".join(reversed(pairs))


def new_id(prefix: str) -> str:
    """Make an identifier such as ``t-…``: microseconds first, so that ids sort by age, then 80 random bits."""
    return f"{prefix}-{_ten_digits(now_us())}{os.urandom(16).translate(_DIGIT_OF_BYTE).decode()}"


def new_token() -> str:
    """Make 128 unguessable bits, for names that are their own permission to read."""
    return os.urandom(16).hex()


def is_instance_id(text: str) -> bool:
    """Tell whether this is a well-formed instance id: ``i-`` or ``mi-``, then up to 63 letters, digits, ``. _ -``."""
    return _INSTANCE.fullmatch(text) is not None


def is_invocation_id(text: str) -> bool:
    """Tell whether this is a well-formed id of an invocation, ``t-…``."""
    return _INVOCATION.fullmatch(text) is not None


def execution_id(invoke_id: str, firing_ms: int, instance_id: str) -> str:
    """Name one execution: the invocation, its firing (0 for a one-off), and the instance."""
    return f"{invoke_id}.{firing_ms}@{instance_id}"


def split_execution_id(text: str) -> tuple[str, int, str] | None:
    """Take an execution id apart into (invoke id, firing ms, instance id); ``None`` if it is not one.

    Whatever comes apart is, letter for letter, what ``execution_id`` makes of its parts.
    """
    found = _EXECUTION.fullmatch(text)
    return (found["invoke"], int(found["firing"]), found["instance"]) if found else None


def is_execution_of(text: str, instance_id: str) -> bool:
    """Tell whether this names an execution of one instance: in its own branch its agent may have written anything."""
    parts = split_execution_id(text)
    return parts is not None and parts[2] == instance_id
