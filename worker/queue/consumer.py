"""Celery's consumer as an agent needs it: it reconnects for ever and soon, and no message can end it."""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from celery.exceptions import InvalidTaskError
from celery.worker.consumer import Consumer
from kombu.exceptions import OperationalError

from ...broker_config.messages import RUN_COMMAND_TASK
from ...broker_config.programs.program_log import logger
from ..backoff import Backoff
from .line import QueueLine

_MOST_CHARACTERS = 200

_log = logger("queue")


class QueueConsumer(Consumer):  # type: ignore[misc]  # Celery has no types
    """Celery's consumer; a subclass is made for one worker and has its line."""

    line: QueueLine

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._backoff = Backoff()
        #: What people know already, so that a trouble of days is one line.
        self._is_told_away = False
        self._is_told_lost = False
        self._own_thread = 0

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long it takes."""
        while True:
            self._park_when_leaving()
            try:
                # By itself it would try twice, with two seconds in between.
                conn.ensure_connection(max_retries=0)
            except OperationalError as exc:
                if not self._is_told_away:
                    _log.warning("queue cannot be reached; trying again until it can: %s", exc)
                    self._is_told_away = True
                time.sleep(self._backoff.next_seconds())
            else:
                if self._is_told_away:
                    _log.info("queue is reached again")
                    self._is_told_away = False
                return conn

    def on_connection_error_before_connected(self, exc: BaseException) -> None:
        """Note that a connection broke before it was used."""
        self._note_loss(exc)

    def on_connection_error_after_connected(self, exc: BaseException) -> None:
        """Close what is left of a connection that broke; the messages it may have swallowed are found again."""
        self._note_loss(exc)
        super().on_connection_error_after_connected(exc)

    def create_task_handler(self, *_: Any, **__: Any) -> Callable[[Any], None]:
        """Return what takes each message: ours goes to its strategy, all else is dropped with a line in the log.

        Celery's own unpacks, quotes and answers what it does not know, and some messages end it.
        """
        take = self.strategies[RUN_COMMAND_TASK]
        self._own_thread = threading.get_ident()

        def on_message(message: Any) -> None:
            task = message.headers.get("task")
            if task != RUN_COMMAND_TASK:
                return _drop(message, f"no task of ours: {task!r}")
            try:
                take(message, None, partial(self._acknowledge, message), None, ())
            except InvalidTaskError as exc:
                _drop(message, str(exc))

        return on_message

    def _acknowledge(self, message: Any, *arguments: Any) -> None:
        if threading.get_ident() == self._own_thread:
            # Celery would wake its loop for it, which is what we are in.
            message.ack_log_error(*arguments)
        else:
            self.call_soon_ack(message.ack_log_error, *arguments)

    def _note_loss(self, exc: BaseException) -> None:
        self._park_when_leaving()
        if self.line.has_answered:
            self._backoff.reset()
            self._is_told_lost = False
        if not self._is_told_lost:
            _log.info("connection of the queue was lost: %s", exc)
            self._is_told_lost = True
        if not self.line.has_answered:
            # Connecting worked and what follows did not, such as waiting without the right to: that may last.
            time.sleep(self._backoff.next_seconds())

    def _park_when_leaving(self) -> None:
        while self.line.has_left:
            # Until the process ends, which is a matter of milliseconds.
            time.sleep(1)


def _drop(message: Any, reason: str) -> None:
    _log.warning("dropped a message: %s", reason[:_MOST_CHARACTERS])
    message.ack()
