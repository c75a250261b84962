"""Put the parts of an agent together; ``agent.py`` runs them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ..broker_config.functions.instances import Beat
from ..broker_config.redis.client import Redis
from ..broker_config.redis.connection import Argument
from ..broker_config.settings import own_environment
from ..broker_config.settings_table import Settings
from .boot.boot_start import BootStart
from .claimant import Claimant
from .execution.launching import Launching
from .execution.this_system import own_user_name
from .executor import Executor, Facts
from .heartbeat import Heartbeat
from .identity import Identity, earlier_epochs
from .in_hand import InHand
from .inventory import Inventory
from .journal import Journal
from .lane import Lane
from .link_state import LinkState
from .live_output import LiveOutput
from .packages.agent_notes import leave_notes, script_variables
from .packages.package_index import PackageReport
from .policy.policy_file import PolicyFile, PolicyGuard
from .queue.celery_worker import QueueWorker
from .queue.event_outbox import EventOutbox
from .queue.message_intake import MessageIntake
from .queue.tasks import register
from .queue.watch import QueueWatch
from .reconciler import Reconciler
from .reporter import Reporter
from .self_watch import SelfWatch
from .service.notifier import ServiceNotifier
from .slots import Slots
from .spool import Spool
from .start_report import report_security
from .trust.key_ring import KeyRing
from .trust.verification import Verifier
from .upgrade.upgrader import Upgrader

#: Longer than a connection to nowhere takes to be given up by itself.
_LEAST_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class AgentCalls:
    """What the parts call in the agent."""

    #: The queue is consumed: work is taken from now on.
    on_ready: Callable[[], None]
    on_beat: Callable[[Beat], None]
    #: Has another version tried, for this long; does not return.
    hand_over: Callable[[str, float], None]


class AgentParts:
    """All that one agent consists of, wired and not started."""

    def __init__(
        self, settings: Settings, identity: Identity, launcher: Launching, notifier: ServiceNotifier, calls: AgentCalls
    ) -> None:
        """Put the parts together; Redis is not needed yet.

        Raises:
            SettingsInvalid: the settings leave an agent that could run nothing.
            OSError: the home cannot be written.
        """
        self.settings = settings
        self.identity = identity
        self.notifier = notifier
        self._home = Path(settings.home)
        self.keys = KeyRing(self._home, identity.instance_id, settings.security.instance_key)
        report_security(settings, has_key=bool(self.keys))
        self._policy = PolicyFile(settings.agent.policy_file)
        # Which says in the log that it is in force, or cannot be used.
        self._policy.in_force()
        self.redis = Redis(settings.redis_url, name=f"agent:{identity.instance_id}", connect_timeout_seconds=5.0)
        self.link = LinkState()
        self.slots = Slots(settings.agent.slots)
        self.in_hand = InHand()
        self._facts = Facts()
        self.spool = Spool(
            self._home / "spool", limit_bytes=settings.agent.spool_limit_bytes, keep_scripts=settings.agent.keep_scripts
        )
        self.spool.make()
        self.queue = QueueWorker(
            settings.redis_url,
            identity.instance_id,
            concurrency=settings.agent.slots,
            on_ready=calls.on_ready,
        )
        self.outbox = (
            EventOutbox(self.redis, identity.instance_id, version=identity.agent_version, tick=self.queue.tick)
            if settings.agent.events
            else None
        )
        self._packages = PackageReport(self._home)
        leave_notes(settings, identity.agent_version)
        self.launcher = launcher
        self.upgrader = Upgrader(
            settings,
            instance_id=identity.instance_id,
            version=identity.agent_version,
            keys=self.keys,
            hand_over=calls.hand_over,
        )
        self.intake = MessageIntake(self.slots, self.outbox)
        self._wire_execution()
        self._wire_lane(calls.on_beat)

    def _wire_execution(self) -> None:
        settings, identity = self.settings, self.identity
        claimant = Claimant(
            instance_id=identity.instance_id,
            epoch=identity.epoch,
            boot_id=identity.boot_id,
            report_margin_ms=int((settings.limits.report_margin_seconds + settings.agent.grace_seconds) * 1000),
        )
        retention_ms = int(settings.limits.history_days * 86_400_000)
        journal = Journal(self._home / "journal", fsync=settings.agent.fsync)
        self.reporter = Reporter(self.redis, self.spool, self.link, claimant, retention_ms=retention_ms, keys=self.keys)
        self.reconciler = Reconciler(
            redis=self.redis,
            claimant=claimant,
            journal=journal,
            launcher=self.launcher,
            spool=self.spool,
            reporter=self.reporter,
            in_hand=self.in_hand,
            slots=self.slots,
            live_output=self._live_output,
            has_message=self.intake.has_message,
            home_epochs=frozenset(earlier_epochs(self._home)),
        )
        executor = Executor(
            redis=self.redis,
            claimant=claimant,
            verifier=Verifier(
                identity.instance_id, self.keys, tolerance_ms=int(settings.agent.clock_tolerance_seconds * 1000)
            ),
            policy=PolicyGuard(self._policy, own_user_name()),
            journal=journal,
            launcher=self.launcher,
            spool=self.spool,
            reporter=self.reporter,
            in_hand=self.in_hand,
            link=self.link,
            settings=settings.agent,
            facts=self._facts,
            live_output=self._live_output,
            settle_known=self.reconciler.settle_known,
            tells=script_variables(settings, identity.agent_version),
            inherited=own_environment(),
        )
        self.boot_start = BootStart(
            redis=self.redis,
            claimant=claimant,
            executor=executor,
            in_hand=self.in_hand,
            slots=self.slots,
        )
        register(self.queue.app, executor, partial(self.intake.strategy, claim_ahead=executor.claim_ahead))

    def _wire_lane(self, on_beat: Callable[[Beat], None]) -> None:
        agent = self.settings.agent
        self.heartbeat = Heartbeat(
            redis=self.redis,
            identity=self.identity,
            home=self._home,
            ttl_seconds=agent.heartbeat_ttl_seconds,
            slots=agent.slots,
            facts=self._facts,
            load=self._load,
            has_identity=bool(self.keys),
            inventory=Inventory(self.settings.redis_url),
        )
        self.self_watch = SelfWatch(
            memory_limit_bytes=agent.memory_limit_bytes, cpu_limit_percent=agent.cpu_limit_percent
        )
        self.queue_watch = QueueWatch(max(2 * agent.reconcile_seconds, _LEAST_PATIENCE_SECONDS))
        self.interval_seconds = min(agent.heartbeat_seconds, agent.reconcile_seconds)
        self.lane = Lane(
            redis=self.redis,
            instance_id=self.identity.instance_id,
            heartbeat=self.heartbeat,
            reconciler=self.reconciler,
            in_hand=self.in_hand,
            link=self.link,
            interval_seconds=self.interval_seconds,
            on_beat=on_beat,
            on_turn=self.notifier.alive,
        )

    def _live_output(self, execution_id: str) -> LiveOutput:
        return LiveOutput(
            self.redis,
            self.identity.instance_id,
            execution_id,
            most_bytes=self.settings.agent.live_output_bytes,
        )

    def _free_bytes(self) -> int:
        """Free space for the spool; 0 on a disk that is not there: the agent tells so as it looks after the spool."""
        try:
            return self.spool.free_bytes()
        except OSError:
            return 0

    def _load(self) -> Mapping[str, Argument]:
        return {
            "running_count": self.in_hand.running_count,
            "waiting_count": self.slots.waiting_count,
            "unreported_count": self.reporter.waiting_count,
            "disk_free_bytes": self._free_bytes(),
            "key_ids": self.keys.key_ids,
            **self.upgrader.fields,
            **self._packages.fields(),
            "agent_memory_bytes": self.self_watch.memory_bytes,
            "agent_cpu_percent": round(self.self_watch.cpu_percent),
        }
