"""Run an agent, and end it; ``agent_parts.py`` says what it consists of.

What an earlier agent left on disk comes first, then Redis, however long that takes, then the ledger, and the queue
last.
"""

import logging
import os
import threading
import time
from pathlib import Path

from ..broker_config.clock import monotonic_seconds
from ..broker_config.errors import RedisRefused, RedisUnreachable
from ..broker_config.functions.instances import Beat
from ..broker_config.programs.program_log import logger
from ..broker_config.settings_table import Settings
from .agent_parts import AgentCalls, AgentParts
from .backoff import Backoff
from .execution.launching import Launching
from .execution.this_system import scripts_outlive_agent
from .exit_codes import EXIT_RESTART
from .identity import Identity
from .queue.event_outbox import EventOutbox
from .queue.watch import Advice
from .self_watch import Advice as OwnUse
from .self_watch import step_back
from .service.notifier import ServiceNotifier
from .start_report import report_rights
from .upgrade.handing_over import StartedAs, become_guard
from .upgrade.installation import Installation

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

_log = logger("agent")


class Agent:
    """One agent; made and run in the main thread."""

    def __init__(
        self,
        settings: Settings,
        identity: Identity,
        launcher: Launching,
        started_as: StartedAs,
        notifier: ServiceNotifier,
    ) -> None:
        """Put the parts together; Redis is not needed yet.

        Raises:
            SettingsInvalid: the settings leave an agent that could run nothing.
            OSError: the home cannot be written.
        """
        self._started_as = started_as
        calls = AgentCalls(on_ready=self._announce_ready, on_beat=self._on_beat, hand_over=self._hand_over)
        self._parts = AgentParts(settings, identity, launcher, notifier, calls)
        self._beat_count = 0
        self._is_ready = False
        self._is_spool_told = False

    def run(self) -> None:
        """Run until the process is ended by ``end``.

        Raises:
            Refused: another agent lives with this instance id.
        """
        parts = self._parts
        report_rights()
        parts.notifier.ready()
        parts.reporter.start()
        parts.slots.start()
        if parts.outbox is not None:
            parts.outbox.start()
        parts.reconciler.settle_folders()
        self._join_redis()
        parts.lane.start()
        backoff = Backoff()
        while True:
            began_seconds = monotonic_seconds()
            parts.queue.run()
            if monotonic_seconds() - began_seconds > _STEADY_SECONDS:
                backoff.reset()
            # Celery gives up on errors that it cannot place, such as a right that was taken away for a moment.
            _log.warning("the consumer of the queue ended and is started again")
            time.sleep(backoff.next_seconds())

    def end(self) -> None:
        """Stop taking work, deliver what can be delivered in a second, and leave; scripts go on. Never returns."""
        parts = self._parts
        # A Redis that hangs must not hold up a shutdown of the machine, nor a log that nobody reads; what is not
        # delivered is on disk.
        threading.Timer(_LEAVE_SECONDS, os._exit, [0]).start()
        _log.info("agent ends running=%d", parts.in_hand.running_count)
        parts.notifier.stopping()
        self._stop_taking()
        left_count = parts.reporter.flush(_FLUSH_SECONDS)
        if left_count:
            _log.warning("results wait on disk for the next start count=%d", left_count)
        if parts.link.is_up:
            self._say_goodbye()
        parts.launcher.leave()
        _leave(0)

    def _hand_over(self, version: str, probation_seconds: float) -> None:
        """Become the guard of another version's trial; scripts go on where they can, what is not delivered is on disk.

        Nobody says goodbye: the instance counts as connected while its agent changes.

        Raises:
            OSError: that could not be; the service manager starts this version again.
        """
        parts = self._parts
        _log.info("agent hands over to version=%s running=%d", version, parts.in_hand.running_count)
        self._stop_taking()
        parts.reporter.flush(_FLUSH_SECONDS)
        parts.launcher.leave()
        installation = Installation(Path(parts.settings.agent.install_folder))
        try:
            become_guard(installation, self._started_as, version, probation_seconds)
        except OSError as exc:
            _log.error("the guard cannot be started (%s); ending with code %d to be started again", exc, EXIT_RESTART)
            _leave(EXIT_RESTART)

    def _stop_taking(self) -> None:
        """Take no more work, and let what was claimed begin."""
        parts = self._parts
        parts.lane.stop()
        parts.queue.leave()
        parts.slots.drop_waiting()
        left_count = parts.in_hand.wait_until_started(_START_SECONDS)
        if left_count:
            _log.warning("executions were claimed and have not started count=%d", left_count)

    def _join_redis(self) -> None:
        """Make the first heartbeat and look at the ledger, however long Redis stays away."""
        parts = self._parts
        backoff = Backoff()
        parts.notifier.status("waits for Redis")
        while True:
            parts.notifier.alive()
            try:
                parts.keys.take_up(parts.heartbeat.first().key_bundle)
                parts.link.note_success()
                # Before the look, which would take what this call made and we do not know of for a message lost.
                parts.boot_start.run()
                parts.reconciler.look(at_start=True)
                if parts.outbox is not None:
                    self._send_worker_event(parts.outbox, "worker-online")
            except (RedisUnreachable, RedisRefused) as exc:
                parts.link.note_failure(exc)
                time.sleep(backoff.next_seconds())
            else:
                return

    def _announce_ready(self) -> None:
        parts = self._parts
        if not self._is_ready:
            self._is_ready = True
            parts.notifier.status(f"takes work as {parts.identity.instance_id}")
            _log.info(
                "agent ready instance_id=%s version=%s slots=%d",
                parts.identity.instance_id,
                parts.identity.agent_version,
                parts.slots.count,
            )

    def _on_beat(self, beat: Beat) -> None:
        parts = self._parts
        self._beat_count += 1
        parts.keys.take_up(beat.key_bundle)
        parts.upgrader.look_at(beat.upgrade_order)
        self._look_after_spool()
        self._watch_self()
        if parts.outbox is not None and self._beat_count % _EVENT_BEATS == 0:
            self._send_worker_event(parts.outbox, "worker-heartbeat")
        advice = parts.queue_watch.advise(
            queue_count=beat.queue_count,
            has_room=parts.slots.has_room,
            taken_count=parts.intake.taken_count,
        )
        if advice is Advice.RECONNECT:
            _log.warning("messages wait, slots are free, and nothing is taken: reconnecting the queue")
            parts.queue.disconnect()
        elif advice is Advice.RESTART:
            _log.error("the queue does not recover: ending with code %d to be started again", EXIT_RESTART)
            parts.launcher.leave()
            _leave(EXIT_RESTART)

    def _look_after_spool(self) -> None:
        """Keep the spool within its limit; where it cannot be read, that is told once and tried with each beat."""
        parts = self._parts
        try:
            parts.spool.trim()
            parts.reconciler.settle_forgotten()
        except OSError as exc:
            if not self._is_spool_told:
                _log.error("the spool cannot be looked after; trying again until it can: %s", exc)
            self._is_spool_told = True
        else:
            self._is_spool_told = False

    def _watch_self(self) -> None:
        """Keep within what an agent may use of the machine."""
        parts = self._parts
        advice, watch = parts.self_watch.look(), parts.self_watch
        if advice is OwnUse.RESTART:
            _log.error(
                "the agent uses too much memory: ending with code %d to be started again; scripts %s"
                " memory_bytes=%d agent.memory_limit_bytes=%d",
                EXIT_RESTART,
                "go on" if scripts_outlive_agent() else "end with it",
                watch.memory_bytes,
                parts.settings.agent.memory_limit_bytes,
            )
            self._stop_taking()
            parts.launcher.leave()
            _leave(EXIT_RESTART)
        elif advice is OwnUse.STEP_BACK:
            _log.warning("the agent uses much of a processor: it steps back cpu_percent=%.0f", watch.cpu_percent)
            step_back()

    def _send_worker_event(self, outbox: EventOutbox, type: str) -> None:
        parts = self._parts
        interval_seconds = parts.interval_seconds * _EVENT_BEATS
        active_count = parts.in_hand.running_count
        parts.redis.call(*outbox.worker_event(type, interval_seconds=interval_seconds, active_count=active_count))

    def _say_goodbye(self) -> None:
        parts = self._parts
        try:
            if parts.outbox is not None:
                parts.outbox.flush()
                self._send_worker_event(parts.outbox, "worker-offline")
            parts.heartbeat.last()
        except (RedisUnreachable, RedisRefused) as exc:
            parts.link.note_failure(exc)


def _leave(exit_code: int) -> None:
    """End the process at once: an ordinary exit would wait for threads that follow scripts."""
    logging.shutdown()
    os._exit(exit_code)
