"""What a supervisor is told: a script resolved against this machine, with nothing left to decide."""

import marshal
import os
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple


class Credentials(NamedTuple):
    """The user a script is switched to; absent from a plan when the agent's own user is the right one."""

    name: str
    uid: int
    gid: int
    group_ids: tuple[int, ...]


@dataclass(kw_only=True, slots=True)
class Plan:
    """One execution, ready to run.

    ``content`` is written to ``script_path`` by whoever runs it. ``script_fd`` is an open memory file when the disk
    had no room for that. ``journal_fd`` is an open file that names this execution among what was ever started here; it
    has to be on disk before the script starts. ``close`` gives both back.
    """

    execution_id: str
    folder: str
    arguments: list[str]
    script_path: str
    content: bytes = field(default=b"", repr=False)
    environment: dict[str, str] = field(repr=False)
    working_directory: str
    working_directory_is_default: bool
    credentials: Credentials | None
    timeout_seconds: float
    grace_seconds: float
    drain_seconds: float
    kills_tree: bool
    output_limit_bytes: int
    keep_script: bool
    #: What is hidden wherever the script writes it.
    masked: list[bytes] = field(default_factory=list, repr=False)
    notes: list[str] = field(default_factory=list)
    script_fd: int | None = None
    journal_fd: int | None = None

    def to_bytes(self) -> bytes:
        """Return the plan for a supervisor of this agent, without its descriptors.

        Never stored: both sides are the same interpreter, and JSON would cost twenty times as much.
        """
        return marshal.dumps((self.credentials and tuple(self.credentials), *_values_of(self)))

    @classmethod
    def from_bytes(cls, data: bytes) -> "Plan":
        """Return the plan that ``to_bytes`` wrote."""
        credentials, *values = marshal.loads(data)
        return cls(
            credentials=Credentials(*credentials) if credentials else None, **dict(zip(_VALUES, values, strict=True))
        )

    def close(self) -> None:
        """Close what is open; safe to call twice."""
        for fd in (self.script_fd, self.journal_fd):
            if fd is not None:
                os.close(fd)
        self.script_fd = self.journal_fd = None


#: What travels as it is.
_VALUES = tuple(name for name in Plan.__slots__ if name not in ("credentials", "script_fd", "journal_fd"))
_values_of = attrgetter(*_VALUES)
