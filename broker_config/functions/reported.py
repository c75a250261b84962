"""Typed calls that read what agents write into their own branches, as far as a true agent writes it."""

from collections.abc import Sequence
from typing import Any

from .. import keys
from ..redis.client import Redis
from ..redis.connection import Command
from ..settings_table import LIVE_OUTPUT_MOST
from .function_library import fcall, fcall_reading, run

#: Of one field; a list of all packages of a machine is the longest that there is.
FIELD_BYTES = 1024 * 1024
#: Of all that an agent says of itself.
_WHOLE_BYTES = 2 * FIELD_BYTES
_WHOLE_FIELDS_COUNT = 200
#: Of what waits for the start of its machine.
_ORDERS_BYTES = 16 * FIELD_BYTES
_ORDERS_COUNT = 20_000
#: Of what it has refused: a thousand reports, and what came until they were counted.
REFUSALS_BYTES = 16 * 1024 * 1024
#: Of what a running script has written: a hundred pieces of the most that settings allow for one, and a margin.
OUTPUT_BYTES = 120 * LIVE_OUTPUT_MOST.value


def read_whole_command(key: str) -> Command:
    """The command that reads a hash as HGETALL does; one that is too large reads as absent."""
    return fcall_reading("ca_read_reported", [key], [_WHOLE_BYTES, _WHOLE_FIELDS_COUNT])


def read_orders_command(key: str) -> Command:
    """The same for the orders that wait for the start of a machine, which are more, and may be longer."""
    return fcall_reading("ca_read_reported", [key], [_ORDERS_BYTES, _ORDERS_COUNT])


def read_fields_command(key: str, *fields: str) -> Command:
    """The command that reads fields of a hash as HMGET does; one that is too long reads as empty."""
    return fcall_reading("ca_read_reported", [key], [FIELD_BYTES, _WHOLE_FIELDS_COUNT, *fields])


def read_members_command(key: str, *, up_to: int | str = "+inf", count: int, beginning: str = "") -> Command:
    """The command that reads the names in a set of executions, the lowest score first; what is too long is removed.

    Of at most ``count`` that stand there, those that begin with ``beginning`` are answered.
    """
    return fcall("ca_read_members", [key], [up_to, count, beginning])


def read_last_score_command(key: str) -> Command:
    """The command that reads the greatest score of a set of executions; empty when there is none."""
    return fcall_reading("ca_read_last_score", [key], [])


def read_refusals(
    redis: Redis, instance_ids: Sequence[str], places: Sequence[str], *, count: int
) -> list[list[Any] | int]:
    """Read what agents have refused after these places in their streams, at most ``count`` entries of each.

    A stream that is larger than a true agent makes it is emptied, and answered by the number of its entries.
    """
    streams = [keys.refusals(one) for one in instance_ids]
    found: list[list[Any] | int] = run(redis, fcall("ca_read_refusals", streams, [REFUSALS_BYTES, count, *places]))
    return found


def read_output_command(instance_id: str, execution_id: str, *, after: str) -> Command:
    """The command that reads live output as XRANGE does, behind the piece ``after``; too much of it reads as none."""
    start = f"({after}" if after else "-"
    return fcall_reading("ca_read_output", [keys.live_output(instance_id, execution_id)], [OUTPUT_BYTES, start])
