"""What the Redis user of one agent may do: an allow-list, each line of it needed by something an agent does.

A test runs a real agent with exactly these rights, and fails when one of them could be left out.
"""

from collections.abc import Mapping, Sequence

from ...broker_config import keys

#: Keys of its branch by what they hold, each with the commands that its kind of value takes. The kinds are kept apart
#: because most of these keys are absent at times: with a command of another kind an agent could put a list where the
#: control side then expects a set, and fail every dispatch and listing that touches it, for the whole fleet.
_CHANGED: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "hashes": (
        (
            "exec:*",  # ledger rows: claim, result
            "info",  # heartbeat
            "boot",  # which boot had which boot-bound invocation
        ),
        (
            "hmget",  # rows, before each change of them
            "hset",  # claim, result, heartbeat
            "hdel",  # what a row needs no more once it is final
            "hkeys",  # which boot-bound invocations there are
            "exists",  # a boot-bound execution is made once
            "pexpire",  # heartbeat
        ),
    ),
    "sorted sets": (
        (
            "open",  # unfinished executions: a claim moves the deadline, a result removes the row
            "history",  # a result whose row Redis had lost is entered again
        ),
        (
            "zrange",  # the unfinished executions
            "zadd",  # claim
            "zrem",  # result
            "zcard",  # the heartbeat counts what is unfinished
        ),
    ),
    "lists": (
        (
            "queue",  # the consumer takes messages, the reconciler puts back lost ones
            "control",  # stop requests are taken
        ),
        (
            "brpop",  # the consumer waits for a message
            "blpop",  # the lane waits for a control message
            "llen",  # the heartbeat counts messages
            "lpush",  # the reconciler puts back a message
        ),
    ),
    "streams": (
        ("out:*",),  # live output
        (
            "xadd",  # live output
            "pexpire",  # live output
        ),
    ),
}
#: Keys of its branch that the control side alone writes.
_READ: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "hashes": (
        (
            "profile",  # name and account, for scripts that ask for them
            "quarantine",  # whether to stop taking work
        ),
        (
            "hget",  # why the instance is in quarantine
            "hmget",  # the profile
        ),
    ),
    "strings": (
        ("keys",),  # new keys of its own, encrypted
        ("get",),
    ),
}
#: Keys of its branch that a call of our functions names. One call names keys of several kinds, which must be permitted
#: together; Redis checks each command inside with the rights of the caller, and so by the kinds above.
_IN_CALLS = ("exec:*", "info", "boot", "open", "history", "queue", "out:*")
#: Commands that touch no key, and the calls of our functions. To sign in (AUTH, HELLO) needs no right.
_COMMANDS = (
    "fcall",  # those of our functions that are for agents; the others refuse them
    "time",  # deadlines are judged by Redis' clock
    "publish",
    "ping",  # whether kept credentials still serve, before an agent is started with them
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
        *(f"~{branch}{name}" for name in _IN_CALLS),
        # Ends of executions are announced where the invocation says, under an equally unguessable name.
        f"&{keys.done_channel('*')}",
        *(f"+{one}" for one in _COMMANDS),
        *(_selector("~", branch, *kind) for kind in _CHANGED.values()),
        *(_selector("%R~", branch, *kind) for kind in _READ.values()),
        # The name of a work order is 128 random bits and its only permission; nothing here can list names.
        f"(-@all +get %R~{keys.payload('*')})",
        # Set once, cleared by the control side only.
        f"(-@all +hsetnx ~{branch}quarantine)",
        f"(-@all +xadd ~{branch}refusals)",
        # Flower's events: published, never read.
        f"(-@all resetchannels &/{database}.celeryev/* +publish)",
    )


def _selector(mark: str, branch: str, names: Sequence[str], commands: Sequence[str]) -> str:
    return " ".join(("(-@all", *(f"+{one}" for one in commands), *(f"{mark}{branch}{name}" for name in names))) + ")"
