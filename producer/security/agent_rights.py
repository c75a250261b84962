"""What the Redis user of one agent may do: an allow-list, each line of it needed by something an agent does.

A test runs a real agent with exactly these rights, and fails when one of them could be left out.
"""

from collections.abc import Sequence

from ...broker_config import keys

#: Keys of its branch that an agent changes. Reading is allowed where writing is.
_CHANGED = (
    "queue",  # kombu takes messages, the reconciler puts back lost ones
    "control",  # stop requests are taken
    "exec:*",  # ledger rows: claim, result
    "open",  # unfinished executions: a claim moves the deadline, a result removes the row
    "history",  # a result whose row Redis had lost is entered again
    "out:*",  # live output
    "info",  # heartbeat
    "boot",  # which boot had which boot-bound invocation
)
#: Keys of its branch that the control side alone writes.
_READ = (
    "profile",  # name and account, for scripts that ask for them
    "quarantine",  # whether to stop taking work
    "keys",  # new keys of its own, encrypted
)
#: Commands on those keys. FCALL runs our functions; Redis checks each command inside with the rights of the caller.
_COMMANDS = (
    "fcall",
    "brpop",  # kombu waits for a message
    "blpop",  # the lane waits for a control message
    "llen",  # kombu and the heartbeat count messages
    "lpush",  # the reconciler puts back a message
    "get",  # work orders that do not travel in the row; new keys
    "exists",  # a boot-bound execution is made once
    "hkeys",  # which boot-bound invocations there are
    "hget",  # why the instance is in quarantine
    "hmget",  # rows, before each change of them
    "hset",  # claim, result, heartbeat
    "hdel",  # what a row needs no more once it is final
    "zrange",  # the unfinished executions
    "zadd",  # claim
    "zrem",  # result
    "zcard",  # the heartbeat counts what is unfinished
    "xadd",  # live output
    "pexpire",  # heartbeat, live output
    "time",  # deadlines are judged by Redis' clock
)
#: Commands that touch no key; to sign in (AUTH, HELLO) needs no right.
_CONNECTION = (
    "ping",  # health checks
    "select",  # where the database is not 0
    "client|setname",  # so that CLIENT LIST shows who is who
)


def agent_user(instance_id: str) -> str:
    """The name of an agent's Redis user."""
    return f"ca-agent-{instance_id}"


def agent_rules(instance_id: str, *, database: int) -> Sequence[str]:
    """The rules of an agent's Redis user, without its password, as ``ACL SETUSER`` and an ACL file take them."""
    branch = keys.instance_branch(instance_id)
    return (
        "resetkeys",
        "resetchannels",
        "-@all",
        *(f"~{branch}{name}" for name in _CHANGED),
        *(f"%R~{branch}{name}" for name in _READ),
        # The name of a work order is 128 random bits and its only permission; nothing here can list names.
        f"%R~{keys.payload('*')}",
        # Ends of executions are announced where the invocation says, under an equally unguessable name.
        f"&{keys.done_channel('*')}",
        *(f"+{one}" for one in (*_CONNECTION, *_COMMANDS)),
        "+publish",
        # Set once, cleared by the control side only.
        f"(-@all +hsetnx ~{branch}quarantine)",
        f"(-@all +xadd ~{branch}refusals)",
        # Flower's events: published, never read.
        f"(-@all resetchannels &/{database}.celeryev/* +publish)",
    )
