"""Put an agent together, run it, and end it.

What an earlier agent left on disk comes first, then Redis, however long that takes, then the ledger, and the queue
last.
"""

import logging
import os
import threading
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from ..broker_config.clock import monotonic_seconds
from ..broker_config.errors import RedisRefused, RedisUnreachable
from ..broker_config.functions.instances import Beat
from ..broker_config.program_log import logger
from ..broker_config.redis_client import Redis
from ..broker_config.redis_connection import Argument
from ..broker_config.settings import own_environment
from ..broker_config.settings_table import Settings
from .backoff import Backoff
from .boot_start import BootStart
from .celery_worker import QueueWorker
from .claimant import Claimant
from .event_outbox import EventOutbox
from .execution.launching import Launching
from .execution.this_system import own_user_name, scripts_outlive_agent
from .executor import Executor, Facts
from .exit_codes import EXIT_RESTART
from .heartbeat import Heartbeat
from .identity import Identity
from .in_hand import InHand
from .inventory import Inventory
from .journal import Journal
from .key_ring import KeyRing
from .lane import Lane
from .link_state import LinkState
from .live_output import LiveOutput
from .message_intake import MessageIntake
from .packages.agent_notes import leave_notes, script_variables
from .packages.package_index import PackageReport
from .policy_file import PolicyFile, PolicyGuard
from .queue_watch import Advice, QueueWatch
from .reconciler import Reconciler
from .reporter import Reporter
from .self_watch import Advice as OwnUse
from .self_watch import SelfWatch, step_back
from .service.notifier import ServiceNotifier
from .slots import Slots
from .spool import Spool
from .start_report import report_policy, report_rights, report_security
from .tasks import register
from .upgrade.handing_over import StartedAs, become_guard
from .upgrade.installation import Installation
from .upgrade.upgrader import Upgrader
from .verification import Verifier

#: How long an ending agent waits for scripts that it has claimed to start: the next one could only report them as lost.
_START_SECONDS = 0.7
#: The same for results that are on their way to Redis.
_FLUSH_SECONDS = 1.0
#: The longest that all of its goodbyes may take.
_LEAVE_SECONDS = 2.5
#: A consumer that ran for this long had no lasting trouble: the next wait before a new one is short again.
_STEADY_SECONDS = 30.0
#: One in this many beats is announced to monitors as well.
_EVENT_BEATS = 3
#: Longer than a connection to nowhere takes to be given up by itself.
_LEAST_PATIENCE_SECONDS = 30.0

_log = logger("agent")


class Agent:
    """One agent; made and run in the main thread."""

    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        launcher: Launching,
        started_as: StartedAs | None = None,
        notifier: ServiceNotifier | None = None,
    ) -> None:
        """Put the parts together; Redis is not needed yet.

        Raises:
            SettingsInvalid: the settings leave an agent that could run nothing.
            OSError: the home cannot be written.
        """
        self._settings = settings
        self._started_as = started_as or StartedAs()
        self._identity = identity
        self._notifier = notifier or ServiceNotifier("")
        self._home = Path(settings.home)
        self._keys = KeyRing(self._home, identity.instance_id, settings.security.instance_key)
        report_security(settings, has_key=bool(self._keys))
        self._policy = PolicyFile(settings.agent.policy_file)
        report_policy(self._policy)
        self._redis = Redis(settings.redis_url, name=f"agent:{identity.instance_id}", connect_timeout_seconds=5.0)
        self._link = LinkState()
        self._slots = Slots(settings.agent.slots)
        self._in_hand = InHand()
        self._facts = Facts()
        self._spool = Spool(
            self._home / "spool", limit_bytes=settings.agent.spool_limit_bytes, keep_scripts=settings.agent.keep_scripts
        )
        self._spool.make()
        self._queue = QueueWorker(
            settings.redis_url,
            identity.instance_id,
            concurrency=settings.agent.slots,
            on_ready=self._announce_ready,
        )
        self._outbox = (
            EventOutbox(self._redis, identity.instance_id, version=identity.agent_version, tick=self._queue.tick)
            if settings.agent.events
            else None
        )
        self._packages = PackageReport(self._home)
        leave_notes(settings, identity.agent_version)
        self._launcher = launcher
        self._upgrader = Upgrader(
            settings,
            instance_id=identity.instance_id,
            version=identity.agent_version,
            keys=self._keys,
            hand_over=self._hand_over,
        )
        self._intake = MessageIntake(self._slots, self._outbox)
        self._wire_execution(launcher)
        self._wire_lane()
        self._beat_count = 0
        self._is_ready = False

    def _wire_execution(self, launcher: Launching) -> None:
        settings, identity = self._settings, self._identity
        claimant = Claimant(
            instance_id=identity.instance_id,
            epoch=identity.epoch,
            boot_id=identity.boot_id,
            report_margin_ms=int((settings.limits.report_margin_seconds + settings.agent.grace_seconds) * 1000),
        )
        retention_ms = int(settings.limits.history_days * 86_400_000)
        journal = Journal(self._home / "journal", fsync=settings.agent.fsync)
        self._reporter = Reporter(
            self._redis, self._spool, self._link, claimant, retention_ms=retention_ms, keys=self._keys
        )
        self._reconciler = Reconciler(
            redis=self._redis,
            claimant=claimant,
            journal=journal,
            launcher=launcher,
            spool=self._spool,
            reporter=self._reporter,
            in_hand=self._in_hand,
            slots=self._slots,
            live_output=self._live_output,
            has_message=self._intake.has_message,
        )
        executor = Executor(
            redis=self._redis,
            claimant=claimant,
            verifier=Verifier(
                identity.instance_id, self._keys, tolerance_ms=int(settings.agent.clock_tolerance_seconds * 1000)
            ),
            policy=PolicyGuard(self._policy, own_user_name()),
            journal=journal,
            launcher=launcher,
            spool=self._spool,
            reporter=self._reporter,
            in_hand=self._in_hand,
            link=self._link,
            settings=settings.agent,
            facts=self._facts,
            live_output=self._live_output,
            settle_known=self._reconciler.settle_known,
            tells=script_variables(settings, identity.agent_version),
            inherited=own_environment(),
        )
        self._boot_start = BootStart(
            redis=self._redis,
            claimant=claimant,
            executor=executor,
            in_hand=self._in_hand,
            slots=self._slots,
        )
        register(self._queue.app, executor, partial(self._intake.strategy, claim_ahead=executor.claim_ahead))

    def _wire_lane(self) -> None:
        agent = self._settings.agent
        self._heartbeat = Heartbeat(
            redis=self._redis,
            identity=self._identity,
            home=self._home,
            ttl_seconds=agent.heartbeat_ttl_seconds,
            slots=agent.slots,
            facts=self._facts,
            load=self._load,
            has_identity=bool(self._keys),
            inventory=Inventory(self._settings.redis_url),
        )
        self._self_watch = SelfWatch(
            memory_limit_bytes=agent.memory_limit_bytes, cpu_limit_percent=agent.cpu_limit_percent
        )
        self._watch = QueueWatch(max(2 * agent.reconcile_seconds, _LEAST_PATIENCE_SECONDS))
        self._interval_seconds = min(agent.heartbeat_seconds, agent.reconcile_seconds)
        self._lane = Lane(
            redis=self._redis,
            instance_id=self._identity.instance_id,
            heartbeat=self._heartbeat,
            reconciler=self._reconciler,
            in_hand=self._in_hand,
            link=self._link,
            interval_seconds=self._interval_seconds,
            on_beat=self._on_beat,
            on_turn=self._notifier.alive,
        )

    def run(self) -> None:
        """Run until the process is ended by ``end``.

        Raises:
            Refused: another agent lives with this instance id.
        """
        report_rights()
        self._notifier.ready()
        self._reporter.start()
        self._slots.start()
        if self._outbox is not None:
            self._outbox.start()
        self._reconciler.settle_folders()
        self._join_redis()
        self._lane.start()
        backoff = Backoff()
        while True:
            began_seconds = monotonic_seconds()
            self._queue.run(self._outbox)
            if monotonic_seconds() - began_seconds > _STEADY_SECONDS:
                backoff.reset()
            # Celery gives up on errors that it cannot place, such as a right that was taken away for a moment.
            _log.warning("the consumer of the queue ended and is started again")
            time.sleep(backoff.next_seconds())

    def end(self) -> None:
        """Stop taking work, deliver what can be delivered in a second, and leave; scripts go on. Never returns."""
        # A Redis that hangs must not hold up a shutdown of the machine; what is not delivered is on disk.
        threading.Timer(_LEAVE_SECONDS, _leave, [0]).start()
        _log.info("agent ends running=%d", self._in_hand.running_count)
        self._notifier.stopping()
        self._stop_taking()
        left_count = self._reporter.flush(_FLUSH_SECONDS)
        if left_count:
            _log.warning("results wait on disk for the next start count=%d", left_count)
        if self._link.is_up:
            self._say_goodbye()
        self._launcher.leave()
        _leave(0)

    def _hand_over(self, version: str, probation_seconds: float) -> None:
        """Become the guard of another version's trial; scripts go on where they can, what is not delivered is on disk.

        Nobody says goodbye: the instance counts as connected while its agent changes.

        Raises:
            OSError: that could not be; the service manager starts this version again.
        """
        _log.info("agent hands over to version=%s running=%d", version, self._in_hand.running_count)
        self._stop_taking()
        self._reporter.flush(_FLUSH_SECONDS)
        self._launcher.leave()
        try:
            become_guard(
                Installation(Path(self._settings.agent.install_folder)), self._started_as, version, probation_seconds
            )
        except OSError as exc:
            _log.error("the guard cannot be started (%s); ending with code %d to be started again", exc, EXIT_RESTART)
            _leave(EXIT_RESTART)

    def _stop_taking(self) -> None:
        """Take no more work, and let what was claimed begin."""
        self._lane.stop()
        self._queue.leave()
        self._slots.drop_waiting()
        left_count = self._in_hand.wait_until_started(_START_SECONDS)
        if left_count:
            _log.warning("executions were claimed and have not started count=%d", left_count)

    def _join_redis(self) -> None:
        """Make the first heartbeat and look at the ledger, however long Redis stays away."""
        backoff = Backoff()
        self._notifier.status("waits for Redis")
        while True:
            self._notifier.alive()
            try:
                self._keys.take_up(self._heartbeat.first().key_bundle)
                self._link.note_success()
                # Before the look, which would take what this call made and we do not know of for a message lost.
                self._boot_start.run()
                self._reconciler.look(at_start=True)
                if self._outbox is not None:
                    self._send_worker_event(self._outbox, "worker-online")
            except (RedisUnreachable, RedisRefused) as exc:
                self._link.note_failure(exc)
                time.sleep(backoff.next_seconds())
            else:
                return

    def _announce_ready(self) -> None:
        if not self._is_ready:
            self._is_ready = True
            self._notifier.status(f"takes work as {self._identity.instance_id}")
            _log.info(
                "agent ready instance_id=%s version=%s slots=%d",
                self._identity.instance_id,
                self._identity.agent_version,
                self._slots.count,
            )

    def _live_output(self, execution_id: str) -> LiveOutput:
        return LiveOutput(
            self._redis,
            self._identity.instance_id,
            execution_id,
            most_bytes=self._settings.agent.live_output_bytes,
        )

    def _on_beat(self, beat: Beat) -> None:
        self._beat_count += 1
        self._keys.take_up(beat.key_bundle)
        self._upgrader.look_at(beat.upgrade_order)
        self._spool.trim()
        self._reconciler.settle_forgotten()
        self._watch_self()
        if self._outbox is not None and self._beat_count % _EVENT_BEATS == 0:
            self._send_worker_event(self._outbox, "worker-heartbeat")
        advice = self._watch.advise(
            queue_count=beat.queue_count, free_count=self._slots.free_count, taken_count=self._intake.taken_count
        )
        if advice is Advice.RECONNECT:
            _log.warning("messages wait, slots are free, and nothing is taken: reconnecting the queue")
            self._queue.disconnect()
        elif advice is Advice.RESTART:
            _log.error("the queue does not recover: ending with code %d to be started again", EXIT_RESTART)
            self._launcher.leave()
            _leave(EXIT_RESTART)

    def _watch_self(self) -> None:
        """Keep within what an agent may use of the machine."""
        advice, watch = self._self_watch.look(), self._self_watch
        if advice is OwnUse.RESTART:
            _log.error(
                "the agent uses too much memory: ending with code %d to be started again; scripts %s"
                " memory_bytes=%d agent.memory_limit_bytes=%d",
                EXIT_RESTART,
                "go on" if scripts_outlive_agent() else "end with it",
                watch.memory_bytes,
                self._settings.agent.memory_limit_bytes,
            )
            self._stop_taking()
            self._launcher.leave()
            _leave(EXIT_RESTART)
        elif advice is OwnUse.STEP_BACK:
            _log.warning("the agent uses much of a processor: it steps back cpu_percent=%.0f", watch.cpu_percent)
            step_back()

    def _send_worker_event(self, outbox: EventOutbox, type: str) -> None:
        interval_seconds = self._interval_seconds * _EVENT_BEATS
        active_count = self._in_hand.running_count
        self._redis.call(*outbox.worker_event(type, interval_seconds=interval_seconds, active_count=active_count))

    def _load(self) -> Mapping[str, Argument]:
        return {
            "running_count": self._in_hand.running_count,
            "waiting_count": self._slots.waiting_count,
            "unreported_count": self._reporter.waiting_count,
            "disk_free_bytes": self._spool.free_bytes(),
            "key_ids": self._keys.key_ids,
            **self._upgrader.fields,
            **self._packages.fields(),
            "agent_memory_bytes": self._self_watch.memory_bytes,
            "agent_cpu_percent": round(self._self_watch.cpu_percent),
        }

    def _say_goodbye(self) -> None:
        try:
            if self._outbox is not None:
                self._outbox.flush()
                self._send_worker_event(self._outbox, "worker-offline")
            self._heartbeat.last()
        except (RedisUnreachable, RedisRefused) as exc:
            self._link.note_failure(exc)


def _leave(exit_code: int) -> None:
    """End the process at once: an ordinary exit would wait for threads that follow scripts."""
    logging.shutdown()
    os._exit(exit_code)
