"""Typed calls that read what agents write into their own branches, as far as a true agent writes it."""

from collections.abc import Sequence
from typing import Any

from .. import keys
from ..redis_client import Redis
from ..redis_connection import Command
from .function_library import fcall, fcall_reading, run

#: Of one field; a list of all packages of a machine is the longest that there is.
FIELD_BYTES = 1024 * 1024
#: Of all that an agent says of itself.
_WHOLE_BYTES = 2 * FIELD_BYTES
_WHOLE_FIELDS_COUNT = 200
#: Of what it has refused: a thousand reports, and what came until they were counted.
REFUSALS_BYTES = 16 * 1024 * 1024


def read_whole_command(key: str) -> Command:
    """The command that reads a hash as HGETALL does; one that is too large reads as absent."""
    return fcall_reading("ca_read_reported", [key], [_WHOLE_BYTES, _WHOLE_FIELDS_COUNT])


def read_fields_command(key: str, *fields: str) -> Command:
    """The command that reads fields of a hash as HMGET does; one that is too long reads as empty."""
    return fcall_reading("ca_read_reported", [key], [FIELD_BYTES, _WHOLE_FIELDS_COUNT, *fields])


def read_refusals(
    redis: Redis, instance_ids: Sequence[str], places: Sequence[str], *, count: int
) -> list[list[Any] | int]:
    """Read what agents have refused after these places in their streams, so many entries of each at most.

    A stream that is larger than a true agent makes it is emptied, and answered by the number of its entries.
    """
    streams = [keys.refusals(one) for one in instance_ids]
    found: list[list[Any] | int] = run(redis, fcall("ca_read_refusals", streams, [REFUSALS_BYTES, count, *places]))
    return found
