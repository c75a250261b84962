"""Records that cannot be read, because a newer release, somebody by hand or a fault wrote them: each for itself alone.

Whoever reads many answers, in place of such a one, the error that says so; whoever reads one raises it.
"""

from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

import msgspec

from .errors import RecordUnreadable, RedisRefused

Record = TypeVar("Record")
Arguments = ParamSpec("Arguments")

#: Of the text of what is wrong: it may hold what was found.
_REASON_CHARACTERS = 200


def unreadable(what: str, why: object, remedy: str) -> RecordUnreadable:
    """Build the error of a record, named as in "the command c-…"."""
    reason = str(why)[:_REASON_CHARACTERS]
    return RecordUnreadable(
        f"{what} cannot be read ({reason}); was it written by a newer release, or by hand? {remedy}"
    )


def read_or_tell(
    what: str, remedy: str, read: Callable[Arguments, Record], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Record | RecordUnreadable:
    """Read a record; answer the error in place of one that cannot be read."""
    try:
        return read(*arguments, **named)
    except RecordUnreadable as exc:
        return exc
    except (KeyError, ValueError, RecursionError, msgspec.MsgspecError, RedisRefused) as exc:
        return unreadable(what, f"{type(exc).__name__}: {exc}", remedy)


def whole(reply: Any) -> Any:
    """A reply of ``run_apart``.

    Raises:
        RedisRefused: what is there is of another kind than such a record.
    """
    if isinstance(reply, RedisRefused):
        raise reply
    return reply


def raised(found: Record | RecordUnreadable) -> Record:
    """A record that was read.

    Raises:
        RecordUnreadable: it was not.
    """
    if isinstance(found, RecordUnreadable):
        raise found
    return found


def readable(found: Iterable[Record | RecordUnreadable | None]) -> list[Record | None]:
    """The records, with nothing in place of those that cannot be read."""
    return [None if isinstance(one, RecordUnreadable) else one for one in found]
