"""Tell that there is too much of something: a count for the metrics, and now and then a line in the log."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily

from ....broker_config.clock import monotonic_seconds

logger = logging.getLogger(__name__)

#: A line is written at most this often: strangers must not fill the log.
_LINE_SECONDS = 60.0


class Crowd:
    """Counts what was ended or given up for want of room, in the event loop's thread; metrics are collected in any."""

    def __init__(self, now_seconds: Callable[[], float] = monotonic_seconds) -> None:
        self._now_seconds = now_seconds
        self._counts: Counter[str] = Counter()
        self._written: Counter[str] = Counter()
        self._next_line_at = float("-inf")

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Give the counts since the gateway began, as a collector of Prometheus does."""
        name = "cloud_assistant_gateway_given_up"
        family = CounterMetricFamily(name, "Given up by this gateway for want of room.", labels=["what"])
        for what in ("connection", "request"):
            family.add_metric([what], self._counts[what])
        yield family

    def connection(self) -> None:
        """Count a connection that was ended for another, or turned away."""
        self._note("connection")

    def request(self) -> None:
        """Count a request that was given up before it had come whole."""
        self._note("request")

    def _note(self, what: str) -> None:
        self._counts[what] += 1
        now = self._now_seconds()
        if now < self._next_line_at:
            return
        self._next_line_at = now + _LINE_SECONDS
        since = self._counts - self._written
        self._written = Counter(self._counts)
        logger.warning(
            "too crowded: since the last such line connections_ended=%d unfinished_requests_given_up=%d; "
            "if these are not strangers, run more gateways",
            since["connection"],
            since["request"],
        )
