"""An agent whose consumer of the queue has a defect; started by the tests in place of ``assist-agent``.

``failing_agent.py MODE run``: the consumer ``fails`` at its first message, is ``deaf once`` until it connects anew, is
``deaf`` for good, or is ``slow``.
"""

import sys
import threading

from cloud_assistant.worker import agent_parts, cli
from cloud_assistant.worker.queue.line import QueueLine
from cloud_assistant.worker.queue.transport import QueueChannel

#: Instead of half a minute.
_PATIENCE_SECONDS = 1.0
#: Some messages in that time, and never all that wait.
_SLOW_SECONDS = 0.2

_channels: list[QueueChannel] = []
_hear = QueueLine.hear


def fail_once(line: QueueLine) -> tuple[str, bytes] | None:
    """Hear what has come, and lose the first message."""
    found = _hear(line)
    if found is not None:
        QueueLine.hear = _hear  # type: ignore[method-assign]
        raise ZeroDivisionError("a defect")
    return None


def hear_slowly(line: QueueLine) -> tuple[str, bytes] | None:
    """Take a message now and then."""
    found = _hear(line)
    if found is not None:
        threading.Event().wait(_SLOW_SECONDS)
    return found


def be_deaf(channel: QueueChannel) -> list[str]:
    """Want nothing."""
    return []


def be_deaf_once(channel: QueueChannel) -> list[str]:
    """Want nothing on the first connection."""
    if channel not in _channels:
        _channels.append(channel)
    return [] if channel is _channels[0] else channel._active_queues


if __name__ == "__main__":
    match sys.argv.pop(1):
        case "fails":
            QueueLine.hear = fail_once  # type: ignore[method-assign,assignment]
        case "slow":
            QueueLine.hear = hear_slowly  # type: ignore[method-assign,assignment]
        case "deaf once":
            QueueChannel.wanted = be_deaf_once  # type: ignore[method-assign,assignment]
        case "deaf":
            QueueChannel.wanted = be_deaf  # type: ignore[method-assign,assignment]
    agent_parts._LEAST_PATIENCE_SECONDS = _PATIENCE_SECONDS
    cli.main()
