"""Typed calls for the command library."""

from .. import keys
from ..redis.client import Redis
from ..redis.connection import Argument
from .function_library import fcall, run


def create_command(redis: Redis, command_id: str, record: bytes, created_ms: int, most_count: int) -> str:
    """Store a command; answers ``ok``, ``full`` or ``exists``."""
    arguments: list[Argument] = [command_id, record, created_ms, most_count]
    return _word(run(redis, fcall("ca_create_command", [keys.command(command_id), keys.COMMANDS], arguments)))


def modify_command(redis: Redis, command_id: str, seen: bytes, record: bytes) -> str:
    """Replace a record that is still as it was read; answers ``ok``, ``unknown`` or ``changed``."""
    return _word(run(redis, fcall("ca_modify_command", [keys.command(command_id)], [seen, record])))


def delete_command(redis: Redis, command_id: str) -> str:
    """Delete a command nothing unfinished uses; answers ``ok``, ``unknown`` or ``in_use``."""
    touched = [keys.command(command_id), keys.COMMANDS, keys.command_open(command_id)]
    return _word(run(redis, fcall("ca_delete_command", touched, [command_id])))


def _word(reply: bytes) -> str:
    return reply.decode()
