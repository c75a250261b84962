"""The way to Redis, step by step: name, port, TLS, sign-in, rights, functions, clock, and who else is this instance."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from ...broker_config import keys
from ...broker_config.clock import now_ms, server_time_ms
from ...broker_config.errors import RedisNotTrusted, RedisRefused, RedisUnreachable, SettingsInvalid
from ...broker_config.functions.function_library import OLDEST_VERSION, TEXT_VERSION, text_version
from ...broker_config.ids import is_instance_id
from ...broker_config.programs.findings import Finding, Verdict, fail, ok, skip, warn
from ...broker_config.redis.client import Redis
from ...broker_config.redis.connection import master_of, tls_client
from ...broker_config.redis.url import RedisAddress, parse_url
from ...broker_config.settings_table import Settings
from ..home_lock import holder
from ..identity import earlier_epochs

_SECONDS = 5.0
#: An offset that people should know of, long before it makes envelopes expire.
_NOTED_OFFSET_MS = 5_000
_STEPS = ("name", "port", "tls", "sign-in", "rights", "functions", "clock", "instance")

_NEW_CREDENTIALS = "on the control side: assist instance rotate ID --credentials FILE (add, where it was removed)"
_SIGN_IN_MENDS = {
    "WRONGPASS": f"bring the file of its newest credentials here; {_NEW_CREDENTIALS}",
    "NOAUTH": "put user and password into redis_url, or register this machine",
    "NOPERM": f"give this instance its Redis user anew; {_NEW_CREDENTIALS}",
    "LOADING": "wait: Redis is reading its data",
    "MASTERDOWN": "Redis' replica has lost its master; look at the sentinels",
    "ERR": "fix what it names in redis_url, or in Redis' configuration (maxclients, databases)",
    "DENIED": "let Redis ask for passwords, and bind it to an address that this machine reaches",
}
#: Why a Redis that lets an agent in takes nothing from it.
_WRITE_MENDS = {
    "READONLY": "redis_url names a replica: name the master, or the sentinels (sentinel://)",
    "OOM": "Redis is at its maxmemory: give it more, or have less kept (retention settings)",
    "MISCONF": "Redis cannot write to its disk: make room there; its own log says more",
    "NOREPLICAS": "Redis misses its replicas (min-replicas-to-write): start them",
}


def network_findings(settings: Settings) -> Iterator[Finding]:
    """Look at each step in turn; what lies behind a failing one is skipped."""
    done = []
    for finding in _walk(settings):
        yield finding
        done.append(finding.check)
        if finding.verdict is Verdict.FAIL and finding.check in _STEPS[:4]:
            for check in _STEPS[_STEPS.index(finding.check) + 1 :]:
                yield skip(check, f"needs {finding.check}")
            return


def _walk(settings: Settings) -> Iterator[Finding]:
    try:
        address = parse_url(settings.redis_url)
    except SettingsInvalid as exc:
        yield fail("name", str(exc), "fix redis_url")
        return
    if address.kind == "unix":
        yield ok("name", f"Unix socket {address.path}")
        yield from _unix_port(address)
        yield ok("tls", "not needed on a Unix socket")
    else:
        yield from _names(address)
        yield from _ports(address)
    redis = Redis(settings.redis_url, name="doctor", timeout_seconds=_SECONDS, connect_timeout_seconds=_SECONDS)
    try:
        yield from _inside(settings, redis)
    finally:
        redis.close()


def _unix_port(address: RedisAddress) -> Iterator[Finding]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(_SECONDS)
        try:
            line.connect(address.path)
        except OSError as exc:
            yield fail("port", f"{address.path}: {exc}", "start Redis, or fix the path and its permissions")
        else:
            yield ok("port", f"{address.path} answers")


def _names(address: RedisAddress) -> Iterator[Finding]:
    failures, found = [], []
    for name, _ in address.hosts:
        try:
            numbers = sorted({str(entry[4][0]) for entry in socket.getaddrinfo(name, None, 0, socket.SOCK_STREAM)})
            found.append(f"{name} is {', '.join(numbers)}" if numbers != [name] else name)
        except OSError as exc:
            failures.append(f"{name}: {exc.strerror or exc}")
    if not found:
        mend = "fix the name in redis_url, or this machine's name service (/etc/resolv.conf, /etc/hosts)"
        yield fail("name", "; ".join(failures), mend)
    elif failures:
        yield warn("name", "; ".join(failures), "fix these sentinels' names")
    else:
        yield ok("name", "; ".join(found))


def _ports(address: RedisAddress) -> Iterator[Finding]:
    targets = list(address.hosts)
    if address.kind == "sentinel":
        try:
            targets = [master_of(address, _SECONDS)]
        except (RedisUnreachable, RedisRefused) as exc:
            yield fail(
                "port", str(exc), "start the sentinels, let this machine reach them, and check the master's name"
            )
            return
    target = targets[0]
    where = f"{target[0]}:{target[1]}"
    try:
        line = socket.create_connection(target, _SECONDS)
    except OSError as exc:
        yield fail("port", f"{where}: {exc.strerror or exc}", _port_mend(exc))
        return
    with line:
        yield ok("port", f"{where} takes connections")
        yield _tls(address, line, target[0])


def _port_mend(exc: OSError) -> str:
    if isinstance(exc, ConnectionRefusedError):
        return "nothing listens there: start Redis, check the port, and that Redis binds to more than loopback"
    if isinstance(exc, TimeoutError):
        return "a firewall drops it, or the machine is off: let this machine reach that port (outgoing only)"
    return "check the route to that network"


def _tls(address: RedisAddress, line: socket.socket, server_name: str) -> Finding:
    if not address.tls:
        if _is_elsewhere(server_name):
            return warn("tls", "the connection is not encrypted", "use rediss:// with a Redis that has TLS")
        return ok("tls", "not used, on this machine alone")
    tls = tls_client(address)
    try:
        with tls.context().wrap_socket(line, server_hostname=server_name) as secured:
            return ok("tls", f"{secured.version()}, certificate {'checked' if address.verify else 'NOT checked'}")
    except TimeoutError:
        return fail("tls", "the server does not answer to TLS", "does it speak TLS on this port? Else use redis://")
    except OSError as exc:
        problem = tls.explain(exc, server_name)
        if problem:
            return fail("tls", str(exc), problem)
        return fail("tls", str(exc), "does the server speak TLS on this port? Else use redis://")


def _is_elsewhere(name: str) -> bool:
    with contextlib.suppress(OSError):
        return not all(
            str(entry[4][0]).startswith("127.") or entry[4][0] == "::1" for entry in socket.getaddrinfo(name, None)
        )
    return True


def _inside(settings: Settings, redis: Redis) -> Iterator[Finding]:
    try:
        redis.call("TIME")
        # Once more: finding the name, TLS and the sign-in took a while, and would make the clock look wrong.
        sent_ms = now_ms()
        there_ms = server_time_ms(redis.call("TIME"))
        offset_ms = (sent_ms + now_ms()) // 2 - there_ms
    except RedisRefused as exc:
        yield fail("sign-in", str(exc), _SIGN_IN_MENDS.get(exc.kind, "see Redis' own log"))
        return
    except RedisUnreachable as exc:
        yield fail("sign-in", str(exc), _unanswered_mend(exc))
        return
    yield ok("sign-in", f"as {redis.address.user or 'the default user'}")
    is_somebody = is_instance_id(settings.instance_id)
    yield _rights(settings, redis) if is_somebody else skip("rights", "needs identity")
    yield _functions(redis)
    yield _clock(settings, offset_ms)
    yield _instance(settings, redis) if is_somebody else skip("instance", "needs identity")


def _unanswered_mend(exc: RedisUnreachable) -> str:
    """What to do about a server that takes connections, and then does not let us talk to a Redis."""
    if isinstance(exc, RedisNotTrusted):
        return "fix the certificates: ?ca=FILE&cert=FILE&key=FILE in redis_url, or the server's (tls-auth-clients)"
    cause: BaseException = exc
    while cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, TimeoutError | BlockingIOError):
        return "it hangs, or what answers there is no Redis: look at Redis and its own log"
    if isinstance(cause, ConnectionResetError | BrokenPipeError):
        return "it hung up: use rediss:// if it speaks TLS there; else Redis may have as many clients as its maxclients"
    return "what answers there is no Redis: fix the port in redis_url"


def _rights(settings: Settings, redis: Redis) -> Finding:
    """Read what an agent reads all the time, and write in a way that changes nothing."""
    instance_id = settings.instance_id
    refused = []
    for command in (
        ("LLEN", keys.queue(instance_id)),
        ("HMGET", keys.info(instance_id), "epoch"),
        ("ZCARD", keys.open_executions(instance_id)),
        ("HMGET", keys.profile(instance_id), "name"),
        # Moves the deadline of an execution that there is not.
        ("ZADD", keys.open_executions(instance_id), "XX", "0", "-"),
    ):
        try:
            redis.call(*command)
        except RedisRefused as exc:
            if exc.kind in _WRITE_MENDS:
                return fail("rights", f"Redis takes nothing: {exc}", _WRITE_MENDS[exc.kind])
            refused.append(f"{command[0]} {command[1]}: {exc}")
        except RedisUnreachable as exc:
            return fail("rights", str(exc), "the connection broke; try again")
    if refused:
        mend = f"these credentials belong to another instance, or are too old; {_NEW_CREDENTIALS}"
        return fail("rights", "; ".join(refused), mend)
    return ok("rights", f"may work as {instance_id}")


def _functions(redis: Redis) -> Finding:
    mend = "start a control-side program of this release: assist-beat, assist-gateway, or `assist run`"
    try:
        found = text_version(redis)
    except (RedisRefused, RedisUnreachable) as exc:
        return fail("functions", str(exc), mend)
    if found == 0:
        return fail("functions", "Redis does not have our functions", mend)
    if found < TEXT_VERSION:
        return fail("functions", f"version {found}, this agent needs {TEXT_VERSION}", mend)
    return ok("functions", f"version {found} (this agent: {TEXT_VERSION}, oldest served: {OLDEST_VERSION})")


def _clock(settings: Settings, offset_ms: int) -> Finding:
    tolerance_ms = settings.agent.clock_tolerance_seconds * 1000
    text = f"{abs(offset_ms) / 1000:.1f} s {'ahead of' if offset_ms > 0 else 'behind'} Redis'"
    mend = "set this machine's clock, and let it follow a time server (chrony, systemd-timesyncd)"
    if abs(offset_ms) > tolerance_ms:
        return fail("clock", f"{text}, more than agent.clock_tolerance_seconds: envelopes are refused", mend)
    if abs(offset_ms) > _NOTED_OFFSET_MS:
        return warn("clock", text, mend)
    return ok("clock", text)


def _instance(settings: Settings, redis: Redis) -> Finding:
    """Whether the control side knows us, and whether somebody else is us."""
    home, instance_id = Path(settings.home), settings.instance_id
    try:
        epoch, name, pid = redis.call("HMGET", keys.info(instance_id), "epoch", "hostname", "pid")
        reason = redis.call("HGET", keys.quarantine(instance_id), "reason")
    except (RedisRefused, RedisUnreachable) as exc:
        return fail("instance", str(exc), "see the findings above")
    if reason:
        mend = "look into it, then on the control side: assist instance release " + instance_id
        return fail("instance", f"in quarantine: {reason.decode('utf-8', 'replace')}", mend)
    last = holder(home)
    ours = {*earlier_epochs(home), last.epoch if last else ""}
    if epoch is None:
        return warn("instance", "not connected: no heartbeat of late", "start the agent; see its log if it runs")
    if epoch.decode() not in ours:
        who = f"{(name or b'?').decode('utf-8', 'replace')}, pid {(pid or b'?').decode()}"
        mend = "stop that agent, or give this machine an id of its own: assist-agent register --force-new"
        return fail("instance", f"another agent is {instance_id} ({who})", mend)
    return ok("instance", "connected")
