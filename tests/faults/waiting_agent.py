"""An agent whose journal takes no start before it was told to stop the script, or to end itself.

So that word lies between claim and start.

``waiting_agent.py stop run`` or ``waiting_agent.py end run``.
"""

import functools
import sys
import threading
from collections.abc import Callable
from typing import Any

from cloud_assistant.worker import agent, cli, in_hand, journal

_arrived = threading.Event()
#: Far more than a stop takes.
_PATIENCE_SECONDS = 20.0
#: A slow disk: the agent would be gone by then if it did not wait.
_SLOW_SECONDS = 0.2


def note_arrival(owner: type, name: str, *, is_over: bool) -> None:
    """Note that a method is called, or is over."""
    original: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(original)
    def noting(*arguments: Any) -> Any:
        if not is_over:
            _arrived.set()
        found = original(*arguments)
        _arrived.set()
        return found

    setattr(owner, name, noting)


def wrap_begin(slow_seconds: float) -> None:
    """Begin late."""
    original = journal.Journal.begin_start

    @functools.wraps(original)
    def begin_start(book: journal.Journal, execution_id: str, remember_until_ms: int) -> bool:
        _arrived.wait(_PATIENCE_SECONDS)
        threading.Event().wait(slow_seconds)
        return original(book, execution_id, remember_until_ms)

    journal.Journal.begin_start = begin_start  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    if sys.argv.pop(1) == "stop":
        note_arrival(in_hand.InHand, "stop", is_over=True)
        wrap_begin(0)
    else:
        note_arrival(agent.Agent, "end", is_over=False)
        wrap_begin(_SLOW_SECONDS)
    cli.main()
