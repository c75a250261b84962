"""An agent whose journal takes no start before a stop has arrived: the stop then lies between claim and start."""

import functools
import threading

from cloud_assistant.worker import cli, in_hand, journal

_stop_arrived = threading.Event()
#: Far more than a stop takes.
_PATIENCE_SECONDS = 20.0


def wrap_stop() -> None:
    """Note that a stop has arrived."""
    original = in_hand.InHand.stop

    @functools.wraps(original)
    def stop(table: in_hand.InHand, execution_id: str) -> bool:
        found = original(table, execution_id)
        _stop_arrived.set()
        return found

    in_hand.InHand.stop = stop  # type: ignore[method-assign,assignment]


def wrap_begin() -> None:
    """Begin late."""
    original = journal.Journal.begin_start

    @functools.wraps(original)
    def begin_start(book: journal.Journal, execution_id: str, remember_until_ms: int) -> bool:
        _stop_arrived.wait(_PATIENCE_SECONDS)
        return original(book, execution_id, remember_until_ms)

    journal.Journal.begin_start = begin_start  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    wrap_stop()
    wrap_begin()
    cli.main()
