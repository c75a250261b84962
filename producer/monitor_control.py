"""What Flower asks of workers, answered from what agents have reported.

Agents take no remote control: its stock mailbox would let everybody who can publish stop them, and makes each
question cost a wake-up of the whole fleet. Without an answer, Flower shows an agent in its list and "not found" on
the agent's own page.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from celery.app.control import Control
from kombu.exceptions import OperationalError

from ..broker_config import keys
from ..broker_config.chunks import chunks
from ..broker_config.errors import RedisUnreachable
from ..broker_config.messages import RUN_COMMAND_TASK
from ..broker_config.redis.client import Redis
from ..broker_config.reported_values import whole_number
from .fleet.instances import StoredInstance, load_all

_CHUNK_COUNT = 500
#: Reported facts that have a place of their own on the page, or say nothing to a person.
_NOT_SHOWN = {"pid", "slots", "running_count", "waiting_count", "heartbeat_ms", "started_ms", "epoch", "wire_version"}

Answers = Mapping[str, Any] | None


class ReportedControl(Control):  # type: ignore[misc]  # Celery has no types
    """Celery's control, with nobody at the other end but the ledger."""

    def __init__(self, app: Any, *, redis: Redis) -> None:
        super().__init__(app)
        self._redis = redis

    def inspect(self, destination: Sequence[str] | None = None, **_: Any) -> "ReportedInspect":
        """Ask about the named instances, or all that are connected."""
        return ReportedInspect(self._redis, destination)

    def broadcast(self, *_: Any, **__: Any) -> None:
        """Send nothing: nobody listens, and Flower's Redis user may not publish."""


class ReportedInspect:
    """The questions that Flower asks; each answer is one entry per connected instance."""

    def __init__(self, redis: Redis, instance_ids: Sequence[str] | None) -> None:
        self._redis = redis
        self._instance_ids = instance_ids

    def stats(self) -> Answers:
        """What each agent is and does."""
        return self._answer(self._stats_of)

    def active_queues(self) -> Answers:
        """The one queue of each agent."""
        return self._answer(lambda one: [_queue(keys.queue(one.instance_id))])

    def registered(self) -> Answers:
        """The one task that agents know."""
        return self._answer(lambda _: [RUN_COMMAND_TASK])

    def conf(self) -> Answers:
        """Celery's settings of a worker: the agent's own are not for others to read."""
        return self._answer(lambda _: {})

    def active(self, **_: Any) -> Answers:
        """Celery's view of running tasks: events show them."""
        return self._answer(lambda _: [])

    scheduled = reserved = revoked = active

    def _answer(self, answer_for: Callable[[StoredInstance], Any]) -> Answers:
        """Make the answers; none at all is None, as Celery says it."""
        try:
            return {one.instance_id: answer_for(one) for one in self._connected()} or None
        except RedisUnreachable as exc:
            raise OperationalError(str(exc)) from exc

    def _connected(self) -> Iterator[StoredInstance]:
        wanted = self._instance_ids
        if wanted is None:
            wanted = [member.decode() for member in self._redis.call("ZRANGE", keys.INSTANCES, 0, -1)]
        for chunk in chunks(wanted, _CHUNK_COUNT):
            yield from (one for one in load_all(self._redis, chunk) if one is not None and one.connected)

    def _stats_of(self, one: StoredInstance) -> Mapping[str, Any]:
        report = one.report
        return {
            # First: an agent's words stand in no place of ours.
            **{name: value for name, value in report.items() if value and name not in _NOT_SHOWN},
            "pid": whole_number(report.get("pid")),
            "prefetch_count": 0,
            "pool": {
                "slots": whole_number(report.get("slots")),
                "running": whole_number(report.get("running_count")),
                "waiting": whole_number(report.get("waiting_count")),
            },
            "broker": {"address": self._redis.address.shown(), "queue": keys.queue(one.instance_id)},
            "total": {RUN_COMMAND_TASK: one.invocation_count},
        }


def _queue(name: str) -> Mapping[str, Any]:
    """A queue as Celery describes one."""
    nothing = dict.fromkeys(("alias", "queue_arguments", "binding_arguments", "consumer_arguments"))
    flags = dict.fromkeys(("exclusive", "auto_delete", "no_ack"), False)
    return {"name": name, "routing_key": name, "exchange": {"name": ""}, "durable": True, **flags, **nothing}
