"""What the Redis server is and how it is configured."""

from collections.abc import Iterator, Mapping

from ...broker_config.clock import now_ms
from ...broker_config.errors import RedisRefused
from ...broker_config.functions.function_library import LIBRARY_NAME, TEXT_VERSION, library_source, text_version
from ...broker_config.programs.findings import Finding, fail, ok, warn
from ...broker_config.redis.client import Redis
from ...broker_config.timed.timed_invocation import server_ms

#: Functions came with this release of Redis; every Valkey has them.
_REDIS_WITH_FUNCTIONS = 7
_HEADROOM_SHARES = (0.9, 0.75)
#: Off by the first, envelopes are refused soon; off by the second, times in listings are odd.
_CLOCK_FAIL_MS, _CLOCK_WARN_MS = 150_000, 2_000
#: What to do where a right is missing.
AS_ADMINISTRATOR = "run it with the server's administrator in --redis-url"


class ServerChecks:
    """Checks of one server; what needs a right that we do not have is a warning."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._info: Mapping[str, str] = {}

    def all(self) -> Iterator[Finding]:
        """Every check of the server, one after another."""
        try:
            self._info = _parsed(self._redis.call("INFO"))
        except RedisRefused as exc:
            if exc.kind != "NOPERM":
                raise
            yield warn("server", "its version, memory and persistence cannot be read", AS_ADMINISTRATOR)
        else:
            yield self._version()
            yield self._eviction()
            yield from self._persistence()
            yield self._memory()
        yield self._tls()
        yield self._clock()
        yield self._functions()

    def _version(self) -> Finding:
        info = self._info
        if info.get("cluster_enabled") == "1":
            return fail("server", "a Redis Cluster", "use one server, or Sentinel; clusters are not supported")
        if info.get("role") == "slave":
            return fail("server", "a read-only replica", "name its primary, or sentinel://… which finds it")
        if "valkey_version" in info:
            return ok("server", f"Valkey {info['valkey_version']}")
        version = info.get("redis_version", "?")
        major = version.partition(".")[0]
        if not major.isdecimal():
            return warn("server", "it does not say which version it is", "use Redis 7 or later, or Valkey")
        if int(major) < _REDIS_WITH_FUNCTIONS:
            return fail("server", f"Redis {version} has no functions", "use Redis 7 or later, or Valkey")
        return ok("server", f"Redis {version}")

    def _eviction(self) -> Finding:
        policy = self._info.get("maxmemory_policy", "?")
        if policy == "noeviction":
            return ok("eviction", "noeviction")
        return fail(
            "eviction",
            f"maxmemory-policy is {policy}: a full server would drop executions and results without a word",
            "CONFIG SET maxmemory-policy noeviction, and the same in its configuration file",
        )

    def _persistence(self) -> Iterator[Finding]:
        info = self._info
        if info.get("aof_enabled") != "1":
            yield fail(
                "persistence",
                "there is no append-only file: a crash of the server loses what ran since the last snapshot",
                "CONFIG SET appendonly yes, and `appendonly yes` in its configuration file",
            )
        else:
            yield self._fsync()
        failed = [
            name for name in ("aof_last_write_status", "rdb_last_bgsave_status", "aof_last_bgrewrite_status")
            if info.get(name, "ok") != "ok"
        ]  # fmt: skip
        if failed:
            yield fail(
                "server disk",
                f"the server could not write to its disk ({', '.join(failed)})",
                "make room on the server's disk, and see its log",
            )
        else:
            yield ok("server disk", "the last writes succeeded")

    def _fsync(self) -> Finding:
        policy = self._config("appendfsync")
        if policy is None:
            return warn("persistence", "append-only file; its fsync policy cannot be read", AS_ADMINISTRATOR)
        if policy == "no":
            return fail(
                "persistence",
                "append-only file with appendfsync no: a power cut loses half a minute",
                "CONFIG SET appendfsync everysec (or always), and the same in its configuration file",
            )
        return ok("persistence", f"append-only file, appendfsync {policy}")

    def _memory(self) -> Finding:
        used, most = int(self._info.get("used_memory", 0)), int(self._info.get("maxmemory", 0))
        shown = f"{used // 1_048_576} MiB used"
        if not most:
            return warn(
                "memory",
                f"{shown}, and no maxmemory: the system would end the server instead of it refusing writes",
                "set maxmemory to what the machine can spare, at least twice what is used",
            )
        share = used / most
        text = f"{shown} of {most // 1_048_576} ({share:.0%})"
        mend = "raise maxmemory, or lower limits.history_days, limits.history_count or limits.audit_count"
        if share >= _HEADROOM_SHARES[0]:
            return fail("memory", text, mend)
        return warn("memory", text, mend) if share >= _HEADROOM_SHARES[1] else ok("memory", text)

    def _tls(self) -> Finding:
        address = self._redis.address
        if address.tls and not address.verify:
            return fail("tls", "on, but the server's certificate is not checked", "give ca=FILE, and no verify=no")
        if address.tls:
            return ok("tls", "on, the server's certificate is checked")
        if address.is_local:
            return ok("tls", "not needed: the server is on this machine")
        return warn(
            "tls",
            f"passwords, scripts and results travel in clear to {address.shown()}",
            "give the server a certificate (tls-port) and use rediss://…?ca=FILE",
        )

    def _clock(self) -> Finding:
        before = now_ms()
        there_ms = server_ms(self._redis)
        after = now_ms()
        # What lies within the round trip is no difference.
        off_ms = there_ms - after if there_ms > after else min(0, there_ms - before)
        text = f"this machine's clock and the server's differ by {abs(off_ms) / 1000:.1f} s"
        if abs(off_ms) >= _CLOCK_FAIL_MS:
            return fail("clock", text, "synchronise both (chrony, systemd-timesyncd); agents refuse what seems expired")
        return warn("clock", text, "synchronise both") if abs(off_ms) >= _CLOCK_WARN_MS else ok("clock", text)

    def _functions(self) -> Finding:
        mend = "start the gateway or beat of this release, which load it"
        try:
            found = self._redis.call("FUNCTION", "LIST", "LIBRARYNAME", LIBRARY_NAME, "WITHCODE")
        except RedisRefused as exc:
            if exc.kind != "NOPERM":
                raise
            return warn("functions", "cannot be read", AS_ADMINISTRATOR)
        if not found:
            return fail("functions", f"the library {LIBRARY_NAME} is not in the server", mend)
        fields = dict(zip(found[0][::2], found[0][1::2], strict=True))
        if fields[b"library_code"].decode() != library_source():
            return self._other_functions(mend)
        return ok("functions", f"{LIBRARY_NAME}, as in this release")

    def _other_functions(self, mend: str) -> Finding:
        version = text_version(self._redis)
        if version > TEXT_VERSION:
            return ok("functions", f"{LIBRARY_NAME} of a newer release (text {version}), which serves this one too")
        if version == TEXT_VERSION:
            return fail("functions", f"{LIBRARY_NAME} in the server is not the text of this release: changed", mend)
        return fail("functions", f"{LIBRARY_NAME} in the server is of an older release (text {version})", mend)

    def _config(self, name: str) -> str | None:
        try:
            reply = self._redis.call("CONFIG", "GET", name)
        except RedisRefused:
            return None
        return reply[1].decode() if len(reply) == 2 else None


def _parsed(text: bytes) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in text.decode("utf-8", "replace").splitlines() if ":" in line)
    return {name: value.strip() for name, _, value in pairs}
