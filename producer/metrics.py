"""Metrics for Prometheus, read from the ledger at each scrape.

Executions are found in the index of deadlines, where each one stands from its dispatch until the sweeper has seen it
past its deadline: at least the delivery time, a minute unless set otherwise. So nothing is counted twice, and nothing
is missed by whoever scrapes at least once a minute, as long as ``executions_unobserved`` is 0. Several gateways on one
Redis count the same executions: take one, or the maximum, never the sum.

===================================================  =========  ====================================================
metric                                               type       meaning
===================================================  =========  ====================================================
cloud_assistant_redis_up                             gauge      1 when Redis answered this scrape
cloud_assistant_redis_round_trip_seconds             gauge      one PING
cloud_assistant_redis_memory_bytes                   gauge      what Redis says it uses
cloud_assistant_instances_registered                 gauge      instances known
cloud_assistant_instances_online                     gauge      those with a fresh heartbeat
cloud_assistant_executions_open{state}               gauge      unfinished executions now
cloud_assistant_oldest_waiting_seconds               gauge      age of the oldest execution no agent has taken
cloud_assistant_waiting_seconds                      histogram  of executions taken: dispatch to claim
cloud_assistant_running_seconds                      histogram  of executions ended: claim to end
cloud_assistant_executions_total{state,error_code}   counter    executions that ended, seen since this gateway began
cloud_assistant_executions_unobserved                gauge      executions not looked at by this scrape: too many
cloud_assistant_timed_invocations_active             gauge      timed invocations that will come due again
cloud_assistant_beat_up                              gauge      1 when a beat was at work, a few seconds ago at most
cloud_assistant_gateway_given_up_total{what}         counter    connections ended and unfinished requests given up by
                                                                this gateway for want of room (``crowd.py``)
===================================================  =========  ====================================================

The cost of a scrape does not depend on the history: at most ``OPEN_COUNT`` executions and ``INSTANCES_COUNT``
instances are looked at. No label names an instance, a command or a person.
"""

import threading
from collections import Counter as Tally
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from ..broker_config import keys
from ..broker_config.chunks import chunks
from ..broker_config.clock import monotonic_seconds, now_ms
from ..broker_config.error_codes import ErrorCode
from ..broker_config.errors import RedisRefused, RedisUnreachable
from ..broker_config.functions.function_library import run_apart
from ..broker_config.functions.reported import read_fields_command
from ..broker_config.ids import split_execution_id
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Redis
from ..broker_config.reported_values import text, whole_number
from ..broker_config.states import UNFINISHED, ExecutionState, is_final
from .beat_presence import beat_marks

#: Most unfinished or just finished executions looked at in one scrape.
OPEN_COUNT = 20_000
#: Most instances whose heartbeat is looked at in one scrape.
INSTANCES_COUNT = 50_000
_CHUNK_COUNT = 1_000
_BUCKETS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200)
_KNOWN_CODES = frozenset(code.value for code in ErrorCode)

_log = logger("metrics")


class _Row(NamedTuple):
    """What is read of an execution; its fields are those of its ledger row."""

    state: str
    error_code: str
    created_ms: int
    claimed_ms: int
    finished_ms: int


class Metrics:
    """The metrics of one control side; a scrape may come from any thread."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._lock = threading.Lock()
        self._counted: set[str] = set()
        self._claimed: set[str] = set()
        self.registry = registry = CollectorRegistry()
        prefix = "cloud_assistant_"
        self._up = Gauge(prefix + "redis_up", "1 when Redis answered this scrape.", registry=registry)
        self._round_trip = Gauge(prefix + "redis_round_trip_seconds", "One PING.", registry=registry)
        self._memory = Gauge(prefix + "redis_memory_bytes", "What Redis says it uses.", registry=registry)
        self._registered = Gauge(prefix + "instances_registered", "Instances known.", registry=registry)
        self._online = Gauge(prefix + "instances_online", "Instances with a fresh heartbeat.", registry=registry)
        self._timed = Gauge(
            prefix + "timed_invocations_active", "Timed invocations that will come due again.", registry=registry
        )
        self._beat = Gauge(
            prefix + "beat_up", "1 when a beat was at work, a few seconds ago at most.", registry=registry
        )
        self._open = Gauge(prefix + "executions_open", "Unfinished executions now.", ["state"], registry=registry)
        self._oldest = Gauge(
            prefix + "oldest_waiting_seconds", "Age of the oldest execution no agent has taken.", registry=registry
        )
        self._waiting = Histogram(
            prefix + "waiting_seconds", "From dispatch to claim.", buckets=_BUCKETS_SECONDS, registry=registry
        )
        self._running = Histogram(
            prefix + "running_seconds", "From claim to end.", buckets=_BUCKETS_SECONDS, registry=registry
        )
        self._ended = Counter(
            prefix + "executions", "Executions that ended.", ["state", "error_code"], registry=registry
        )
        self._unobserved = Gauge(
            prefix + "executions_unobserved", "Executions not looked at: there are too many.", registry=registry
        )

    def rendered(self) -> tuple[bytes, str]:
        """Look at Redis and write all metrics, with the content type of that form.

        Without Redis, ``redis_up`` is 0 and the rest is what was known last.
        """
        with self._lock:
            try:
                self._look()
                self._up.set(1)
            except (RedisUnreachable, RedisRefused) as exc:
                _log.warning("metrics are incomplete: %s", exc)
                self._up.set(0)
            return generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4

    def _look(self) -> None:
        started = monotonic_seconds()
        self._redis.call("PING")
        self._round_trip.set(monotonic_seconds() - started)
        memory, registered, clock, boot, open_count, marks_count = self._redis.pipeline_or_raise(
            [
                ("INFO", "memory"),
                ("ZCARD", keys.INSTANCES),
                ("ZCARD", keys.TIMED_DUE),
                ("ZCARD", keys.TIMED_BOOT),
                ("ZCARD", keys.DEADLINES),
                ("EXISTS", *beat_marks()),
            ]
        )
        self._memory.set(_used_memory_bytes(memory))
        self._registered.set(registered)
        self._timed.set(clock + boot)
        self._beat.set(min(1, marks_count))
        self._online.set(self._online_count())
        self._unobserved.set(max(0, open_count - OPEN_COUNT))
        self._look_at_executions()

    def _online_count(self) -> int:
        ids = self._redis.call("ZRANGE", keys.INSTANCES, 0, INSTANCES_COUNT - 1)
        online = 0
        for chunk in chunks(ids, _CHUNK_COUNT):
            online += sum(self._redis.pipeline_or_raise([("EXISTS", keys.info(one.decode())) for one in chunk]))
        return online

    def _look_at_executions(self) -> None:
        found = [one.decode() for one in self._redis.call("ZRANGE", keys.DEADLINES, 0, OPEN_COUNT - 1)]
        # What has left the index was seen final or is gone for good; forgetting it bounds our memory.
        present = set(found)
        if len(found) == OPEN_COUNT:
            present |= self._still_there((self._counted | self._claimed) - present)
        self._counted &= present
        self._claimed &= present
        states: Tally[str] = Tally()
        oldest_ms = now = now_ms()
        for chunk in chunks([one for one in found if one not in self._counted], _CHUNK_COUNT):
            for execution, row in zip(chunk, self._rows(chunk), strict=True):
                if row is None:
                    continue
                self._note_claim(execution, row)
                if is_final(row.state):
                    self._note_end(execution, row)
                    continue
                states[row.state] += 1
                if row.state == ExecutionState.PENDING:
                    oldest_ms = min(oldest_ms, row.created_ms)
        for state in UNFINISHED:
            self._open.labels(state.value).set(states[state.value])
        self._oldest.set((now - oldest_ms) / 1000)

    def _still_there(self, executions: Iterable[str]) -> set[str]:
        """Those that stand behind others with earlier deadlines for now: they come back, and are counted once."""
        asked = list(islice(executions, OPEN_COUNT))
        scores = self._redis.pipeline_or_raise(
            [("ZMSCORE", keys.DEADLINES, *chunk) for chunk in chunks(asked, _CHUNK_COUNT)]
        )
        return {one for one, score in zip(asked, chain.from_iterable(scores), strict=True) if score is not None}

    def _rows(self, executions: Sequence[str]) -> list[_Row | None]:
        commands = []
        for one in executions:
            parts = split_execution_id(one)
            commands.append(read_fields_command(keys.execution(parts[2] if parts else "", one), *_Row._fields))
        rows: list[_Row | None] = []
        for reply in run_apart(self._redis, commands):
            # The agent's words: a row that it has made unreadable is no reason to go without all the others.
            state, code, *numbers = [None] * len(_Row._fields) if isinstance(reply, RedisRefused) else reply
            rows.append(
                _Row(text(state), text(code), *(max(0, whole_number(one)) for one in numbers)) if state else None
            )
        return rows

    def _note_claim(self, execution: str, row: _Row) -> None:
        if row.claimed_ms and execution not in self._claimed:
            self._claimed.add(execution)
            self._waiting.observe(max(0, row.claimed_ms - row.created_ms) / 1000)

    def _note_end(self, execution: str, row: _Row) -> None:
        self._counted.add(execution)
        self._ended.labels(row.state, row.error_code if row.error_code in _KNOWN_CODES else "other").inc()
        if row.claimed_ms and row.finished_ms:
            self._running.observe(max(0, row.finished_ms - row.claimed_ms) / 1000)


def _used_memory_bytes(info: bytes) -> int:
    lines: Iterable[bytes] = info.split(b"\r\n")
    return next((int(line.partition(b":")[2]) for line in lines if line.startswith(b"used_memory:")), 0)
