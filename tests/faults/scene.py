"""One run of the product under faults: what was asked for, and the evidence of what came of it."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from faults.checker import Evidence, Planned, Request, Traces, Turns, Violation, check
from faults.leftovers import keys_left, messages_left, processes_left, spool_entries
from faults.scripts import Script, TraceFolder

from cloud_assistant.broker_config import ids, keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.dispatch import Dispatcher
from cloud_assistant.broker_config.errors import RedisRefused, RedisUnreachable
from cloud_assistant.broker_config.functions.executions import request_stop_command
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.functions.instances import register_instance
from cloud_assistant.broker_config.messages import WorkOrder
from cloud_assistant.broker_config.records import Command, Invocation, Pacing, ScriptType
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.results import ExecutionRow, read_row
from cloud_assistant.broker_config.security.result_signing import is_signed_result, signature_of, signing_key_id
from cloud_assistant.broker_config.security.signing import MasterKeys, new_master_keys
from cloud_assistant.broker_config.states import OUTCOMES, is_final
from cloud_assistant.broker_config.task_message import fill, template
from cloud_assistant.broker_config.timed.firing_rows import Firing, FiringStatus, latest_firings
from harness.eventually import eventually

#: Violations named when a test fails.
_SHOWN_COUNT = 10
#: A due time is given this long before its row is missed.
_BEAT_MAY_TAKE_MS = 3_000
#: More firings than a run can have.
_FIRINGS_COUNT = 100_000
#: Rows that are read in one round trip.
_ROWS_COUNT = 200
REDIS_TROUBLE = (RedisUnreachable, RedisRefused)


@dataclass
class TimedAsked:
    """A timed invocation that somebody asked for: due at each multiple of its period between two moments."""

    invoke_id: str
    script: Script
    instance_ids: list[str]
    period_ms: int
    from_ms: int
    #: 0 while it goes on.
    until_ms: int = 0
    #: 0 for all.
    at_once_count: int = 0

    def planned(self, now_ms: int) -> Planned:
        """The due times that lie behind, but for the last seconds, in which a beat may still be at work."""
        until_ms = min(self.until_ms or now_ms, now_ms - _BEAT_MAY_TAKE_MS)
        first = self.from_ms // self.period_ms + 1
        return Planned(
            invoke_id=self.invoke_id, due_ms=[n * self.period_ms for n in range(first, until_ms // self.period_ms + 1)]
        )

    def requests(self, firings: Sequence[Firing]) -> Iterator[Request]:
        """The executions that its firings have asked for; each must exist where the firing says that all do."""
        targets = {
            one.due_ms: [name for name in one.instances or self.instance_ids if name not in one.overlap]
            for one in firings
            if one.status != FiringStatus.SKIPPED
        }
        latest_ms = {name: due_ms for due_ms in sorted(targets) for name in targets[due_ms]}
        for one in firings:
            for name in targets.get(one.due_ms, []):
                yield Request(
                    execution_id=ids.execution_id(self.invoke_id, one.due_ms, name),
                    exit_code=self.script.exit_code,
                    # Whoever is not named as left out has one, be it refused or still waiting.
                    is_accepted=one.status == FiringStatus.FIRED and not one.left_out_count,
                    # Stopping a timed invocation stops the latest execution of each instance.
                    is_stop_asked=bool(self.until_ms) and one.due_ms == latest_ms[name],
                )


class Scene:
    """Asks as a producer does, remembers what it asked, and collects the evidence."""

    def __init__(self, folder: Path, redis_url: str, homes: Path, master: MasterKeys | None = None) -> None:
        """Ask on this server; with master keys every request is signed, and every result is to be."""
        self.redis = Redis(redis_url, name="faults", timeout_seconds=5.0)
        self.dispatcher = Dispatcher(self.redis, master, queue_count=10_000)
        self._master = master
        self._forger = Dispatcher(self.redis, new_master_keys(), queue_count=10_000)
        self.traces = TraceFolder(folder)
        self.requests: dict[str, Request] = {}
        self.timed: list[TimedAsked] = []
        #: How many at once, by invocation.
        self.paced: dict[str, int] = {}
        self.broken_on_purpose: set[str] = set()
        #: Whether the instances have this machine's time.
        self.clocks_agree = True
        self._homes = homes

    def close(self) -> None:
        self.redis.close()

    # Asking

    def register(self, *instance_ids: str) -> None:
        """Make instances known before their agents have come."""
        for one in instance_ids:
            register_instance(self.redis, one, {"name": one}, now_ms=now_ms(), must_be_new=False)

    def ask(self, script: Script, instance_id: str = "i-one", *, deliver_within_seconds: int = 60) -> str:
        """Ask for one execution and return its id.

        Raises:
            RedisUnreachable, RedisRefused: Redis did not take it, or did and could not say so; it is remembered.
        """
        return self.ask_many(script, [instance_id], deliver_within_seconds=deliver_within_seconds)[0]

    def ask_until_taken(self, script: Script, instance_id: str = "i-one", *, within_seconds: float = 15) -> str:
        """Ask again and again, each time anew, until Redis has confirmed one; return its id."""

        def taken() -> str:
            try:
                return self.ask(script, instance_id)
            except REDIS_TROUBLE as exc:
                raise AssertionError(str(exc)) from exc

        return eventually(taken, within_seconds, "Redis takes a request", every_seconds=0.1)

    def ask_many(
        self, script: Script, instance_ids: Sequence[str], *, deliver_within_seconds: int = 60, at_once_count: int = 0
    ) -> list[str]:
        """Ask for one execution on each instance, as one invocation; on so many at once, 0: on all."""
        invoke_id = ids.new_id("t")
        pacing = Pacing(at_once_count=at_once_count) if at_once_count else None
        invocation, order = self._invocation(invoke_id, script, len(instance_ids), deliver_within_seconds, pacing)
        if pacing:
            self.paced[invoke_id] = at_once_count
        names = [ids.execution_id(invoke_id, 0, one) for one in instance_ids]
        # Remembered first: an error of the call does not mean that nothing has happened.
        for name in names:
            self._remember(name, script, is_accepted=False)
        self.dispatcher.create(invocation, order, instance_ids)
        for name in names:
            self._remember(name, script, is_accepted=True)
        return names

    def forge(self, script: Script, instance_id: str) -> str:
        """Write one execution as somebody does who has Redis and no key; it is to be refused.

        Raises:
            RedisUnreachable, RedisRefused: Redis did not take it, or did and could not say so.
        """
        invoke_id = ids.new_id("t")
        name = ids.execution_id(invoke_id, 0, instance_id)
        self.requests[name] = Request(execution_id=name, is_accepted=False, is_forged=True)
        invocation, order = self._invocation(invoke_id, script, 1, 60)
        self._forger.create(invocation, order, [instance_id])
        return name

    def stop(self, execution_id: str) -> None:
        """Ask for the end of one execution."""
        asked = self.requests[execution_id]
        self.requests[execution_id] = _with_stop(asked)
        command = request_stop_command(
            _instance_of(execution_id),
            execution_id,
            confirm_ms=60_000,
        )
        run(self.redis, command)

    def push_again(self, execution_id: str, count: int = 1) -> None:
        """Put the message of an execution into its queue once more."""
        message = fill(template("", "faults"), execution_id)
        self.redis.call("LPUSH", keys.queue(_instance_of(execution_id)), *[message] * count)

    def _remember(self, execution_id: str, script: Script, *, is_accepted: bool) -> None:
        self.requests[execution_id] = Request(
            execution_id=execution_id,
            exit_code=script.exit_code,
            is_accepted=is_accepted,
            is_to_time_out=script.is_to_time_out,
        )

    def _invocation(
        self,
        invoke_id: str,
        script: Script,
        target_count: int,
        deliver_within_seconds: int,
        pacing: Pacing | None = None,
    ) -> tuple[Invocation, WorkOrder]:
        content = self.traces.text(script, takes_turns=pacing is not None).encode()
        command = Command(
            command_id=ids.new_id("c"),
            name=script.name,
            type=ScriptType.SHELL,
            content=content,
            created_ms=now_ms(),
            kept=False,
        )
        invocation = Invocation(
            invoke_id=invoke_id,
            command=command,
            created_ms=now_ms(),
            target_count=target_count,
            done_channel=keys.done_channel(ids.new_token()),
            payload_token=ids.new_token(),
            timeout_seconds=script.timeout_seconds,
            deliver_within_seconds=deliver_within_seconds,
            pacing=pacing,
        )
        order = WorkOrder(
            command_id=command.command_id,
            type=ScriptType.SHELL,
            content=content,
            timeout_seconds=script.timeout_seconds,
        )
        return invocation, order

    # Looking

    def row(self, execution_id: str) -> ExecutionRow | None:
        """The row as it stands.

        Raises:
            RedisUnreachable, RedisRefused: Redis does not answer.
        """
        found = self.redis.call("HGETALL", keys.execution(_instance_of(execution_id), execution_id))
        return read_row(execution_id, found)

    def wait_for_state(self, execution_id: str, state: str, within_seconds: float = 20) -> ExecutionRow:
        """Wait until a row is in this state; Redis may be away meanwhile."""

        def reached() -> ExecutionRow | None:
            row = self._row_or_failure(execution_id)
            assert row is not None, "there is no row"
            assert row.state == state, f"it is {row.state} {row.outcome.error_code} {row.outcome.error_info}"
            return row

        return eventually(reached, within_seconds, f"{execution_id} is {state}")

    def wait(self, execution_id: str, within_seconds: float = 25) -> ExecutionRow:
        """Wait for the end of one execution; Redis may be away meanwhile."""

        def ended() -> ExecutionRow | None:
            row = self._row_or_failure(execution_id)
            assert row is not None, "there is no row"
            assert is_final(row.state), f"it is {row.state}"
            return row

        try:
            return eventually(ended, within_seconds, f"{execution_id} ends")
        except AssertionError as exc:
            raise AssertionError(f"{exc}\n{self.shown_violations()}") from None

    def wait_for_start(self, execution_id: str, within_seconds: float = 15) -> Traces:
        """Wait until the script has left its first trace."""

        def begun() -> Traces | None:
            found = self.traces.of(execution_id)
            return found if found.start_count and found.written else None

        return eventually(begun, within_seconds, f"{execution_id} starts")

    def settle(self, within_seconds: float = 25) -> None:
        """Wait until every row is final and nothing is left; what does not come is for the checker to name."""
        for name, request in self.requests.items():
            if request.is_accepted:
                self.wait(name, within_seconds)

        def is_clean() -> bool:
            shown = self.shown_violations()
            assert not shown, shown
            return True

        eventually(is_clean, within_seconds, "every line of the checker holds", every_seconds=0.1)

    def shown_violations(self) -> str:
        """What does not hold now, for people."""
        try:
            found = self.violations()
        except REDIS_TROUBLE as exc:
            return f"the checker cannot look: {exc}"
        return "\n".join(f"VIOLATED: {one.line}: {one.what}" for one in found[:_SHOWN_COUNT])

    def _row_or_failure(self, execution_id: str) -> ExecutionRow | None:
        try:
            return self.row(execution_id)
        except REDIS_TROUBLE as exc:
            raise AssertionError(str(exc)) from exc

    # Evidence

    def evidence(self) -> Evidence:
        """Everything that the checker looks at, as it is now."""
        now = now_ms()
        firings = {one.invoke_id: latest_firings(self.redis, one.invoke_id, 0, _FIRINGS_COUNT) for one in self.timed}
        requests = [
            *self.requests.values(),
            *(request for one in self.timed for request in one.requests(firings[one.invoke_id])),
        ]
        wanted = [request.execution_id for request in requests]
        instances = sorted({_instance_of(one) for one in wanted})
        rows, unsigned = self._read_rows(wanted)
        return Evidence(
            requests=requests,
            rows=rows,
            traces=self._traces(),
            now_ms=now,
            planned=[one.planned(now) for one in self.timed],
            firings=firings,
            turns=[
                Turns(at_once_count=count, lines=self.traces.turns(invoke_id))
                for invoke_id, count in self.paced.items()
            ]
            + [turns for one in self.timed if one.at_once_count for turns in self._turns_of_firings(one)],
            broken_on_purpose=frozenset(self.broken_on_purpose),
            unsigned=unsigned,
            processes=processes_left(wanted),
            spool_entries=spool_entries(self._homes),
            keys=keys_left(self.redis, [one.invoke_id for one in self.timed]),
            messages=messages_left(self.redis, instances),
        )

    def _turns_of_firings(self, asked: TimedAsked) -> list[Turns]:
        """Each firing has lines of its own."""
        found: dict[str, list[tuple[str, str]]] = {}
        for word, execution in self.traces.turns(asked.invoke_id):
            found.setdefault(execution.partition("@")[0], []).append((word, execution))
        return [Turns(at_once_count=asked.at_once_count, lines=lines) for lines in found.values()]

    def _traces(self) -> dict[str, Traces]:
        found = self.traces.all()
        if self.clocks_agree:
            return found
        # When a script was at work cannot be compared with when its agent says that it ended.
        return {one: replace(traces, last_ms=0) for one, traces in found.items()}

    def check_and_forget(self, execution_ids: Collection[str]) -> list[Violation]:
        """Check some executions that should be over, and forget those that are, with their traces.

        What is not over yet stays, and is checked again another time.
        """
        requests = [self.requests[one] for one in sorted(execution_ids) if one in self.requests]
        rows, unsigned = self._read_rows([one.execution_id for one in requests])
        over = [one for one, row in rows.items() if is_final(row.state)]
        evidence = Evidence(
            requests=requests,
            rows=rows,
            traces={one: found for one in over if (found := self.traces.of(one)).start_count},
            now_ms=now_ms(),
            unsigned=unsigned,
            processes=processes_left(over),
        )
        # A request that Redis did not confirm may have no row.
        for one in (*over, *(one.execution_id for one in requests if one.execution_id not in rows)):
            del self.requests[one]
            self.traces.remove(one)
        return check(evidence)

    def _read_rows(self, wanted: Sequence[str]) -> tuple[dict[str, ExecutionRow], list[str]]:
        """Rows by execution, and those among them that lack their signature."""
        found: dict[str, ExecutionRow] = {}
        unsigned: list[str] = []
        for first in range(0, len(wanted), _ROWS_COUNT):
            some = wanted[first : first + _ROWS_COUNT]
            replies = self.redis.pipeline_or_raise(
                [("HGETALL", keys.execution(_instance_of(one), one)) for one in some]
            )
            for one, reply in zip(some, replies, strict=True):
                row = read_row(one, reply)
                if row is None:
                    continue
                found[one] = row
                if not self._is_signed(one, reply):
                    unsigned.append(one)
        return found, unsigned

    def _is_signed(self, execution_id: str, reply: Sequence[bytes]) -> bool:
        row = dict(zip(reply[::2], reply[1::2], strict=True))
        if self._master is None or row.get(b"state", b"").decode() not in OUTCOMES:
            return True
        made = signature_of(row)
        if not made:
            return False
        key = self._master.instance_key(_instance_of(execution_id), signing_key_id(made))
        return is_signed_result(key, execution_id, row)

    def violations(self) -> list[Violation]:
        """What does not hold now; while scripts run, what they leave behind counts."""
        return check(self.evidence())


def _instance_of(execution_id: str) -> str:
    parts = ids.split_execution_id(execution_id)
    assert parts is not None, f"{execution_id} is an execution id"
    return parts[2]


def _with_stop(request: Request) -> Request:
    return Request(
        execution_id=request.execution_id,
        exit_code=request.exit_code,
        is_accepted=request.is_accepted,
        is_stop_asked=True,
        is_to_time_out=request.is_to_time_out,
    )
