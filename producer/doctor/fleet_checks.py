"""Whether the parts that should be at work are: beat, gateway, agents, queues."""

import http.client
from collections.abc import Iterator, Sequence

from ...broker_config import keys
from ...broker_config.chunks import chunks
from ...broker_config.errors import SettingsInvalid
from ...broker_config.programs.counted import counted
from ...broker_config.programs.findings import Finding, fail, ok, warn
from ...broker_config.redis.client import Redis
from ...broker_config.redis.tls import TlsClient
from ...broker_config.redis.url import place
from ...broker_config.settings_table import Settings
from ...broker_config.timed.timed_invocation import server_ms
from ..beat_presence import is_beat_at_work, is_keyless_beat_at_work
from ..gateway_client import connection_to
from ..some_of import some_of

_CHUNK_COUNT = 500
_BEAT_LOOKS_COUNT = 10
#: A deadline that passed this long ago was looked at by no sweeper.
_OVERDUE_MS = 60_000
_BACKLOG_SHARE = 0.5
_BACKLOG_COUNT = 100
_GATEWAY_SECONDS = 3.0


class FleetChecks:
    """Checks of the programs around one server."""

    def __init__(self, redis: Redis, settings: Settings) -> None:
        self._redis = redis
        self._settings = settings

    def all(self) -> Iterator[Finding]:
        """Every check of the programs, one after another."""
        yield self._beat()
        yield self._gateway()
        ids = [one.decode() for one in self._redis.call("ZRANGE", keys.INSTANCES, 0, -1)]
        yield self._agents(ids)
        yield self._queues(ids)

    def _beat(self) -> Finding:
        mend = "start assist-beat; without it no schedule fires and nothing that is lost gets its reason"
        overdue = self._redis.call("ZCOUNT", keys.DEADLINES, "-inf", server_ms(self._redis) - _OVERDUE_MS)
        if overdue:
            late = counted(overdue, "execution is past its deadline", "executions are past their deadline")
            return fail("beat", f"{late} and nobody has settled that", mend)
        if not is_beat_at_work(self._redis, looks_count=_BEAT_LOOKS_COUNT):
            return fail("beat", "no beat is at work", mend)
        if is_keyless_beat_at_work(self._redis):
            return fail(
                "beat",
                "one at work has no master key, and this installation signs: agents refuse what it fires",
                "copy the master key file to its home, or name it there with security.master_key_file; then restart it",
            )
        return ok("beat", "at work")

    def _gateway(self) -> Finding:
        gateway = self._settings.gateway
        is_named = bool(gateway.url)
        scheme = "https" if gateway.tls_certificate else "http"
        local = f"http+unix://{gateway.unix_socket}" if gateway.unix_socket else ""
        url = gateway.url or local or f"{scheme}://{place(gateway.host, gateway.port)}"
        try:
            status = _health(url, gateway.ca_file)
        except SettingsInvalid as exc:
            return fail("gateway", str(exc), "correct gateway.url, or leave it unset")
        except (OSError, http.client.HTTPException) as exc:
            mend = "start assist-gateway, or correct gateway.url"
            if is_named:
                return fail("gateway", f"{url} does not answer ({exc})", mend)
            return warn("gateway", f"none at {url} ({exc})", f"{mend}; only SDKs, pages and registration need one")
        if status == http.client.OK:
            return ok("gateway", url)
        return fail("gateway", f"{url}/healthz answers {status}", "see the gateway's log: it cannot reach Redis")

    def _agents(self, ids: Sequence[str]) -> Finding:
        silent: list[str] = []
        held: list[str] = []
        for chunk in chunks(ids, _CHUNK_COUNT):
            replies = self._redis.pipeline_or_raise(
                [("EXISTS", key) for one in chunk for key in (keys.info(one), keys.quarantine(one))]
            )
            silent += [one for one, alive in zip(chunk, replies[::2], strict=True) if not alive]
            held += [one for one, is_held in zip(chunk, replies[1::2], strict=True) if is_held]
        if not ids:
            return warn("agents", "no instance is registered", "assist instance add ID, or an activation")
        if held:
            return warn(
                "agents",
                f"{len(held)} of {len(ids)} in quarantine: {some_of(held)}",
                "assist instance show ID says why; then assist instance release ID",
            )
        if silent:
            return warn(
                "agents",
                f"{len(silent)} of {len(ids)} not connected: {some_of(silent)}",
                "start assist-agent there, or assist instance remove ID",
            )
        return ok("agents", f"{len(ids)} connected")

    def _queues(self, ids: Sequence[str]) -> Finding:
        lengths: dict[str, int] = {}
        for chunk in chunks(ids, _CHUNK_COUNT):
            replies = self._redis.pipeline_or_raise([("LLEN", keys.queue(one)) for one in chunk])
            lengths.update(zip(chunk, replies, strict=True))
        most = self._settings.limits.queue_count
        full = [one for one, length in lengths.items() if length >= most * _BACKLOG_SHARE]
        long = [one for one, length in lengths.items() if length >= _BACKLOG_COUNT]
        text = counted(sum(lengths.values()), "message waits", "messages wait")
        mend = "start the agents, or raise agent.slots there; stop what is not needed: assist invocation stop ID"
        if full:
            return fail("queues", f"{text}; nearly full (limit {most}): {some_of(full)}", mend)
        return warn("queues", f"{text}; long: {some_of(long)}", mend) if long else ok("queues", text)


def _health(url: str, ca_file: str) -> int:
    tls = TlsClient(ca=ca_file, ca_option="gateway.ca_file")
    connection = connection_to(url, tls, timeout_seconds=_GATEWAY_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status
    finally:
        connection.close()
