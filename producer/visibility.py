"""What a limited caller may see: filters of listings carry it, so that pages and counts know nothing of the rest."""

from collections.abc import Iterable
from typing import TypeVar

from ..broker_config.errors import RecordUnreadable
from ..broker_config.unreadable import raised

Record = TypeVar("Record")


class Visible:
    """Instances and stored commands that may be seen; ``None`` for all of them."""

    __slots__ = ("_command_ids", "_instance_ids", "_name")

    def __init__(
        self, name: str, *, instance_ids: Iterable[str] | None = None, command_ids: Iterable[str] | None = None
    ) -> None:
        self._name = name
        self._instance_ids = None if instance_ids is None else frozenset(instance_ids)
        self._command_ids = None if command_ids is None else frozenset(command_ids)

    def __repr__(self) -> str:
        # Part of the fingerprint that page tokens are bound to: the same in every gateway.
        return f"<visible: {self._name}>"

    @property
    def limits_instances(self) -> bool:
        """Whether there are instances that may not be seen."""
        return self._instance_ids is not None

    def instance(self, instance_id: str) -> bool:
        """Tell whether an instance may be seen."""
        return self._instance_ids is None or instance_id in self._instance_ids

    def command(self, command_id: str) -> bool:
        """Tell whether what concerns a command may be seen."""
        return self._command_ids is None or command_id in self._command_ids

    def instances(self, instance_ids: Iterable[str]) -> list[str]:
        """Those that may be seen, in their order."""
        return [one for one in instance_ids if self.instance(one)]


EVERYTHING = Visible("everything")


def raised_if_seen(found: Record | RecordUnreadable | None, visible: Visible) -> Record | None:
    """A record that was asked for by its id; nothing for one that cannot be read and perhaps may not be seen.

    Raises:
        RecordUnreadable: it cannot be read, and everything may be seen.
    """
    return None if isinstance(found, RecordUnreadable) and visible is not EVERYTHING else raised(found)
