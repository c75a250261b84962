"""Compare the ledger with what this agent has in hand, and settle the difference.

The queue's messages are hints and may be lost; control messages too. What holds is the row. Every unfinished row of
this instance is therefore looked at when the agent starts, when Redis comes back, and every now and then:

====================  ==========================  ===================================================================
row                   here                        what is done
====================  ==========================  ===================================================================
Pending               no message, not in hand     a new message is put into the queue
Running, Stopping     in hand                     stopped if a stop was asked for; else nothing
Running, Stopping     result waits in line        nothing: the reporter brings it
Running, Stopping     folder with a start         followed to its end, or its record is read
Running, Stopping     no start, its script lives  followed to its end: the disk was full as it began
Running, our epoch    never started               a new message: the claim's answer was lost, and we hold it
Running, other epoch  never started               Error, ExecutionInterrupted: its agent ended before the start
Running, other epoch  no record reaches so far    Error, ExecutionInterrupted: nobody can say whether it ran
Stopping              never started               Terminated
====================  ==========================  ===================================================================
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from ..broker_config import keys
from ..broker_config.clock import monotonic_seconds
from ..broker_config.files.presence import is_folder
from ..broker_config.ids import is_execution_of
from ..broker_config.programs.program_log import logger
from ..broker_config.redis.client import Redis
from ..broker_config.reported_values import text, whole_number
from ..broker_config.results import Outcome
from ..broker_config.states import ExecutionState as S
from ..broker_config.task_message import fill, template
from .claimant import Claimant
from .execution.launching import Launching
from .execution.running_script import RunningScript, ScriptOutOfReach
from .in_hand import InHand
from .journal import Journal
from .live_output import LiveOutput
from .outcomes import interrupted, stopped_before_start
from .reporter import Reporter
from .script_following import follow, note_out_of_reach, settling
from .slots import Slots
from .spool import Spool

#: Rows looked at in one go; the others wait for the next.
_BATCH_COUNT = 500
#: A message is missed only when its row was without one for this long: it may just be on its way.
MISSED_AFTER_SECONDS = 2.0
#: A folder that is not in hand may be about to be: it counts as forgotten once nothing was done there for this long.
FORGOTTEN_AFTER_SECONDS = 60.0

_log = logger("reconciler")


@dataclass(frozen=True)
class _Row:
    execution_id: str
    state: str
    epoch: str
    boot_id: str
    claimed_ms: int


@dataclass(kw_only=True)
class Reconciler:
    """One per agent; its methods are called from the lane's thread and, for one execution, from the slots."""

    redis: Redis
    claimant: Claimant
    journal: Journal
    launcher: Launching
    spool: Spool
    reporter: Reporter
    in_hand: InHand
    slots: Slots
    live_output: Callable[[str], LiveOutput]
    #: Whether a message of this execution waits for a slot in this process.
    has_message: Callable[[str], bool]
    #: The runs of this home: of them alone the journal knows what they have started.
    home_epochs: Collection[str]
    _missed_since: dict[str, float] = field(default_factory=dict)

    def settle_folders(self) -> None:
        """Find again what an earlier agent of this home left: results in line, scripts to their slots."""
        for execution_id in self.spool.executions():
            self._settle_folder(execution_id)

    def settle_forgotten(self) -> None:
        """Settle folders that nobody has in hand: their supervisors were killed just as they were to clear them away.

        Redis has those results, and keeps them; what is delivered again is refused, and the folder goes.
        """
        self.spool.remove_abandoned()
        for execution_id in self.spool.executions(untouched_seconds=FORGOTTEN_AFTER_SECONDS):
            if execution_id in self.in_hand or execution_id in self.reporter:
                continue
            with suppress(OSError):  # what the disk does not give now is looked at again
                if not self.launcher.is_supervised(self.spool.folder(execution_id)):
                    _log.info("clears away what a killed supervisor has left execution=%s", execution_id)
                    self._settle_folder(execution_id)

    def _settle_folder(self, execution_id: str) -> None:
        try:
            is_saved = self.spool.load(execution_id) is not None
        except OSError:
            # There is something, and the reporter says what is wrong with it, and tries again.
            is_saved = True
        if is_saved:
            self.reporter.wait_in_line(execution_id)
        elif self.in_hand.enter(execution_id) and not self._take_up_in_slot(execution_id):
            self._report_in_slot(execution_id, _never_ran())

    def look(self, *, at_start: bool = False) -> bool:
        """Look at every unfinished row once; true when something should be looked at again soon.

        ``at_start`` says that nothing was taken from the queue yet, so that no message can be on its way.

        Raises:
            RedisUnreachable, RedisRefused: Redis does not answer now.
        """
        instance_id = self.claimant.instance_id
        found = self.redis.call("ZRANGE", keys.open_executions(instance_id), 0, _BATCH_COUNT - 1)
        rows = self._rows([text(one) for one in found])
        missed = {row.execution_id for row in rows if self._look_at(row)}
        now = monotonic_seconds()
        self._missed_since = {name: self._missed_since.get(name, now) for name in missed}
        patience_seconds = 0.0 if at_start else MISSED_AFTER_SECONDS
        overdue = [name for name, since in self._missed_since.items() if now - since >= patience_seconds]
        if overdue and self.redis.call("LLEN", keys.queue(instance_id)) == 0:
            self._send_hints(overdue)
        return bool(self._missed_since)

    def look_at(self, execution_id: str) -> None:
        """Look at one row: a control message named it and it is not in hand.

        Raises:
            RedisUnreachable, RedisRefused: Redis does not answer now.
        """
        for row in self._rows([execution_id]):
            self._look_at(row)

    def settle_known(self, execution_id: str) -> None:
        """Settle an execution that ran here and that a message named again; the caller has it in hand.

        Raises:
            RedisUnreachable, RedisRefused: Redis does not answer now.
        """
        if execution_id in self.reporter or self.reporter.deliver_again(execution_id):
            return
        running = self._find(execution_id)
        if running is not None:
            self._follow(execution_id, running)
            return
        for row in self._rows([execution_id]):
            if row.state in (S.PENDING, S.RUNNING, S.STOPPING):
                running = self._find_unclaimed(execution_id)
                if running is not None:
                    self._follow(execution_id, running)
                    return
                # Redis went back in time, to before it took the result that we removed then.
                self.reporter.deliver(
                    execution_id,
                    interrupted("it ran here before and its result was delivered, but Redis has lost that"),
                )

    def _rows(self, execution_ids: Sequence[str]) -> list[_Row]:
        """Read the rows of those that are executions of this instance.

        Whoever can write to its branch may have put any name there, and a name becomes that of a folder, which is
        written to and removed.
        """
        instance_id = self.claimant.instance_id
        own = [one for one in execution_ids if is_execution_of(one, instance_id)]
        if not own:
            return []
        replies = self.redis.pipeline_or_raise(
            [("HMGET", keys.execution(instance_id, one), "state", "epoch", "boot_id", "claimed_ms") for one in own]
        )
        return [
            _Row(one, text(state), text(epoch), text(boot_id), whole_number(claimed_ms))
            for one, (state, epoch, boot_id, claimed_ms) in zip(own, replies, strict=True)
        ]

    def _look_at(self, row: _Row) -> bool:
        """Settle one row where that can be done; true when it misses a message."""
        if row.state == S.STOPPING and self.in_hand.stop(row.execution_id):
            return False
        if row.execution_id in self.in_hand or row.execution_id in self.reporter:
            return False
        if row.state == S.PENDING:
            return not self.has_message(row.execution_id)
        if row.state not in (S.RUNNING, S.STOPPING) or not self.in_hand.enter(row.execution_id):
            return False
        return self._settle_row(row.execution_id)

    def _settle_row(self, execution_id: str) -> bool:
        """Settle what was taken in hand for that, and let go of the rest; true when its row misses a message."""
        is_handed_on = is_missed = False
        try:
            # Again, now that nobody else of us can work on it: it may have ended since, and its supervisor be about to
            # clear away a folder that must not be taken for one of a running script.
            [row] = self._rows([execution_id])
            if row.state in (S.RUNNING, S.STOPPING) and execution_id not in self.reporter:
                is_handed_on = self._take_up_in_slot(execution_id) or self._report_verdict(row)
                is_missed = not is_handed_on
        finally:
            if not is_handed_on:
                self.in_hand.leave(execution_id)
        return is_missed and not self.has_message(execution_id)

    def _report_verdict(self, row: _Row) -> bool:
        """Report the end of a claimed execution that has no folder to follow; false when it has not begun yet."""
        outcome = self._verdict(row)
        if outcome is not None:
            self._report_in_slot(row.execution_id, outcome)
        return outcome is not None

    def _verdict(self, row: _Row) -> Outcome | None:
        """The end of a claimed execution of which nothing runs; ``None`` when it is ours and can still begin."""
        if is_folder(self.spool.folder(row.execution_id)):
            return _never_ran()
        if row.state == S.RUNNING and row.epoch == self.claimant.epoch:
            return None
        if self.journal.knows(row.execution_id):
            how = "the machine was restarted" if row.boot_id != self.claimant.boot_id else "the agent was killed"
            return interrupted(f"{how} about when the script was to start; nothing of it runs here")
        if not self._would_know(row):
            return interrupted(
                "it was claimed by a run of the agent to which no record of this home reaches back, so nobody can say"
                " whether it ran; nothing of it runs here"
            )
        return stopped_before_start() if row.state == S.STOPPING else _never_ran()

    def _would_know(self, row: _Row) -> bool:
        """Tell whether the journal would name an execution if it had been started: in this home, and not forgotten.

        What is forgotten had expired before, and what has expired is not claimed any more.
        """
        is_of_home = row.epoch == self.claimant.epoch or row.epoch in self.home_epochs
        return is_of_home and row.claimed_ms > self.journal.forgotten_until_ms

    def _find(self, execution_id: str) -> RunningScript | None:
        folder = self.spool.folder(execution_id)
        return self.launcher.adopt(folder) if is_folder(folder) else None

    def _find_unclaimed(self, execution_id: str) -> RunningScript | None:
        return self.launcher.find_unclaimed(execution_id, self.spool.folder(execution_id))

    def _take_up_in_slot(self, execution_id: str) -> bool:
        """Follow what runs, or ran, in the folder of an execution in hand; false when there is nothing to follow.

        A folder that the disk does not give is let go of for now: nobody can say what is there, and nothing else waits.
        """
        try:
            running = self._find(execution_id) or self._find_unclaimed(execution_id)
        except OSError as exc:
            _log.error("a folder cannot be read and waits execution=%s: %s", execution_id, exc)
            self.in_hand.leave(execution_id)
            return True
        if running is None:
            return False
        self.in_hand.attach(execution_id, running)
        _log.info("took up an execution of an earlier agent execution=%s", execution_id)
        self.slots.submit(lambda: self._follow_and_leave(execution_id, running))
        return True

    def _report_in_slot(self, execution_id: str, outcome: Outcome) -> None:
        # In hand until then: no look in between, while all slots are taken, settles it once more.
        _log.info("settled execution=%s state=%s: %s", execution_id, outcome.state, outcome.error_info)
        self.slots.submit(lambda: self._report_and_leave(execution_id, outcome))

    def _report_and_leave(self, execution_id: str, outcome: Outcome) -> None:
        try:
            self.reporter.deliver(execution_id, outcome)
        finally:
            self.in_hand.leave(execution_id)

    def _follow_and_leave(self, execution_id: str, running: RunningScript) -> None:
        try:
            self._follow(execution_id, running)
        except ScriptOutOfReach as exc:
            note_out_of_reach(execution_id, exc)
        finally:
            self.in_hand.leave(execution_id)

    def _follow(self, execution_id: str, running: RunningScript) -> None:
        self.in_hand.attach(execution_id, running)
        self.reporter.deliver(execution_id, follow(running, self.live_output(execution_id)), settling(running))

    def _send_hints(self, execution_ids: list[str]) -> None:
        message = template("", self.claimant.instance_id)
        hints = [fill(message, one) for one in execution_ids]
        self.redis.call("LPUSH", keys.queue(self.claimant.instance_id), *hints)
        for one in execution_ids:
            del self._missed_since[one]
        _log.info("put back messages that were lost count=%d first=%s", len(execution_ids), execution_ids[0])


def _never_ran() -> Outcome:
    return interrupted("the agent ended before it could start the script, which never ran; invoke it again")
