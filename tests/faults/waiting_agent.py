"""An agent whose journal confirms no start before a stop has arrived: the stop then lies between plan and start."""

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


def wrap_confirm() -> None:
    """Confirm late."""
    original = journal.Journal.confirm_starts

    @functools.wraps(original)
    def confirm_starts(book: journal.Journal) -> None:
        _stop_arrived.wait(_PATIENCE_SECONDS)
        original(book)

    journal.Journal.confirm_starts = confirm_starts  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    wrap_stop()
    wrap_confirm()
    cli.main()
