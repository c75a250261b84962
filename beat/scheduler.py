"""The scheduler that ``celery beat`` runs, and ``assist-beat`` with it.

It keeps no schedule in memory or in a file: due times lie in Redis, and each tick does what is due and then sleeps
until the next one or until a schedule changes. Entries of Celery's own ``beat_schedule`` are not for it.
"""

import secrets
from time import sleep
from typing import Any

from celery.beat import Scheduler as CeleryScheduler

from ..broker_config import keys
from ..broker_config.audit.chain import AuditChain
from ..broker_config.errors import RedisRefused, RedisUnreachable, SettingsInvalid
from ..broker_config.functions.function_library import load_library
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Redis
from ..broker_config.redis.remedies import with_remedy
from ..broker_config.security.master_key import find_master_keys
from ..broker_config.settings import load
from ..broker_config.settings_table import Settings
from .audit_keeping import AuditKeeper
from .boot_notes import BootNotes
from .decisions import Policies
from .dispatching import Dispatches
from .due_loop import DueLoop
from .firing_chunks import ChunkBuilder
from .maintenance import Maintenance, Work
from .preparing import Preparer
from .releasing import Releases
from .retention import Retention
from .rollout_steps import RolloutSteps
from .sweeper import Sweeper
from .unfinished import Unfinished

_MISFIRE_POLICIES = ("latest", "all", "skip")
#: A server that does not answer in this time counts as gone; due times wait until it is back.
_TIMEOUT_SECONDS = 5.0
#: Time between looks at what agents refused, and at the audit's length.
_AUDIT_SECONDS = 5.0
#: Time between tries while Redis is away: doubled each time, up to the second.
_RETRY_SECONDS = (0.1, 1.0)

_log = logger("beat")


class Scheduler(CeleryScheduler):  # type: ignore[misc]  # Celery has no types
    """Fires timed invocations, and sweeps. Several may run at once, on as many machines."""

    def __init__(self, app: Any, *, settings: Settings | None = None, lazy: bool = False, **options: Any) -> None:
        self._settings = settings
        self._loop: DueLoop | None = None
        self._maintenance: Maintenance | None = None
        self._retry_seconds = 0.0
        self._is_ready = False
        super().__init__(app, lazy=lazy, **options)

    def setup_schedule(self) -> None:
        """Put the parts together; Redis is not needed yet.

        Raises:
            SettingsInvalid: a setting or the master key file cannot be used.
        """
        settings = self._settings or load().settings
        _check(settings)
        token = f"beat-{secrets.token_hex(6)}"
        self._redis = Redis(settings.redis_url, name="beat", timeout_seconds=_TIMEOUT_SECONDS)
        self._master = find_master_keys(settings)
        builder = ChunkBuilder(
            self._master,
            token,
            settings.limits.queue_count,
            settings.limits.deliver_within_seconds * 1000,
        )
        policies = Policies(
            misfire=settings.beat.misfire,
            misfire_limit_count=settings.beat.misfire_limit_count,
            misfire_within_ms=settings.beat.misfire_within_seconds * 1000,
            deliver_within_ms=settings.limits.deliver_within_seconds * 1000,
        )
        releases = Releases(
            self._redis,
            token=token,
            queue_count=settings.limits.queue_count,
            confirm_ms=int((settings.agent.grace_seconds + settings.limits.report_margin_seconds) * 1000),
        )
        self._loop = DueLoop(
            self._redis, Preparer(self._redis, builder, policies), Dispatches(self._redis, builder), releases
        )
        self._maintenance = Maintenance(self._redis, token, _works(self._redis, settings, builder))

    def tick(self, *arguments: Any, **options: Any) -> float:
        """Do what is due, then sleep until there is more to do; answers 0: the sleep is over."""
        if self._loop is None:
            return 0.0
        try:
            if not self._is_ready:
                self._announce()
            if self._retry_seconds:
                # A turn may only read, and go well while every decision is refused for want of memory, or on a replica.
                self._redis.call("SET", keys.NEVER_THERE, b"", "XX")
            self._loop.turn()
            if self._retry_seconds:
                _log.info("Redis is back")
            self._retry_seconds = 0.0
        except (RedisUnreachable, RedisRefused) as exc:
            self._loop.reset()
            if not self._retry_seconds:
                _log.warning("no due time can be decided about until Redis is back: %s", with_remedy(exc))
            first, longest = _RETRY_SECONDS
            self._retry_seconds = min(longest, 2 * self._retry_seconds or first)
            sleep(self._retry_seconds)
        return 0.0

    def close(self) -> None:
        """End; what is under way in Redis is another beat's, or the next one's."""
        if self._maintenance is not None:
            self._maintenance.close()
        if self._loop is not None:
            self._loop.close()
            self._redis.close()
        super().close()

    @property
    def address(self) -> str:
        """Where Redis is, without the password."""
        return self._redis.address.shown()

    @property
    def info(self) -> str:
        """What Celery's banner says of us."""
        return "    . due times -> Redis"

    def _announce(self) -> None:
        """Put our functions into Redis, and say that we are there."""
        load_library(self._redis)
        if self._maintenance is not None:
            self._maintenance.start()
        if self._master is None and self._redis.call("EXISTS", keys.MASTER_KEYS):
            _log.error(
                "this installation signs, and no master key is here: agents refuse what this beat fires; "
                "copy the master key file to its home, or name it with security.master_key_file"
            )
        self._is_ready = True
        _log.info("beat ready redis=%s", self.address)


def _works(redis: Redis, settings: Settings, builder: ChunkBuilder) -> list[Work]:
    sweep_seconds = settings.beat.sweep_seconds
    keyless = builder.master is None
    unfinished = Unfinished(redis, builder.master, settings.limits.queue_count)
    chain = AuditChain(redis, lambda: builder.master)
    return [
        Work("sweep", sweep_seconds, Sweeper(redis).work),
        Work("notice boots", sweep_seconds, BootNotes(redis).work),
        Work("settle", sweep_seconds, unfinished.work, keyless=keyless),
        Work("roll out", sweep_seconds, RolloutSteps(redis, builder.master).work, keyless=keyless),
        Work("keep the audit", _AUDIT_SECONDS, AuditKeeper(redis, chain, settings).work, keyless=keyless),
        Work("retire", settings.beat.retention_seconds, Retention(redis, settings.limits).work),
    ]


def _check(settings: Settings) -> None:
    if settings.beat.misfire not in _MISFIRE_POLICIES:
        raise SettingsInvalid(f"beat.misfire is {settings.beat.misfire!r}; use one of {', '.join(_MISFIRE_POLICIES)}")
    for name in ("sweep_seconds", "retention_seconds"):
        if getattr(settings.beat, name) <= 0:
            raise SettingsInvalid(f"beat.{name} must be positive")
