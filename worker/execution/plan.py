"""What a supervisor is told: a script resolved against this machine, with nothing left to decide."""

import marshal
import os
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Credentials(NamedTuple):
    """The user a script is switched to; absent from a plan when the agent's own user is the right one."""

    name: str
    uid: int
    gid: int
    group_ids: tuple[int, ...]


@dataclass(kw_only=True, slots=True)
class Plan:
    """One execution, ready to run.

    ``script_fd`` is an open memory file when the disk had no room for ``script_path``; the plan owns it until
    a launcher takes it over, and ``close`` gives it back when the plan is never run.
    """

    execution_id: str
    folder: str
    arguments: list[str]
    script_path: str
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

    def to_bytes(self) -> bytes:
        """Return the plan for a supervisor of this agent, without the descriptor, which travels beside it.

        Never stored: both sides are the same interpreter, and JSON would cost twenty times as much.
        """
        values = {name: getattr(self, name) for name in self.__slots__}
        values["script_fd"] = None
        values["credentials"] = self.credentials and tuple(self.credentials)
        return marshal.dumps(values)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Plan":
        """Return the plan that ``to_bytes`` wrote."""
        values: dict[str, Any] = marshal.loads(data)
        if credentials := values["credentials"]:
            values["credentials"] = Credentials(*credentials)
        return cls(**values)

    def close(self) -> None:
        """Close the memory file, if there is one; safe to call twice."""
        if self.script_fd is not None:
            os.close(self.script_fd)
            self.script_fd = None
