"""Find results of executions by what the caller knows of them, page by page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec

from ...broker_config import keys
from ...broker_config.functions.function_library import run_all
from ...broker_config.functions.reported import read_fields_command
from ...broker_config.ids import execution_id, is_execution_of
from ...broker_config.ledger import (
    StoredInvocation,
    WithTargets,
    are_targets,
    execution_states,
    latest_executions,
    latest_executions_of_each,
    load_invocations,
    load_rows,
    load_some_targets,
    load_targets,
    load_targets_of_each,
    row_without_execution,
)
from ...broker_config.records import Invocation
from ...broker_config.redis.client import Redis
from ...broker_config.results import ExecutionRow
from ...broker_config.states import ExecutionState, legacy_record_status, shown_state
from ...broker_config.timed.firing_rows import Firing, FiringStatus, load_firings
from ...broker_config.timed.latest import latest_only
from ...broker_config.unreadable import readable
from ..argument_kinds import must_be
from ..matching import has_tags
from ..paging import (
    Page,
    PageRequest,
    page_of_matches,
    page_of_places,
    read_page,
    read_page_by_name,
    read_token,
    walk,
)
from ..visibility import EVERYTHING, Visible, raised_if_seen
from .standing import state_of_target, stopped_of_each, waits_for_next

#: Rows read in one go.
_ROWS_COUNT = 100
#: Names of targets read in one go, where they are only counted.
_NAMES_COUNT = 1_000
#: Firings of a timed invocation read in one go.
_FIRINGS_COUNT = 100
#: Executions of file deliveries; they are no results of commands.
_FILE_PREFIX = "f-"


class ResultFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which results are wanted; empty fields do not filter."""

    invoke_id: str = ""
    instance_id: str = ""
    command_id: str = ""
    record_status: str = ""
    include_history: bool = False
    resource_group_id: str = ""
    tags: Mapping[str, str | None] = {}
    visible: Visible = EVERYTHING


class DescribedResult(msgspec.Struct, frozen=True):
    """One result and the invocation it belongs to (``None`` when only the row was left)."""

    row: ExecutionRow
    stored: StoredInvocation | None
    #: It is the latest of a target that will have another, and stands for the target; each of a history for itself.
    goes_on: bool = False

    @property
    def state(self) -> str:
        """The word for where it stands."""
        return shown_state(self.row.state, goes_on=self.goes_on)

    @property
    def legacy_status(self) -> str:
        """The older word for that."""
        return legacy_record_status(self.state)


class _Target(NamedTuple):
    """One instance of an invocation, whose row is not read yet."""

    stored: StoredInvocation
    instance_id: str


def describe_results(redis: Redis, wanted: ResultFilter, page: PageRequest) -> Page[DescribedResult]:
    """List results: of one invocation in the order of its targets, else newest first."""
    must_be(ResultFilter, wanted, "wanted", "ResultFilter(invoke_id=…)")
    if wanted.invoke_id:
        return _results_of_invocation(redis, wanted, page)
    if wanted.instance_id:
        return _page_of_rows(redis, keys.instance_history(wanted.instance_id), wanted, page)
    index = keys.command_invocations(wanted.command_id) if wanted.command_id else keys.INVOCATIONS
    return _results_over_invocations(redis, index, wanted, page)


def _results_of_invocation(redis: Redis, wanted: ResultFilter, page: PageRequest) -> Page[DescribedResult]:
    stored = raised_if_seen(load_invocations(redis, [wanted.invoke_id])[0], wanted.visible)
    if stored is None:
        # Redis was restarted empty, yet an agent has delivered its result since.
        if wanted.instance_id:
            return _page_of_rows(redis, keys.instance_history(wanted.instance_id), wanted, page)
        return Page([], 0, "", page.number, page.count)
    if not _is_wanted(stored.record, wanted):
        return Page([], 0, "", page.number, page.count)
    if wanted.include_history and stored.timed:
        return _history_of_invocation(redis, stored, wanted, page)
    places = {one: place for place, one in enumerate(load_targets(redis, wanted.invoke_id))}
    targets = wanted.visible.instances(places)
    if wanted.instance_id:
        targets = [wanted.instance_id] if wanted.instance_id in targets else []
    if wanted.command_id:
        targets = _that_ran(redis, stored, targets, wanted.command_id)
    if wanted.record_status:
        states = _states_shown(redis, stored, targets)
        targets = [
            one
            for one, state in zip(targets, states, strict=True)
            if wanted.record_status in (state, legacy_record_status(state))
        ]
    shown = page_of_places([(places[one], one) for one in targets], page, repr(wanted))
    (items,) = _latest_of_each(redis, [(stored, shown.items)])
    return Page([one for one in items if one], shown.total_count, shown.next_token, shown.number, shown.size)


def _states_shown(redis: Redis, stored: StoredInvocation, targets: Sequence[str]) -> list[str]:
    """The word for where each target stands, as its result has it."""
    found = execution_states(redis, stored, targets)
    (stopped,) = stopped_of_each(redis, [(stored, targets)])
    return [
        state_of_target(stored, state or ExecutionState.PENDING, is_stopped=is_stopped)
        for (state, _), is_stopped in zip(found, stopped, strict=True)
    ]


def _latest_of_each(
    redis: Redis, wanted: Sequence[WithTargets], *, with_output: bool = True
) -> list[list[DescribedResult | None]]:
    """Each target's latest execution, or what is shown where there was none, of several invocations."""
    executions = latest_executions_of_each(redis, wanted)
    rows = iter(load_rows(redis, list(chain.from_iterable(executions)), with_output=with_output))
    found: list[list[DescribedResult | None]] = []
    for (stored, targets), stopped in zip(wanted, stopped_of_each(redis, wanted), strict=True):
        loaded = [
            (next(rows) or row_without_execution(stored, one, is_stopped=is_stopped), is_stopped)
            for one, is_stopped in zip(targets, stopped, strict=True)
        ]
        found.append(
            [
                DescribedResult(row, stored, waits_for_next(stored, is_stopped=is_stopped)) if row else None
                for row, is_stopped in loaded
            ]
        )
    return found


def _that_ran(redis: Redis, stored: StoredInvocation, targets: Sequence[str], command_id: str) -> list[str]:
    """Targets whose latest execution ran a command: what a timed invocation runs may have been changed since."""
    executions = latest_executions(redis, stored, targets)
    replies = run_all(redis, [read_fields_command(keys.execution(*one), "command_id") for one in executions])
    wanted = command_id.encode()
    present = stored.record.command.command_id.encode()
    return [one for one, (found,) in zip(targets, replies, strict=True) if (found or present) == wanted]


def _history_of_invocation(
    redis: Redis, stored: StoredInvocation, wanted: ResultFilter, page: PageRequest
) -> Page[DescribedResult]:
    """One result per firing and target that is asked for, newest firing first."""
    matches = _result_matcher(wanted)
    invoke_id = stored.record.invoke_id
    targets = load_targets(redis, invoke_id)
    start, (_, done_count) = _read_result_position(page.next_token, wanted)
    newest = start[0] if start else "+inf"

    def matching() -> Iterator[tuple[str, DescribedResult]]:
        for firing in _firings(redis, invoke_id, newest):
            skipped = done_count if str(firing.due_ms) == newest else 0
            asked = [one for one in firing.instances or targets if wanted.instance_id in ("", one)]
            pairs = [(one, execution_id(invoke_id, firing.due_ms, one)) for one in asked]
            for first in range(skipped, len(pairs), _ROWS_COUNT):
                rows = load_rows(redis, pairs[first : first + _ROWS_COUNT], with_output=False)
                for offset, row in enumerate(rows, first + 1):
                    if row is not None and matches(one := DescribedResult(row, stored)):
                        yield f"{firing.due_ms} {invoke_id}/{offset}", one

    return _with_output(redis, page_of_matches(matching(), page, repr(wanted)))


def _firings(redis: Redis, invoke_id: str, newest: str) -> Iterator[Firing]:
    """The firings of a timed invocation that made executions, newest first, from a due time on."""
    while True:
        found = redis.call("ZREVRANGEBYSCORE", keys.firings(invoke_id), newest, "-inf", "LIMIT", 0, _FIRINGS_COUNT)
        rows = load_firings(redis, invoke_id, [int(one) for one in found])
        yield from (one for one in rows if one.status != FiringStatus.SKIPPED)
        if len(found) < _FIRINGS_COUNT:
            return
        newest = f"({int(found[-1])}"


def _with_output(redis: Redis, page: Page[DescribedResult]) -> Page[DescribedResult]:
    """Read what is shown once more, with the output: rows that are only counted are read without."""
    rows = load_rows(redis, [(one.row.instance_id, one.row.execution_id) for one in page.items])
    items = [
        msgspec.structs.replace(one, row=row) if row is not None else one
        for row, one in zip(rows, page.items, strict=True)
    ]
    return msgspec.structs.replace(page, items=items)


def _page_of_rows(redis: Redis, index: str, wanted: ResultFilter, page: PageRequest) -> Page[DescribedResult]:
    """Results from an instance's index of execution ids, which its agent writes as well."""

    def chosen(executions: Sequence[str]) -> Sequence[str]:
        own = [one for one in executions if is_execution_of(one, wanted.instance_id)]
        commands = [one for one in own if not one.startswith(_FILE_PREFIX)]
        return commands if wanted.include_history else latest_only(redis, commands)

    def load_chosen(executions: Sequence[str]) -> list[DescribedResult | None]:
        pairs = [(wanted.instance_id, one) for one in executions]
        invoke_ids = [one.partition(".")[0] for one in executions]
        # Its results are its agents' own, and can be read without it.
        stored = readable(load_invocations(redis, invoke_ids))
        asked = are_targets(redis, [(one, wanted.instance_id) for one in invoke_ids])
        rows = [
            # Of an invocation that is gone nobody knows whom it was for.
            row if about is None or is_asked else None
            for row, about, is_asked in zip(load_rows(redis, pairs), stored, asked, strict=True)
        ]
        going_on = [False] * len(rows) if wanted.include_history else _going_on(redis, stored, wanted.instance_id)
        return [
            DescribedResult(row, about, goes_on) if row else None
            for row, about, goes_on in zip(rows, stored, going_on, strict=True)
        ]

    def load(executions: Sequence[str]) -> list[DescribedResult | None]:
        names = chosen(executions)
        found = dict(zip(names, load_chosen(names), strict=True))
        return [found.get(one) for one in executions]

    is_told_by_name = wanted == ResultFilter(instance_id=wanted.instance_id, include_history=wanted.include_history)
    if not page.by_token and is_told_by_name:
        return read_page_by_name(redis, index, page, load_chosen, chosen)
    return read_page(redis, index, page, load, keep=_result_matcher(wanted), filters=repr(wanted))


def _going_on(redis: Redis, found: Sequence[StoredInvocation | None], instance_id: str) -> list[bool]:
    """Whether each of some invocations will run again by itself on an instance where it has run."""
    known = [one for one in found if one is not None]
    stopped = chain.from_iterable(stopped_of_each(redis, [(one, [instance_id]) for one in known]))
    return [one is not None and waits_for_next(one, is_stopped=next(stopped)) for one in found]


def _results_over_invocations(
    redis: Redis, index: str, wanted: ResultFilter, page: PageRequest
) -> Page[DescribedResult]:
    """Results of one invocation after another, newest invocation first, targets in their order."""
    matches = _result_matcher(wanted)
    start, (begun_id, done_count) = _read_result_position(page.next_token, wanted)
    is_judged_by_row = bool(wanted.record_status or wanted.command_id)
    count = _ROWS_COUNT if is_judged_by_row else _NAMES_COUNT

    def load(invoke_ids: Sequence[str]) -> list[tuple[StoredInvocation, list[str]] | None]:
        found = readable(load_invocations(redis, invoke_ids))
        # Those with few targets have them read along, the others when it is their turn.
        few = [one.record.invoke_id for one in found if one and one.record.target_count <= _ROWS_COUNT]
        targets = dict(zip(few, load_targets_of_each(redis, few), strict=True))
        return [(one, targets.get(one.record.invoke_id, [])) if one else None for one in found]

    def chosen(stored: StoredInvocation, some: Sequence[str]) -> list[bool]:
        if not is_judged_by_row:
            return [wanted.visible.instance(one) for one in some]
        (found,) = _latest_of_each(redis, [(stored, some)], with_output=False)
        return [one is not None and matches(one) for one in found]

    def matching() -> Iterator[tuple[str, _Target]]:
        for place, (stored, known) in walk(redis, index, load, start=start, first_count=page.count + 1):
            score, invoke_id = place.partition(" ")[0], stored.record.invoke_id
            if not _is_wanted(stored.record, wanted):
                continue
            begun = done_count if invoke_id == begun_id else 0
            for first, some in [(begun, known[begun:])] if known else _targets_from(redis, invoke_id, begun, count):
                for offset, (one, is_chosen) in enumerate(zip(some, chosen(stored, some), strict=True), first + 1):
                    if is_chosen:
                        yield f"{score} {invoke_id}/{offset}", _Target(stored, one)

    shown = page_of_matches(matching(), page, repr(wanted))
    return Page(_results_of(redis, shown.items), shown.total_count, shown.next_token, shown.number, shown.size)


def _targets_from(redis: Redis, invoke_id: str, first: int, count: int) -> Iterator[tuple[int, list[str]]]:
    """The targets of an invocation from a place on, ``count`` at a time, with the place of the first of them."""
    while some := load_some_targets(redis, invoke_id, first, count):
        yield first, some
        first += len(some)


def _results_of(redis: Redis, targets: Sequence[_Target]) -> list[DescribedResult]:
    """The latest result of each target."""
    found = _latest_of_each(redis, [(one.stored, [one.instance_id]) for one in targets])
    return [one for one in chain.from_iterable(found) if one is not None]


def _read_result_position(token: str, wanted: ResultFilter) -> tuple[tuple[str, str] | None, tuple[str, int]]:
    """Where to go on: just before the invocation that the last page ended in, and how many of its targets are done."""
    position = read_token(token, repr(wanted))
    if position is None:
        return None, ("", 0)
    score, where = position
    invoke_id, _, done = where.partition("/")
    # Names of one score come in descending order; "~" sorts after every id, so this invocation comes first again.
    return (score, invoke_id + "~"), (invoke_id, int(done or 0))


def _result_matcher(wanted: ResultFilter) -> Callable[[DescribedResult], bool]:
    def matches(one: DescribedResult) -> bool:
        record = one.stored.record if one.stored else None
        return (
            wanted.visible.instance(one.row.instance_id)
            and (record is not None or wanted.visible.command(one.row.command_id))
            and (not wanted.invoke_id or one.row.invoke_id == wanted.invoke_id)
            and (not wanted.command_id or one.row.command_id == wanted.command_id)
            and wanted.record_status in ("", one.state, one.legacy_status)
            and (_is_wanted(record, wanted) if record is not None else not (wanted.resource_group_id or wanted.tags))
        )

    return matches


def _is_wanted(record: Invocation, wanted: ResultFilter) -> bool:
    """Tell whether results are wanted by what all of one invocation share; deliveries of files are no results."""
    return (
        record.file is None
        and wanted.visible.command(record.command.command_id)
        and wanted.resource_group_id in ("", record.resource_group_id)
        and has_tags(record.tags, wanted.tags)
    )
