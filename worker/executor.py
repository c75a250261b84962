"""Take one execution from its claim to its result.

The order is the promise: claim in the ledger, verify, write the journal to disk, start, report. Whatever breaks off in
between is found again by the reconciler, and the journal says whether the script may have started.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..broker_config import keys
from ..broker_config.clock import now_ms
from ..broker_config.error_codes import ErrorCode
from ..broker_config.errors import RedisUnreachable
from ..broker_config.functions.executions import Claimed, NotClaimed, claim_reply
from ..broker_config.functions.function_library import run_all
from ..broker_config.ids import split_execution_id
from ..broker_config.messages import Envelope, FileOrder, WorkOrder
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Begun, Redis
from ..broker_config.redis.connection import Command
from ..broker_config.results import Outcome
from ..broker_config.settings_table import AgentSettings
from ..broker_config.states import ExecutionState
from .boot.boot_memory import BOOT_REMEMBERED_MS, boot_name
from .built_in_parameters import with_built_ins
from .claimant import Claimant
from .execution.launching import Launching
from .execution.not_started import NotStarted, remedy_for
from .execution.running_script import ScriptOutOfReach
from .execution.this_system import prepare
from .file_delivery import write_file
from .in_hand import InHand
from .journal import Journal
from .link_state import REDIS_TROUBLE, LinkState
from .live_output import LiveOutput
from .outcomes import checked, refused, stopped_before_start
from .policy.policy_file import PolicyGuard
from .reporter import Reporter, Settle
from .script_following import follow, note_out_of_reach, settling
from .script_orders import script_of
from .spool import Spool
from .trust.refusal_report import REPORTED, report
from .trust.verification import Verifier

_log = logger("executor")


@dataclass
class Facts:
    """What the control side says of this instance, refreshed by each heartbeat."""

    name: str = ""
    account_id: str = ""
    #: Why this instance takes no work; ``""`` when it does.
    quarantine: str = ""


#: How it ended, and whom to tell when that is safe, where there was a script.
Performed = tuple[Outcome] | tuple[Outcome, Settle]


@dataclass(frozen=True, kw_only=True)
class Executor:
    """Runs executions of one instance; as many threads may call it as there are slots."""

    redis: Redis
    claimant: Claimant
    verifier: Verifier
    policy: PolicyGuard
    journal: Journal
    launcher: Launching
    spool: Spool
    reporter: Reporter
    in_hand: InHand
    link: LinkState
    settings: AgentSettings
    facts: Facts
    live_output: Callable[[str], LiveOutput]
    #: Called for an execution that was started here, or whose result waits: it must be settled, never started.
    settle_known: Callable[[str], None]
    #: Variables that every script gets.
    tells: Mapping[str, str] = field(default_factory=dict)
    #: The agent's own environment: programs of Windows need parts of it.
    inherited: Mapping[str, str] = field(default_factory=dict)
    #: Claims that were sent ahead, by execution; whoever takes one out has that execution in hand.
    _ahead: dict[str, Begun] = field(default_factory=dict)

    def claim_ahead(self, execution_id: str, payload_token: str) -> None:
        """Send the claim of an execution that ``run`` gets next in a thread of its own; never waits.

        Redis works on it while that thread is woken. What cannot be sent at once is left to ``run``.
        """
        if not self._is_ours(execution_id) or not self.link.is_up or self._is_settled_here(execution_id):
            return
        if not self.in_hand.enter(execution_id):
            return
        begun = None
        try:
            begun = self.redis.begin(self._claim_commands(execution_id, payload_token))
        except RedisUnreachable as exc:
            # If the claim arrived nevertheless, ``run`` finds it made.
            _log.debug("claim could not be sent ahead execution=%s: %s", execution_id, exc)
        if begun is None:
            self.in_hand.leave(execution_id)
        else:
            self._ahead[execution_id] = begun

    def run(self, execution_id: str, payload_token: str) -> Outcome | NotClaimed | None:
        """Run one execution to its end.

        Returns its outcome, ``NotClaimed`` when the ledger did not give it to us, ``None`` when there was nothing to
        do, Redis was not there to ask, or nobody can hear how the script ends: the ledger then still says so, and the
        reconciler comes back to it.
        """
        begun = self._ahead.pop(execution_id, None)
        if begun is None:
            if not self._is_ours(execution_id):
                _log.warning("dropped a message that is not for this instance execution=%r", execution_id[:200])
                return None
            if not self.in_hand.enter(execution_id):
                return None
        try:
            return self._run(execution_id, payload_token, begun)
        except REDIS_TROUBLE as exc:
            self.link.note_failure(exc)
            return None
        except ScriptOutOfReach as exc:
            note_out_of_reach(execution_id, exc)
            return None
        finally:
            self.in_hand.leave(execution_id)

    def _is_ours(self, execution_id: str) -> bool:
        parts = split_execution_id(execution_id)
        return parts is not None and parts[2] == self.claimant.instance_id

    def _is_settled_here(self, execution_id: str) -> bool:
        return execution_id in self.reporter or self.journal.knows(execution_id)

    def _run(self, execution_id: str, payload_token: str, begun: Begun | None) -> Outcome | NotClaimed | None:
        if begun is None and self._is_settled_here(execution_id):
            self.settle_known(execution_id)
            return None
        claim, payload = self._claim(execution_id, payload_token, begun)
        if isinstance(claim, NotClaimed):
            return claim
        return self._end(execution_id, lambda: self._perform(execution_id, claim, payload))

    def run_boot(self, execution_id: str, claim: Claimed, payload: bytes) -> None:
        """Run an execution that was claimed because the machine has started, to its end; the caller has it in hand."""
        try:
            self._end(execution_id, lambda: self._perform_boot(execution_id, claim, payload))
        except ScriptOutOfReach as exc:
            note_out_of_reach(execution_id, exc)
        finally:
            self.in_hand.leave(execution_id)

    def _end(self, execution_id: str, perform: Callable[[], Performed]) -> Outcome:
        """Perform what was claimed and deliver how it ended."""
        try:
            outcome, *settle = perform()
        except NotStarted as exc:
            outcome, settle = refused(exc.error_code, exc.error_info), []
        self.reporter.deliver(execution_id, outcome, *settle)
        if outcome.error_code in REPORTED:
            instance_id = self.claimant.instance_id
            report(self.redis, instance_id, outcome.error_code, outcome.error_info, execution_id=execution_id)
        _log.debug("execution ended execution=%s state=%s %s", execution_id, outcome.state, outcome.error_code)
        return outcome

    def _claim_commands(self, execution_id: str, payload_token: str) -> list[Command]:
        commands = [self.claimant.command(execution_id)]
        if payload_token:
            commands.append(("GET", keys.payload(payload_token)))
        return commands

    def _claim(self, execution_id: str, payload_token: str, begun: Begun | None) -> tuple[Claimed | NotClaimed, bytes]:
        commands = begun.commands if begun else self._claim_commands(execution_id, payload_token)
        replies = run_all(self.redis, commands, begun)
        self.link.note_success()
        claim = claim_reply(replies[0])
        # Not by our own token: a copy of the message with another one may have sent the claim.
        payload: bytes = (replies[1] if len(replies) > 1 else None) or b""
        if isinstance(claim, NotClaimed) and claim.state == ExecutionState.RUNNING:
            lost = self.claimant.lost_claim(self.redis, execution_id)
            if lost is not None:
                _log.info("took up a claim whose answer was lost execution=%s", execution_id)
                claim = lost
        if isinstance(claim, Claimed):
            payload = claim.payload or payload
        return claim, payload

    def _perform(self, execution_id: str, claim: Claimed, payload: bytes) -> Performed:
        """Verify and run what was claimed.

        Raises:
            NotStarted: it was refused, or cannot run here.
        """
        self._refuse_in_quarantine()
        envelope, remember_until_ms = self.verifier.envelope(
            execution_id, claim, forgotten_until_ms=self.journal.forgotten_until_ms
        )
        return self._carry_out(execution_id, claim, envelope, payload or self._fetch(envelope), remember_until_ms)

    def _perform_boot(self, execution_id: str, claim: Claimed, payload: bytes) -> Performed:
        """Verify and run what is owed to the start of the machine.

        Raises:
            NotStarted: it was refused, or cannot run here.
        """
        self._refuse_in_quarantine()
        envelope = self.verifier.boot_envelope(execution_id, claim)
        remember_until_ms = now_ms() + BOOT_REMEMBERED_MS
        # Such an envelope never expires: that it ran at this boot, or at all, must not be known to Redis alone.
        if not self._record_start(boot_name(envelope, self.claimant.boot_id), remember_until_ms):
            raise NotStarted(ErrorCode.ENVELOPE_EXPIRED, "refused: this was run at a start of the machine before")
        if not payload:
            raise _without_order()
        return self._carry_out(execution_id, claim, envelope, payload, remember_until_ms)

    def _refuse_in_quarantine(self) -> None:
        if self.facts.quarantine:
            raise NotStarted(ErrorCode.INSTANCE_QUARANTINED, f"this instance is in quarantine: {self.facts.quarantine}")

    def _carry_out(
        self, execution_id: str, claim: Claimed, envelope: Envelope, payload: bytes, remember_until_ms: int
    ) -> Performed:
        order = self.verifier.order(envelope, payload)
        match order:
            case WorkOrder():
                secrets = self.verifier.secrets(claim, order)
                return self._run_script(execution_id, order, envelope, secrets, remember_until_ms)
            case FileOrder():
                return (self._deliver_file(execution_id, order, remember_until_ms),)

    def _fetch(self, envelope: Envelope) -> bytes:
        payload = self.redis.call("GET", keys.payload(envelope.payload_token)) if envelope.payload_token else None
        if payload is None:
            raise _without_order()
        found: bytes = payload
        return found

    def _deliver_file(self, execution_id: str, order: FileOrder, remember_until_ms: int) -> Outcome:
        self.policy.check_file(order)
        if not self._record_start(execution_id, remember_until_ms):
            raise NotStarted(ErrorCode.EXECUTION_INTERRUPTED, "this file was being written before on this instance")
        return write_file(order, lambda place: self.policy.check_file(order, place))

    def _run_script(
        self,
        execution_id: str,
        order: WorkOrder,
        envelope: Envelope,
        secrets: Mapping[str, str],
        remember_until_ms: int,
    ) -> Performed:
        if order.built_ins:
            order = with_built_ins(order, self._built_ins(order, envelope))
        # In the form in which it would run: what was put into the text here is part of it.
        self.policy.check_script(order)
        with _journal_taking_it():
            is_new = order.dry_run or self.journal.begin_start(execution_id, remember_until_ms)
        if not is_new:
            raise NotStarted(ErrorCode.EXECUTION_INTERRUPTED, "this execution was started before on this instance")
        # While the journal is on its way to the disk; its supervisor starts nothing before it is there.
        script = script_of(order, envelope, execution_id, self.claimant.instance_id, self.settings, secrets, self.tells)
        plan = prepare(script, self.spool.folder_name(execution_id), self.inherited)
        if order.dry_run:
            return (checked(plan.notes),)
        if self.in_hand.stop_wanted(execution_id):
            return (stopped_before_start(),)
        with _journal_taking_it():
            plan.journal_fd = self.journal.to_be_forced()
        running = self.launcher.launch(plan)
        self.in_hand.attach(execution_id, running)
        return follow(running, self.live_output(execution_id)), settling(running)

    def _record_start(self, name: str, remember_until_ms: int) -> bool:
        with _journal_taking_it():
            return self.journal.record_start(name, remember_until_ms)

    def _built_ins(self, order: WorkOrder, envelope: Envelope) -> dict[str, str]:
        return {
            "RegionId": order.region_id,
            "AccountId": self.facts.account_id,
            "InstanceId": self.claimant.instance_id,
            # A machine that nobody named goes by its id.
            "InstanceName": self.facts.name or self.claimant.instance_id,
            "InvokeId": envelope.invoke_id,
            "CommandId": order.command_id,
        }


def _without_order() -> NotStarted:
    return NotStarted(ErrorCode.EXECUTION_EXCEPTION, "the work order is no longer in Redis; invoke the command again")


@contextmanager
def _journal_taking_it() -> Iterator[None]:
    """Turn a journal that cannot be written into the reason why nothing is started."""
    try:
        yield
    except OSError as exc:
        raise NotStarted(
            ErrorCode.EXECUTION_EXCEPTION,
            f"the agent's journal of started scripts cannot be written ({exc.strerror}), so nothing is started;"
            f" {remedy_for(exc, 'check the disk of its home')}",
        ) from exc
