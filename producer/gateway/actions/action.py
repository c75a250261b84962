"""The actions the gateway offers: how one is called, what it may answer, and where it is looked up."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ...security.caller import AccessKey
from ...security.known_actions import nearest
from .parameters import Parameters

#: An action's answer, without the request id: the API's own names, ready to be written.
Fields = Mapping[str, object]


def as_it_is(_name: str, entry: Mapping[str, object]) -> object:
    """Leave an entry of a list as it is."""
    return entry


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request for an action."""

    action: str
    parameters: Parameters
    caller: AccessKey
    request_id: str
    #: The address that the request came from.
    source: str = ""
    #: The name, with port, under which the client called us; ``""`` for a call within this process.
    called_name: str = ""
    #: Writes one entry of a list of the answer, given the list's name: many entries take much less room as text.
    written: Callable[[str, Mapping[str, object]], object] = as_it_is


@dataclass(frozen=True, slots=True)
class NotYet:
    """An answer that the caller would rather have later, for callers who asked to wait.

    The gateway pauses without holding a thread and then looks again. When it is about to stop, or when the client
    has gone, it gives the answer so far.
    """

    so_far: Fields
    look_again: Callable[[], "Fields | NotYet"]
    #: Looked at again after this time at the latest.
    pause_ms: int
    #: Given a function that may be called from any thread as soon as a look is worth while; returns what ends that.
    listen: Callable[[Callable[[], None]], Callable[[], None]] | None = None


#: What is done for one action of the API. It may block on Redis, having a thread to itself, and refuses by raising
#: an ApiError; anything else that it raises is taken for a mistake of ours.
Action = Callable[[Call], Fields | NotYet]


class ActionRegistry:
    """The known actions by their exact name."""

    def __init__(self, actions: Mapping[str, Action] | None = None) -> None:
        self._actions: dict[str, Action] = dict(actions or {})

    def register(self, name: str, action: Action) -> None:
        """Offer an action.

        Raises:
            ValueError: another action has this name.
        """
        if name in self._actions:
            raise ValueError(f"the action {name} is registered twice; give each action one implementation")
        self._actions[name] = action

    def find(self, name: str) -> Action | None:
        """Find an action; names are case-sensitive."""
        return self._actions.get(name)

    def unknown(self, name: str) -> str:
        """Say that there is no such action, and which one may have been meant."""
        near = nearest(name, self._actions)
        hint = f"; did you mean {near}?" if near else "."
        return f"There is no action {name[:64]!r} here{hint}"

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._actions))
