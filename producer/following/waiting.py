"""Wait for an invocation, or follow it event by event."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from time import sleep

import msgspec

from ...broker_config import keys
from ...broker_config.chunks import chunks
from ...broker_config.clock import monotonic_seconds
from ...broker_config.errors import NotFound, RedisNotTrusted, RedisRefused, RedisUnreachable, WaitTimedOut
from ...broker_config.functions.function_library import run
from ...broker_config.functions.invocations import is_stored
from ...broker_config.functions.reported import read_output_command
from ...broker_config.ids import split_execution_id
from ...broker_config.ledger import (
    InvocationStatus,
    latest_executions,
    load_rows,
    load_targets,
    read_rows,
    row_commands,
    states_of,
)
from ...broker_config.redis.client import Redis, raise_refused
from ...broker_config.reported_values import whole_number
from ...broker_config.results import ExecutionRow, parse_runs
from ...broker_config.settling import settle_as_announced
from ...broker_config.states import ExecutionState, is_final
from ..some_of import some_of
from .announced_rows import AnnouncedRows
from .announcements import Announcement, Announcements, Box
from .recent_invocations import Recent

#: The ledger is looked at this often although nothing was announced: an agent may have died, a message been lost.
_LOOK_SECONDS = 2.0
#: Time between tries while Redis is away.
_RETRY_SECONDS = 0.5
#: After the timeout of a script whose row is gone, its agent may still bring the result for this long.
_LATE_SECONDS = 60.0
#: Rows read in one go when many end at once.
_ROWS_COUNT = 200


class Progress(msgspec.Struct, frozen=True):
    """The state of one target changed."""

    instance_id: str
    state: str


class Output(msgspec.Struct, frozen=True):
    """A piece of live output; ``skipped_bytes`` went by before it unseen (they may be in the final result)."""

    instance_id: str
    offset_bytes: int
    skipped_bytes: int
    data: bytes
    runs: tuple[tuple[int, int], ...]


class Ended(msgspec.Struct, frozen=True):
    """One target is done; this is its result."""

    row: ExecutionRow


Event = Progress | Output | Ended


class Follower:
    """The events of one invocation, from its present state to the end of its last target."""

    def __init__(
        self,
        redis: Redis,
        announcements: Announcements,
        announced_rows: AnnouncedRows,
        recent: Recent,
        *,
        live: bool,
        expected: Box | None = None,
    ) -> None:
        """Begin with what is known; with ``expected`` all that was announced since before the dispatch is at hand."""
        self._redis = redis
        self._announcements = announcements
        self.stored = recent.stored
        self._live = live
        record = self.stored.record
        #: The instances of the invocation in the order given.
        self.targets = recent.targets or load_targets(redis, record.invoke_id)
        # Of what this process has made a moment ago nothing is overdue: the first look reads no row to find out.
        self._is_fresh = bool(recent.targets)
        executions = latest_executions(redis, self.stored, self.targets)
        self._open = {execution: one for one, execution in executions if execution}
        self._shown: dict[str, str] = {}
        #: Where among those that go on the next look reads their rows.
        self._next_row = 0
        #: Since when Redis knows nothing of the invocation; ``None`` while it does.
        self._gone_at: float | None = None
        self._positions: dict[str, str] = {}
        self._expected = expected
        # Only of what this process has dispatched it knows who signs with which key.
        self._announced_rows = announced_rows if recent.targets else None
        #: State and error code of those whose rows were read.
        self._ends: list[tuple[str, str]] = []
        #: Instance, execution and state of those whose rows came with the announcement.
        self._believed: list[tuple[str, str, str]] = []
        #: What was stored of the whole invocation, where every row is in the state that was announced.
        self.settled: InvocationStatus | None = None

    def events(self, timeout_seconds: float | None) -> Iterator[Event]:
        """Yield events until every target has ended.

        Raises:
            WaitTimedOut: the time was up first.
            NotFound: Redis has lost all of it, and no agent has brought a result in time.
            RedisUnreachable: Redis went away and did not come back within the time left.
        """
        deadline = None if timeout_seconds is None else monotonic_seconds() + timeout_seconds
        record = self.stored.record
        listening = self._announcements.listen(
            record.invoke_id, record.done_channel, wants_output=self._live, expected=self._expected
        )
        with listening as box:
            if self._expected is None:
                yield from self._patiently(self._look, deadline)
            else:
                yield from self._begun()
            look_at = monotonic_seconds() + _LOOK_SECONDS
            while self._open:
                now = monotonic_seconds()
                if deadline is not None and now >= deadline:
                    raise WaitTimedOut(
                        f"{len(self._open)} of {record.target_count} targets of {record.invoke_id} have not ended "
                        f"after {timeout_seconds:g} s ({some_of(list(self._open.values()))}); they go on"
                    )
                until = min(look_at, deadline) if deadline is not None else look_at
                heard = self._hear(box, max(0.0, until - now), deadline)
                if heard:
                    yield from self._patiently(partial(self._react, heard), deadline)
                if monotonic_seconds() >= look_at:
                    yield from self._patiently(self._look, deadline)
                    look_at = monotonic_seconds() + _LOOK_SECONDS

    def _begun(self) -> Iterator[Event]:
        """The states in which all targets were dispatched: what has changed since is in the box."""
        pacing = self.stored.record.pacing
        at_once_count = pacing.at_once_count if pacing else len(self._open)
        for place, (execution, instance_id) in enumerate(self._open.items()):
            state = ExecutionState.PENDING if place < at_once_count else ExecutionState.SCHEDULED
            self._shown[execution] = state
            yield Progress(instance_id, state)

    def _hear(self, box: Box, timeout_seconds: float, deadline: float | None) -> list[Announcement]:
        """Collect what was announced, all that is there already; nothing when the time is up or Redis was away."""
        try:
            return self._announcements.next(box, timeout_seconds, _ROWS_COUNT)
        except (RedisUnreachable, RedisRefused) as exc:
            self._wait_for_redis(exc, deadline)
            # Whoever listens anew tells us that we may have missed something.
            return []

    def _patiently(self, step: Callable[[], Iterator[Event]], deadline: float | None) -> Iterator[Event]:
        """Yield what a step finds; when Redis goes away in the middle, it is taken again once Redis is back."""
        while True:
            try:
                yield from step()
                return
            except (RedisUnreachable, RedisRefused) as exc:
                self._wait_for_redis(exc, deadline)

    def _wait_for_redis(self, trouble: RedisUnreachable | RedisRefused, deadline: float | None) -> None:
        """Return when Redis answers again; what will not pass by itself, or not in time, is raised."""
        while True:
            if isinstance(trouble, RedisNotTrusted) or (isinstance(trouble, RedisRefused) and not trouble.is_passing):
                raise trouble
            if deadline is not None and monotonic_seconds() >= deadline:
                raise trouble
            sleep(_RETRY_SECONDS)
            try:
                self._redis.call("PING")
                return
            except (RedisUnreachable, RedisRefused) as exc:
                trouble = exc

    def _react(self, heard: list[Announcement]) -> Iterator[Event]:
        kinds = {one.kind for one in heard}
        if "missed" in kinds:
            yield from self._catch_up()
            return
        if self._live and "output" in kinds:
            for one in heard:
                if one.kind == "output":
                    yield from self._new_output(one.execution_id)
        if "state" in kinds and any(one.kind == "state" and one.execution_id in self._open for one in heard):
            yield from self._look()
        ended = {one.execution_id: one for one in heard if one.kind == "end" and one.execution_id in self._open}
        yield from self._believe(ended)
        unproved = {execution: one.state for execution, one in ended.items() if execution in self._open}
        yield from self._results(list(unproved), unproved)

    def _believe(self, ended: Mapping[str, Announcement]) -> Iterator[Event]:
        """Take over the announced rows that are proved; after the last one the roll-up is stored without waiting."""
        if self._announced_rows is None:
            return
        for execution, announced in ended.items():
            instance_id = self._open.get(execution, "")
            row = self._announced_rows.believed(instance_id, announced)
            if row is not None:
                # Its output was announced before it, and has been shown.
                del self._open[execution]
                self._believed.append((instance_id, execution, row.state))
                yield Ended(row)
        if self._believed and not self._open:
            settling = settle_as_announced(self.stored, self._ends, self._believed)
            if settling is not None and self._redis.send_off(settling[1]):
                self.settled = settling[0]

    def _catch_up(self) -> Iterator[Event]:
        """Make good for announcements that may have been lost: no other may tell of the same output."""
        yield from self._look()
        if self._live:
            for execution in list(self._open):
                yield from self._new_output(execution)

    def _look(self) -> Iterator[Event]:
        """Compare with the ledger: states of all open targets, results of those that ended."""
        pending = [(instance_id, execution) for execution, instance_id in self._open.items()]
        ended, going_on = [], []
        states = states_of(self._redis, pending)
        self._give_up_what_is_gone(is_there=not states or any(state for state, _ in states))
        for (instance_id, execution), (state, _) in zip(pending, states, strict=True):
            if state and is_final(state):
                ended.append(execution)
                continue
            going_on.append(execution)
            if state and self._shown.get(execution) != state:
                self._shown[execution] = state
                yield Progress(instance_id, state)
                if self._live:
                    yield from self._new_output(execution)
        yield from self._results(ended)
        if not self._is_fresh:
            # Overdue rows that no sweeper has settled are shown as what they amount to: the next few at each look.
            first = self._next_row if self._next_row < len(going_on) else 0
            yield from self._results(going_on[first : first + _ROWS_COUNT])
            self._next_row = first + _ROWS_COUNT
        self._is_fresh = False

    def _give_up_what_is_gone(self, *, is_there: bool) -> None:
        """Wait no longer than a result may still come for what neither has a row nor is an invocation any more."""
        record = self.stored.record
        if is_there or self._redis.call("EXISTS", keys.invocation(record.invoke_id)):
            self._gone_at = None
            return
        now = monotonic_seconds()
        self._gone_at = self._gone_at or now
        if now - self._gone_at > record.timeout_seconds + _LATE_SECONDS:
            raise NotFound(
                f"{record.invoke_id} is gone from Redis, which was emptied or has lost its data; how {len(self._open)} "
                f"of {record.target_count} targets ended is not known ({some_of(list(self._open.values()))})",
                code="InvalidInvokeId.NotFound",
            )

    def _results(self, executions: list[str], announced: Mapping[str, str] | None = None) -> Iterator[Event]:
        for chunk in chunks(executions, _ROWS_COUNT):
            wanted = [(self._open[execution], execution) for execution in chunk if execution in self._open]
            for row in self._rows(wanted, announced or {}):
                if row is not None and is_final(row.state):
                    if self._live:
                        yield from self._new_output(row.execution_id)
                    self._open.pop(row.execution_id, None)
                    self._ends.append((row.state, row.outcome.error_code))
                    yield Ended(row)

    def _rows(self, wanted: list[tuple[str, str]], announced: Mapping[str, str]) -> list[ExecutionRow | None]:
        """Read rows; the last ones of an invocation together with storing what the announcements make of the whole."""
        if not announced or len(wanted) < len(self._open):
            return load_rows(self._redis, wanted)
        unread = [*self._believed, *((*one, announced[one[1]]) for one in wanted)]
        settling = settle_as_announced(self.stored, self._ends, unread)
        if settling is None:
            return load_rows(self._redis, wanted)
        status, command = settling
        *replies, answer = self._redis.pipeline([*row_commands(wanted), command])
        raise_refused(replies)
        if is_stored(answer):
            self.settled = status
        return read_rows(self._redis, wanted, replies)

    def _new_output(self, execution: str) -> Iterator[Event]:
        parts = split_execution_id(execution)
        if parts is None or execution not in self._open:
            return
        read = read_output_command(parts[2], execution, after=self._positions.get(execution, ""))
        for entry_id, fields in run(self._redis, read):
            self._positions[execution] = entry_id.decode()
            # The agent's words: what is no number counts as not said.
            said = dict(zip(fields[::2], fields[1::2], strict=True)).get
            yield Output(
                parts[2],
                max(0, whole_number(said(b"offset"))),
                max(0, whole_number(said(b"skipped"))),
                said(b"data", b""),
                parse_runs(said(b"streams", b"").decode("utf-8", "replace")),
            )
