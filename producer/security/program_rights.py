"""What the Redis users of the control side's own programs may do.

They hold, or stand beside those who hold, the master key, so these limits are against mistakes and against what a
program could do to other data on the same server: only our keys, no administration, no Lua of their own.
"""

from collections.abc import Sequence
from enum import StrEnum

from ...broker_config import keys


class ControlProgram(StrEnum):
    """A program of the control side that has a Redis user of its own."""

    PRODUCER = "producer"
    BEAT = "beat"
    GATEWAY = "gateway"
    FLOWER = "flower"


#: Everything on our keys, by category, because each release of ours uses other commands of them; nothing that
#: administers the server, lists names, or runs Lua that is not in a library.
_OUR_KEYS = (
    "resetkeys",
    "resetchannels",
    f"~{keys.PREFIX}*",
    f"&{keys.PREFIX}*",
    "-@all",
    "+@read",
    "+@write",
    "+@connection",
    "+@pubsub",
    "+@transaction",
    "-@dangerous",
    "-@admin",
    "-scan",
    "-randomkey",
    "-dbsize",
    "-move",
    "-copy",
    "+time",
    "+fcall",
    "+fcall_ro",
    # Whoever comes first after a restart without data puts the functions back.
    "+function|load",
)
#: Registration makes a Redis user for each machine, and deregistration ends its connections. Redis cannot limit which
#: rights such a user is given, so the gateway's user is as powerful as an administrator.
_MANAGES_USERS = ("+acl|setuser", "+acl|deluser", "+acl|getuser", "+acl|save", "+client|kill")


def program_user(program: ControlProgram) -> str:
    """The name of a program's Redis user."""
    return f"ca-{program}"


def program_rules(program: ControlProgram, *, database: int) -> Sequence[str]:
    """The rules of a program's Redis user, without its password."""
    if program is ControlProgram.FLOWER:
        return _flower(database)
    # `/metrics` tells of the server's memory.
    return (*_OUR_KEYS, *_MANAGES_USERS, "+info") if program is ControlProgram.GATEWAY else _OUR_KEYS


def _flower(database: int) -> Sequence[str]:
    """It hears events and reads what agents report; it can send nothing and sees no script and no result."""
    return (
        "resetkeys",
        "resetchannels",
        *(f"%R~{name}" for name in (keys.INSTANCES, keys.info("*"), keys.profile("*"), keys.instance_history("*"))),
        f"%R~{keys.quarantine('*')}",
        # Counted only: no command here reads what is in a list.
        f"%R~{keys.queue('*')}*",
        # kombu enters the receiver's own queue into Celery's table of event receivers, and removes both at the end.
        "~_kombu.binding.celeryev",
        "~_kombu.binding_permanent.celeryev",
        "~celeryev.*",
        f"&/{database}.celeryev/*",
        "-@all",
        "+ping",
        "+select",
        "+client|setname",
        "+multi",
        "+exec",
        "+llen",
        "+zrange",
        "+zrevrange",
        "+zcard",
        "+hget",
        "+hgetall",
        # What agents report is read by a function, as far as a true agent writes it.
        "+fcall_ro",
        "+hlen",
        "+hstrlen",
        "+hmget",
        "+memory|usage",
        "+sadd",
        "+srem",
        "+del",
        "+subscribe",
        "+unsubscribe",
        "+psubscribe",
        "+punsubscribe",
    )
