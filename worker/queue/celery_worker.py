"""The Celery worker of an agent: consumes the queue of its instance and hands each message to a slot.

Started from here and not through Celery's command line: that one costs 14 MB and 0.15 s more, takes over signals and
logging, and waits for running tasks when it is told to end.
"""

import logging
from collections.abc import Callable
from typing import Any

import celery.signals
from celery import Celery
from celery.app import trace
from celery.concurrency.base import BasePool
from celery.worker import WorkController
from kombu.entity import Exchange, Queue

from ...broker_config import keys
from ...broker_config.celery_app import create_app
from ...broker_config.redis.url import parse_url
from .consumer import QueueConsumer
from .line import QueueLine
from .transport import QueueTransport


class NoPool(BasePool):  # type: ignore[misc]  # Celery has no types
    """What Celery's worker wants to have for a pool: ours is the slots, which messages reach by their strategy."""


class QueueWorker:
    """Consumes one queue until the process ends."""

    def __init__(self, redis_url: str, instance_id: str, *, concurrency: int, on_ready: Callable[[], None]) -> None:
        self._instance_id = instance_id
        self._concurrency = concurrency
        self._on_ready = on_ready
        self._line = QueueLine(parse_url(redis_url), name=f"agent:{instance_id}:queue")
        self.app: Celery = self._make_app()
        # Celery leaves logging alone when somebody listens to this signal.
        celery.signals.setup_logging.connect(_keep_logging, weak=False)
        # It tells of each try to reconnect; we tell once that the queue is away and once that it is back.
        logging.getLogger("celery.worker.consumer.consumer").setLevel(logging.ERROR)

    def tick(self) -> int:
        """Advance the logical clock that orders events."""
        count: int = self.app.clock.forward()
        return count

    def run(self) -> None:
        """Consume; returns only when Celery gave up, with the reason in the log."""
        self._make_controller().start()

    def leave(self) -> None:
        """Take nothing from the queue any more, for good. Any thread may call this."""
        self._line.leave()

    def disconnect(self) -> None:
        """Break the connection of the queue: a consumer that goes on connects anew. Any thread may call this.

        What Redis is about to hand out stays in the queue.
        """
        self._line.cut()

    def _make_app(self) -> Celery:
        name = keys.queue(self._instance_id)
        return create_app(
            self._instance_id,
            # For people: where and as whom to connect is the line's business, and its password is not Celery's.
            broker_url=self._line.address.shown(),
            broker_transport=QueueTransport,
            broker_transport_options={"line": self._line},
            # The default exchange: nothing is bound or declared in Redis, the queue is the list of that name.
            task_queues=[Queue(name, Exchange(""), routing_key=name, no_declare=True)],  # type: ignore[no-untyped-call]
            task_default_queue=name,
            task_acks_late=False,
            worker_prefetch_multiplier=1,
            worker_enable_prefetch_count_reduction=False,
            worker_hijack_root_logger=False,
            worker_redirect_stdouts=False,
        )

    def _make_controller(self) -> WorkController:
        hostname = self._instance_id

        class Controller(WorkController):  # type: ignore[misc]  # Celery has no types
            def on_before_init(self, **_: Any) -> None:
                # Celery would make it celery@<name>; monitors are to show the instance's id.
                self.hostname = hostname
                trace.setup_worker_optimizations(self.app, hostname)

        Controller.app = self.app
        consumer = type("InstanceConsumer", (QueueConsumer,), {"line": self._line})
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
