"""Find invocations and results by what the caller knows of them, page by page."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain, islice

import msgspec

from ..broker_config import keys
from ..broker_config.ids import execution_id, is_execution_of
from ..broker_config.ledger import (
    InvocationStatus,
    StoredInvocation,
    execution_states,
    fold,
    latest_executions,
    latest_executions_of_each,
    load_invocations,
    load_rows,
    load_targets,
)
from ..broker_config.redis_client import Redis
from ..broker_config.results import ExecutionRow
from ..broker_config.settling import settle
from ..broker_config.states import legacy_invoke_status, legacy_record_status
from .command_library import has_tags, like
from .invocation_batches import ListedTargets, batches, statuses_of
from .paging import (
    Page,
    PageRequest,
    first_in_list,
    make_token,
    page_of_list,
    read_page,
    read_page_by_name,
    read_token,
    walk,
)
from .visibility import EVERYTHING, Visible

#: Rows read in one go.
_ROWS_COUNT = 100
#: Executions of file deliveries; they are no results of commands.
_FILE_PREFIX = "f-"


class InvocationFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which invocations are wanted; empty fields do not filter."""

    invoke_id: str = ""
    command_id: str = ""
    instance_id: str = ""
    command_name: str = ""
    command_type: str = ""
    repeat_mode: str = ""
    timed: bool | None = None
    status: str = ""
    resource_group_id: str = ""
    tags: Mapping[str, str | None] = {}
    files: bool = False
    visible: Visible = EVERYTHING


class DescribedInvocation(msgspec.Struct, frozen=True, kw_only=True):
    """An invocation with its roll-up, and the executions a listing shows."""

    stored: StoredInvocation
    status: InvocationStatus
    legacy_status: str
    #: The latest execution of each target, as far as loaded.
    rows: Sequence[ExecutionRow] = ()


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


def describe_invocations(
    redis: Redis, wanted: InvocationFilter, page: PageRequest, *, with_rows: bool
) -> Page[DescribedInvocation]:
    """List invocations, newest first; unknown ids give an empty list."""
    targets = ListedTargets(redis)
    found = _matching_invocations(redis, wanted, page, targets)
    if not with_rows:
        return found
    # Only for what is shown: a filter may pass over thousands to find a page.
    return msgspec.structs.replace(found, items=_with_rows(redis, found.items, wanted, targets))


def _matching_invocations(
    redis: Redis, wanted: InvocationFilter, page: PageRequest, targets: ListedTargets
) -> Page[DescribedInvocation]:
    def load(invoke_ids: Sequence[str]) -> list[DescribedInvocation | None]:
        targets.forget()
        stored = load_invocations(redis, [one.partition(".")[0] for one in invoke_ids])
        described = iter(_describe_each(redis, [one for one in stored if one], targets))
        return [next(described) if one else None for one in stored]

    def matches(one: DescribedInvocation) -> bool:
        if wanted.status and wanted.visible.limits_instances:
            # What is filtered by is what is shown: the state of those that may be seen.
            one, _ = _as_seen(redis, one, targets.of_each([one.stored])[0], wanted.visible)
        return _matches(one, wanted) and _is_visible(one, wanted.visible, targets)

    if wanted.invoke_id:
        found = [one for one in load([wanted.invoke_id]) if one is not None and matches(one)]
        return page_of_list(found, page, repr(wanted))
    if wanted.instance_id:
        return _once_each(
            read_page(redis, keys.instance_history(wanted.instance_id), page, load, keep=matches, filters=repr(wanted))
        )
    index = keys.FILES if wanted.files else keys.INVOCATIONS
    if wanted.command_id:
        index = keys.command_invocations(wanted.command_id)
    elif wanted.timed:
        index = keys.INVOCATIONS_TIMED
    narrowed = msgspec.structs.replace(wanted, command_id="", files=False) != InvocationFilter()
    return read_page(redis, index, page, load, keep=matches if narrowed else None, filters=repr(wanted))


def describe_results(redis: Redis, wanted: ResultFilter, page: PageRequest) -> Page[DescribedResult]:
    """List results: of one invocation in the order of its targets, else newest first."""
    if wanted.invoke_id:
        return _results_of_invocation(redis, wanted, page)
    if wanted.instance_id:
        return _page_of_rows(redis, keys.instance_history(wanted.instance_id), wanted, page)
    index = keys.command_invocations(wanted.command_id) if wanted.command_id else keys.INVOCATIONS
    return _results_over_invocations(redis, index, wanted, page)


def _describe_each(
    redis: Redis, found: Sequence[StoredInvocation], targets: ListedTargets
) -> list[DescribedInvocation]:
    statuses = statuses_of(redis, found, targets)
    for stored, status in zip(found, statuses, strict=True):
        settle(redis, stored, status)
    return [
        DescribedInvocation(stored=stored, status=status, legacy_status=_legacy_status(stored, status))
        for stored, status in zip(found, statuses, strict=True)
    ]


def _legacy_status(stored: StoredInvocation, status: InvocationStatus) -> str:
    present = [state for state, count in status.counts.items() if count]
    return legacy_invoke_status(present, periodic_active=stored.active)


def _is_visible(one: DescribedInvocation, visible: Visible, targets: ListedTargets) -> bool:
    record = one.stored.record
    if not visible.command(record.command.command_id):
        return False
    return not visible.limits_instances or bool(visible.instances(targets.of_each([one.stored])[0]))


def _with_rows(
    redis: Redis, items: Sequence[DescribedInvocation], wanted: InvocationFilter, listed: ListedTargets
) -> list[DescribedInvocation]:
    found: list[DescribedInvocation] = []
    for batch in batches([one.stored for one in items]):
        here = [
            _as_seen(redis, one, targets, wanted.visible)
            for one, targets in zip(items[len(found) :], listed.of_each(batch), strict=False)
        ]
        shown = [[wanted.instance_id] if wanted.instance_id in targets else targets for _, targets in here]
        asked = [(one.stored, targets) for (one, _), targets in zip(here, shown, strict=True)]
        executions = latest_executions_of_each(redis, asked)
        loaded = iter(load_rows(redis, list(chain.from_iterable(executions))))
        for (one, targets), latest in zip(here, executions, strict=True):
            found.append(_with_loaded(one, list(islice(loaded, len(latest))), is_whole=len(latest) == len(targets)))
    return found


def _with_loaded(
    one: DescribedInvocation, loaded: Sequence[ExecutionRow | None], *, is_whole: bool
) -> DescribedInvocation:
    rows = [row for row in loaded if row is not None]
    if one.stored.timed or one.stored.settled is not None or not is_whole:
        return msgspec.structs.replace(one, rows=rows)
    # An execution may have ended since the states were read: the whole must not contradict its parts.
    status = fold([(row.state, row.outcome.error_code) if row else ("", "") for row in loaded])
    return msgspec.structs.replace(one, rows=rows, status=status, legacy_status=_legacy_status(one.stored, status))


def _as_seen(
    redis: Redis, one: DescribedInvocation, targets: Sequence[str], limit: Visible
) -> tuple[DescribedInvocation, Sequence[str]]:
    """An invocation as it is for those of its targets that may be seen, and these: nothing tells of the others."""
    visible = limit.instances(targets)
    if len(visible) == len(targets):
        return one, targets
    record = msgspec.structs.replace(one.stored.record, target_count=len(visible))
    stored = msgspec.structs.replace(one.stored, record=record)
    status = fold(execution_states(redis, stored, visible), active=stored.active)
    seen = msgspec.structs.replace(one, stored=stored, status=status, legacy_status=_legacy_status(stored, status))
    return seen, visible


def _is_named(name: str, wanted: InvocationFilter) -> bool:
    """Files are looked for by their exact name; the API leaves the one of a command unread under an instance id."""
    if wanted.files:
        return wanted.command_name in ("", name)
    return bool(wanted.instance_id) or like(name, wanted.command_name)


def _matches(one: DescribedInvocation, wanted: InvocationFilter) -> bool:
    record = one.stored.record
    by_instance = bool(wanted.instance_id)
    return (
        (record.file is not None) == wanted.files
        and (not wanted.command_id or record.command.command_id == wanted.command_id)
        and _is_named(record.command.name, wanted)
        and (by_instance or not wanted.command_type or record.command.type.value == wanted.command_type)
        and (not wanted.repeat_mode or record.schedule.repeat_mode.value == wanted.repeat_mode)
        and (wanted.timed is None or one.stored.active == wanted.timed)
        and (not wanted.status or wanted.status in (one.status.state.value, one.legacy_status))
        and (not wanted.resource_group_id or record.resource_group_id == wanted.resource_group_id)
        and has_tags(record.tags, wanted.tags)
    )


def _once_each(page: Page[DescribedInvocation]) -> Page[DescribedInvocation]:
    """An instance's history names an invocation once per firing; a listing shows it once."""
    seen: dict[str, DescribedInvocation] = {}
    for item in page.items:
        seen.setdefault(item.stored.record.invoke_id, item)
    return Page(list(seen.values()), page.total_count, page.next_token, page.number, page.size)


def _results_of_invocation(redis: Redis, wanted: ResultFilter, page: PageRequest) -> Page[DescribedResult]:
    page.check()
    stored = load_invocations(redis, [wanted.invoke_id])[0]
    if stored is None:
        # Redis was restarted empty, yet an agent has delivered its result since.
        if wanted.instance_id:
            return _page_of_rows(redis, keys.instance_history(wanted.instance_id), wanted, page)
        return Page([], 0, "", page.number, page.count)
    if not wanted.visible.command(stored.record.command.command_id):
        return Page([], 0, "", page.number, page.count)
    if wanted.include_history and stored.timed:
        return _history_of_invocation(redis, stored, wanted, page)
    targets = wanted.visible.instances(load_targets(redis, wanted.invoke_id))
    if wanted.instance_id:
        targets = [wanted.instance_id] if wanted.instance_id in targets else []
    if wanted.record_status:
        states = execution_states(redis, stored, targets)
        targets = [one for one, (state, _) in zip(targets, states, strict=True) if _has_status(state, wanted)]
    shown = page_of_list(targets, page, repr(wanted))
    rows = load_rows(redis, latest_executions(redis, stored, shown.items))
    items = [DescribedResult(row, stored) for row in rows if row is not None]
    return Page(items, shown.total_count, shown.next_token, page.number, page.count)


def _history_of_invocation(
    redis: Redis, stored: StoredInvocation, wanted: ResultFilter, page: PageRequest
) -> Page[DescribedResult]:
    """One result per firing and target, newest firing first."""
    targets = wanted.visible.instances(
        one for one in load_targets(redis, wanted.invoke_id) if wanted.instance_id in ("", one)
    )
    firings = [int(one) for one in redis.call("ZREVRANGE", keys.firings(wanted.invoke_id), 0, -1)]
    pairs = [(one, execution_id(wanted.invoke_id, firing, one)) for firing in firings for one in targets]
    first = first_in_list(page, repr(wanted))
    items: list[DescribedResult] = []
    position = first
    while position < len(pairs) and len(items) < page.count:
        chunk = pairs[position : position + page.count]
        for row in load_rows(redis, chunk):
            position += 1
            if row is not None and _has_status(row.state, wanted):
                items.append(DescribedResult(row, stored))
                if len(items) == page.count:
                    break
    token = make_token(f"{position} -", repr(wanted)) if page.by_token and position < len(pairs) else ""
    return Page(items, len(pairs), token, page.number, page.count)


def _page_of_rows(redis: Redis, index: str, wanted: ResultFilter, page: PageRequest) -> Page[DescribedResult]:
    """Results from an instance's index of execution ids, which its agent writes as well."""

    def load(executions: Sequence[str]) -> list[DescribedResult | None]:
        own = [one for one in executions if is_execution_of(one, wanted.instance_id)]
        rows = load_rows(redis, [(wanted.instance_id, one) for one in own])
        stored = load_invocations(redis, [one.partition(".")[0] for one in own])
        found = {one: DescribedResult(row, about) for one, row, about in zip(own, rows, stored, strict=True) if row}
        return [found.get(one) for one in executions]

    if not page.by_token and wanted == ResultFilter(instance_id=wanted.instance_id):
        return read_page_by_name(redis, index, page, load, lambda name: not name.startswith(_FILE_PREFIX))
    return read_page(redis, index, page, load, keep=_result_matcher(wanted), filters=repr(wanted))


def _results_over_invocations(
    redis: Redis, index: str, wanted: ResultFilter, page: PageRequest
) -> Page[DescribedResult]:
    """Results of one invocation after another, newest invocation first, targets in their order."""
    page.check().check_walk()
    matches = _result_matcher(wanted)
    skip = 0 if page.by_token else page.first
    start, inside = _read_result_position(page.next_token, wanted)
    items: list[DescribedResult] = []
    position = ""
    found = walk(redis, index, lambda ids: load_invocations(redis, ids), start=start, first_count=page.count + 1)
    for place, stored in found:
        targets = load_targets(redis, stored.record.invoke_id)
        for first in range(inside, len(targets), _ROWS_COUNT):
            chunk = targets[first : first + _ROWS_COUNT]
            for offset, row in enumerate(load_rows(redis, latest_executions(redis, stored, chunk))):
                if row is None or not matches(DescribedResult(row, stored)):
                    continue
                if skip:
                    skip -= 1
                elif len(items) == page.count:
                    token = make_token(position, repr(wanted)) if page.by_token else ""
                    return Page(items, 0, token, page.number, page.count)
                else:
                    items.append(DescribedResult(row, stored))
                    position = f"{place.partition(' ')[0]} {stored.record.invoke_id}/{first + offset + 1}"
        inside = 0
    return Page(items, 0, "", page.number, page.count)


def _read_result_position(token: str, wanted: ResultFilter) -> tuple[tuple[str, str] | None, int]:
    """Where to go on: just before the invocation that the last page ended in, and how many of its targets are done."""
    position = read_token(token, repr(wanted))
    if position is None:
        return None, 0
    score, where = position
    invoke_id, _, done = where.partition("/")
    # Names of one score come in descending order; "~" sorts after every id, so this invocation comes first again.
    return (score, invoke_id + "~"), int(done or 0)


def _result_matcher(wanted: ResultFilter) -> Callable[[DescribedResult], bool]:
    def matches(one: DescribedResult) -> bool:
        record = one.stored.record if one.stored else None
        return (
            wanted.visible.instance(one.row.instance_id)
            and wanted.visible.command(record.command.command_id if record is not None else one.row.command_id)
            and (not wanted.invoke_id or one.row.invoke_id == wanted.invoke_id)
            and not (record is not None and record.file is not None)
            and (not wanted.command_id or one.row.command_id == wanted.command_id)
            and _has_status(one.row.state, wanted)
            and (
                not wanted.resource_group_id
                or (record is not None and record.resource_group_id == wanted.resource_group_id)
            )
            and (not wanted.tags or (record is not None and has_tags(record.tags, wanted.tags)))
        )

    return matches


def _has_status(state: str, wanted: ResultFilter) -> bool:
    return not wanted.record_status or wanted.record_status in (state, legacy_record_status(state))
