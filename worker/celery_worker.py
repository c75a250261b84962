"""The Celery worker of an agent: consumes the queue of its instance and hands each message to a slot.

Started from here and not through Celery's command line: that one costs 14 MB and 0.15 s more, takes over signals and
logging, and waits for running tasks when it is told to end.
"""

import contextlib
import logging
import socket
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

import celery.signals
from celery import Celery
from celery.app import trace
from celery.concurrency.base import BasePool
from celery.exceptions import CPendingDeprecationWarning
from celery.worker import WorkController
from celery.worker.consumer import Consumer
from kombu.entity import Exchange, Queue

from ..broker_config import keys
from ..broker_config.celery_app import create_app
from ..broker_config.program_log import logger
from .backoff import Backoff
from .event_outbox import EventOutbox

#: How long connecting may take to a server that accepts and says nothing. Waiting for a message is not bound by it:
#: Celery's loop reads only what has come.
_SOCKET_TIMEOUT_SECONDS = 5

_log = logger("queue")


class NoPool(BasePool):  # type: ignore[misc]  # Celery has no types
    """What Celery's worker wants to have for a pool: ours is the slots, which messages reach by their strategy."""


class QueueConsumer(Consumer):  # type: ignore[misc]  # Celery has no types
    """Celery's consumer, which reconnects within seconds instead of half a minute, and says so once."""

    #: Set by the subclass that is made for one worker.
    outbox: EventOutbox | None = None
    #: Set for good when the agent ends: then nothing may be taken from the queue any more.
    is_leaving: threading.Event

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.event_dispatcher = self.outbox

    def connect(self) -> Any:
        """Connect for consuming."""
        connection = super().connect()
        # A message is a hint. Kombu would put those not worked on back into the queue when it closes a connection, or,
        # where that fails, into a file in the common temporary folder.
        connection.default_channel.do_restore = False
        return connection

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long it takes."""
        backoff = Backoff()
        is_told = False
        while True:
            self._park_when_leaving()
            try:
                conn.connect()
            except (*conn.connection_errors, *conn.channel_errors) as exc:
                if not is_told:
                    _log.warning("queue cannot be reached; trying again until it can: %s", exc)
                    is_told = True
                time.sleep(backoff.next_seconds())
            else:
                if is_told:
                    _log.info("queue is reached again")
                return conn

    def on_connection_error_after_connected(self, exc: BaseException) -> None:
        """Close what is left of a connection that broke; the messages it may have swallowed are found again."""
        self._park_when_leaving()
        _log.info("connection of the queue was lost: %s", exc)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CPendingDeprecationWarning)
            super().on_connection_error_after_connected(exc)

    def _park_when_leaving(self) -> None:
        while self.is_leaving.is_set():
            # Until the process ends, which is a matter of milliseconds.
            time.sleep(1)


class QueueWorker:
    """Consumes one queue until the process ends."""

    def __init__(self, redis_url: str, instance_id: str, *, concurrency: int, on_ready: Callable[[], None]) -> None:
        self.app: Celery = create_app(redis_url, name=instance_id)
        self._instance_id = instance_id
        self._concurrency = concurrency
        self._on_ready = on_ready
        self._is_leaving = threading.Event()
        self._controller: WorkController | None = None
        self._configure()

    def tick(self) -> int:
        """Advance the logical clock that orders events."""
        count: int = self.app.clock.forward()
        return count

    def run(self, outbox: EventOutbox | None) -> None:
        """Consume; returns only when Celery gave up, with the reason in the log."""
        self._controller = self._make_controller(outbox)
        self._controller.start()

    def leave(self) -> None:
        """Take nothing from the queue any more, for good. Any thread may call this."""
        self._is_leaving.set()
        self.disconnect()

    def disconnect(self) -> None:
        """Break the connection of the queue: a consumer that goes on connects anew. Any thread may call this.

        What Redis is about to hand out stays in the queue.
        """
        for connection in self._connections():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _connections(self) -> list[socket.socket]:
        consumer = getattr(self._controller, "consumer", None)
        channel = getattr(getattr(consumer, "task_consumer", None), "channel", None)
        connection = getattr(getattr(channel, "client", None), "connection", None)
        found = getattr(connection, "_sock", None)
        return [found] if found is not None else []

    def _configure(self) -> None:
        # Celery leaves logging alone when somebody listens to this signal.
        celery.signals.setup_logging.connect(_keep_logging, weak=False)
        # It tells of each try to reconnect; we tell once that the queue is away and once that it is back.
        logging.getLogger("celery.worker.consumer.consumer").setLevel(logging.ERROR)
        name = keys.queue(self._instance_id)
        # The default exchange: nothing is bound or declared in Redis, the queue is the list of that name.
        self.app.conf.update(
            broker_transport_options={
                **self.app.conf.broker_transport_options,
                "socket_timeout": _SOCKET_TIMEOUT_SECONDS,
            },
            task_queues=[Queue(name, Exchange(""), routing_key=name, no_declare=True)],  # type: ignore[no-untyped-call]
            task_default_queue=name,
            worker_enable_prefetch_count_reduction=False,
        )

    def _make_controller(self, outbox: EventOutbox | None) -> WorkController:
        hostname = self._instance_id

        class Controller(WorkController):  # type: ignore[misc]  # Celery has no types
            def on_before_init(self, **_: Any) -> None:
                # Celery would make it celery@<name>; monitors are to show the instance's id.
                self.hostname = hostname
                trace.setup_worker_optimizations(self.app, hostname)

        Controller.app = self.app
        consumer = type("InstanceConsumer", (QueueConsumer,), {"outbox": outbox, "is_leaving": self._is_leaving})
        return Controller(
            hostname=hostname,
            pool_cls=NoPool,
            consumer_cls=consumer,
            concurrency=self._concurrency,
            ready_callback=lambda _: self._on_ready(),
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
            task_events=False,
        )


def _keep_logging(**_: Any) -> None:
    """Exist: that is all Celery asks for."""
