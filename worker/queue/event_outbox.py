"""Celery's events of this agent, sent beside the work instead of in its way.

Stock Celery publishes three events per task from the threads that do the work, over a connection of its own: 0.2 to
0.4 ms on the way of every execution, and a third connection for every agent. Here they are put in a box and published
together a moment later, over a connection that is there anyway. The bytes are Celery's own (fanout exchange
``celeryev``, as kombu writes it for Redis), so that Flower and every other receiver reads them.
"""

import base64
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ...broker_config.clock import now_ms
from ...broker_config.redis.client import Redis
from ...broker_config.redis.connection import Command
from ..link_state import REDIS_TROUBLE

#: Events of an outage are of no use to a viewer; this many are kept for a busy moment.
_MOST_COUNT = 5000
#: How long events are gathered before they are published together: no viewer notices, and a fan-out over many agents on
#: one server is over before the first of them is sent.
_GATHER_SECONDS = 0.25
_EXCHANGE = "celeryev"
_SOFTWARE = {"sw_ident": "cloud-assistant", "sw_sys": "agent"}


class EventOutbox:
    """The box of one agent, and the thread that empties it."""

    def __init__(self, redis: Redis, hostname: str, *, version: str, tick: Callable[[], int]) -> None:
        """``tick`` advances the Celery app's logical clock."""
        self._redis = redis
        self._hostname = hostname
        self._version = version
        self._tick = tick
        self._pid = os.getpid()
        self._utc_offset_hours = time.timezone // 3600
        #: Type, moment in ms, fields: what is the same in all events is added when nobody waits for it.
        self._events: deque[tuple[str, int, Mapping[str, Any]]] = deque(maxlen=_MOST_COUNT)
        self._filled = threading.Event()
        self._prefix = f"/{redis.address.db}.{_EXCHANGE}/"
        self._processed_count = 0

    def start(self) -> None:
        """Start the thread that publishes."""
        threading.Thread(target=self._serve, name="events", daemon=True).start()

    def send(self, type: str, **fields: Any) -> None:
        """Put an event in the box; never waits."""
        self._events.append((type, now_ms(), fields))
        if not self._filled.is_set():
            self._filled.set()
        if type == "task-received":
            self._processed_count += 1

    def flush(self) -> None:
        """Publish what is in the box; what Redis does not take is dropped."""
        command = self.emptied()
        if command is None:
            return
        try:
            self._redis.call(*command)
        except REDIS_TROUBLE:
            return

    def emptied(self) -> Command | None:
        """Empty the box; return the publishing of what was in it, ``None`` for nothing."""
        events = []
        while self._events:
            events.append(self._event(*self._events.popleft()))
        return self._publish("task.multi", events) if events else None

    def worker_event(self, type: str, *, interval_seconds: float, active_count: int) -> Command:
        """Build the publishing of ``worker-online``, ``worker-heartbeat`` or ``worker-offline``, for a pipeline."""
        fields = {
            "freq": interval_seconds,
            "active": active_count,
            "processed": self._processed_count,
            "loadavg": _load_average(),
            "sw_ver": self._version,
            **_SOFTWARE,
        }
        return self._publish(type.replace("-", "."), self._event(type, now_ms(), fields))

    def _serve(self) -> None:
        gather = threading.Event()
        while True:
            self._filled.wait()
            gather.wait(_GATHER_SECONDS)
            self._filled.clear()
            self.flush()

    def _event(self, type: str, at_ms: int, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            **fields,
            "type": type,
            "timestamp": at_ms / 1000,
            "hostname": self._hostname,
            "utcoffset": self._utc_offset_hours,
            "pid": self._pid,
            "clock": self._tick(),
        }

    def _publish(self, routing_key: str, body: object) -> Command:
        message = {
            "body": base64.b64encode(msgspec.json.encode(body)).decode(),
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": {"hostname": self._hostname},
            "properties": {
                "delivery_mode": 1,
                "delivery_info": {"exchange": _EXCHANGE, "routing_key": routing_key},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": "",
            },
        }
        return ("PUBLISH", self._prefix + routing_key, msgspec.json.encode(message))


def _load_average() -> list[float]:
    # Windows tells none, and older C libraries read it from a file of /proc.
    with contextlib.suppress(OSError, AttributeError):
        return [round(one, 2) for one in os.getloadavg()]
    return [0.0, 0.0, 0.0]
