"""From a message of the queue to a slot: the strategy that Celery's consumer uses for our task.

Celery's own strategy wraps each message into a request, traces its task, counts and logs it and sends its events from
the threads that do the work: 0.4 ms of CPU for every execution. One task with two words as arguments, whose results,
retries and time limits are ours, needs none of that. Monitors see the same events as ever.
"""

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
from celery.exceptions import Ignore, InvalidTaskError

from ...broker_config.clock import monotonic_seconds
from ...broker_config.programs.program_log import logger
from ...broker_config.untrusted_input import UntrustedDecoder
from ..slots import Slots
from .event_outbox import EventOutbox
from .tasks import ExecutionNotSuccessful

_log = logger("intake")
#: Arguments, keyword arguments, and what Celery may chain to a task.
_body_decoder = UntrustedDecoder(msgspec.json.Decoder(tuple[tuple[str, str], dict[str, Any], Any]))


class MessageIntake:
    """Takes messages in Celery's main thread and works on them in slots."""

    def __init__(self, slots: Slots, outbox: EventOutbox | None) -> None:
        self._slots = slots
        self._outbox = outbox
        self._lock = threading.Lock()
        self._waiting: Counter[str] = Counter()
        #: Messages taken from the queue so far.
        self.taken_count = 0

    def strategy(
        self, task: Any, _app: Any, consumer: Any, *, claim_ahead: Callable[[str, str], None] | None = None, **_: Any
    ) -> Callable[..., None]:
        """Return what Celery calls with each message of the task.

        ``claim_ahead`` is told of an execution whose turn has come, before a slot is woken for it.
        """

        def on_message(message: Any, _body: Any, ack: Callable[..., Any], *_: Any) -> None:
            self.taken_count += 1
            execution_id, payload_token = _arguments(message)
            with self._lock:
                self._waiting[execution_id] += 1
            its_turn = self._slots.has_room
            if its_turn and claim_ahead:
                claim_ahead(execution_id, payload_token)
            self._tell(
                "task-received",
                execution_id,
                name=task.name,
                args="",
                kwargs="",
                root_id=execution_id,
                parent_id=None,
                retries=0,
                eta=None,
                expires=None,
            )
            acknowledge = partial(ack, _log, consumer.connection_errors)
            if its_turn:
                # From a slot this would have to wake the thread that we are in, just when the script is to start.
                acknowledge()
            later = None if its_turn else acknowledge
            self._slots.submit(lambda: self._serve(task, execution_id, payload_token, later))

        return on_message

    def has_message(self, execution_id: str) -> bool:
        """Tell whether a message of an execution was taken and waits for a slot."""
        return execution_id in self._waiting

    def _serve(self, task: Any, execution_id: str, payload_token: str, acknowledge: Callable[[], Any] | None) -> None:
        if acknowledge:
            # Only now, so that Celery takes no more messages than slots from the queue ahead of their turn.
            acknowledge()
        started_seconds = monotonic_seconds()
        self._tell("task-started", execution_id)
        try:
            task.run(execution_id, payload_token)
        except Ignore:
            return
        except ExecutionNotSuccessful as exc:
            self._tell("task-failed", execution_id, exception=str(exc), traceback="")
        else:
            self._tell("task-succeeded", execution_id, result="None", runtime=monotonic_seconds() - started_seconds)
        finally:
            self._forget(execution_id)

    def _forget(self, execution_id: str) -> None:
        with self._lock:
            self._waiting[execution_id] -= 1
            if not self._waiting[execution_id]:
                del self._waiting[execution_id]

    def _tell(self, type: str, execution_id: str, **fields: Any) -> None:
        if self._outbox is not None:
            self._outbox.send(type, uuid=execution_id, **fields)


def _arguments(message: Any) -> tuple[str, str]:
    """Read execution id and payload token.

    Raises:
        InvalidTaskError: it is not our message; Celery logs it and drops it.
    """
    if message.content_type != "application/json":
        raise InvalidTaskError(f"content type {message.content_type!r}: only JSON is read")
    try:
        arguments, _, _ = _body_decoder.decode(message.body)
    except msgspec.MsgspecError as exc:
        raise InvalidTaskError(f"arguments must be an execution id and a token: {exc}") from exc
    return arguments
