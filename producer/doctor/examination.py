"""Everything the doctor looks at, in order; what is not there hides nothing else."""

from collections.abc import Iterator

from ...broker_config.errors import RedisNotTrusted, RedisRefused, RedisUnreachable
from ...broker_config.programs.findings import Finding, fail, ok
from ...broker_config.redis.client import Redis
from ...broker_config.redis.remedies import remedy_of
from ...broker_config.settings_table import Settings
from .fleet_checks import FleetChecks
from .local_checks import installation_key, local_checks
from .server_checks import ServerChecks
from .user_checks import UserChecks

#: Where this one fails, Redis is not reached.
WAY_TO_REDIS = ("redis",)
_AS_ADMINISTRATOR = "use a Redis user that may do this, such as the administrator"


def examine(redis: Redis, settings: Settings) -> Iterator[Finding]:
    """Look at this machine, the server, its users, and the programs around it."""
    yield from local_checks(settings)
    shown = redis.address.shown()
    try:
        _reach(redis)
        yield ok("redis", f"{shown} answers")
        yield from ServerChecks(redis).all()
        yield installation_key(redis, settings)
        yield from UserChecks(redis).all()
        yield from FleetChecks(redis, settings).all()
    except RedisNotTrusted as exc:
        yield fail("redis", str(exc), "fix ?ca=FILE&cert=FILE&key=FILE in the address, or the server's certificate")
    except RedisUnreachable as exc:
        yield fail("redis", f"{shown} does not answer: {exc}", "start it, or name the right one with --redis-url")
    except RedisRefused as exc:
        mend = _AS_ADMINISTRATOR if exc.kind == "NOPERM" else remedy_of(exc) or _AS_ADMINISTRATOR
        yield fail("redis", f"{shown} refuses: {exc}", mend)


def _reach(redis: Redis) -> None:
    """Ask the server for any answer."""
    try:
        redis.call("PING")
    except RedisRefused as exc:
        # One that cannot save refuses this as it does writes; why, and all else, can be read.
        if exc.kind != "MISCONF":
            raise
