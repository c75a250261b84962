"""What to do about Redis' own refusals."""

from ..errors import RedisRefused, RedisUnreachable

_WITH_PASSWORD = "; put user and password into its address, as in redis://USER:PASSWORD@HOST:6379/0"
#: By the first word of the error.
_REMEDIES = {
    "NOAUTH": _WITH_PASSWORD,
    "WRONGPASS": _WITH_PASSWORD,
    "NOPERM": "; use a Redis user who may run the control side",
    "OOM": "; its memory is full: raise maxmemory, or let less history be kept (limits.history_days)",
    "LOADING": "; it is starting: try again in a moment",
    "READONLY": "; it is a replica: name the master, or the sentinels",
    "NOREPLICAS": "; too few of its replicas are there: bring one back, or lower min-replicas-to-write",
    "MISCONF": "; it cannot save its data: make room on its disk, its own log says more",
}


def remedy_of(refused: RedisRefused) -> str:
    """What to do about a refusal; ``""`` where that is not known."""
    return _REMEDIES.get(refused.kind, "").removeprefix("; ")


def with_remedy(error: RedisRefused | RedisUnreachable) -> str:
    """The words of the server, and what to do about them where that is known."""
    if isinstance(error, RedisUnreachable):
        return str(error)
    return f"{str(error).rstrip('.')}{_REMEDIES.get(error.kind, '')}"
