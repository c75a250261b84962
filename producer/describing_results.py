"""Find results of executions by what the caller knows of them, page by page."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from ..broker_config import keys
from ..broker_config.ids import execution_id, split_execution_id
from ..broker_config.ledger import (
    StoredInvocation,
    execution_states,
    latest_executions,
    load_invocations,
    load_rows,
    load_targets,
)
from ..broker_config.records import Invocation
from ..broker_config.redis_client import Redis
from ..broker_config.results import ExecutionRow
from ..broker_config.states import legacy_record_status
from .command_library import has_tags
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


def describe_results(redis: Redis, wanted: ResultFilter, page: PageRequest) -> Page[DescribedResult]:
    """List results: of one invocation in the order of its targets, else newest first."""
    if wanted.invoke_id:
        return _results_of_invocation(redis, wanted, page)
    if wanted.instance_id:
        return _page_of_rows(redis, keys.instance_history(wanted.instance_id), wanted, page)
    index = keys.command_invocations(wanted.command_id) if wanted.command_id else keys.INVOCATIONS
    return _results_over_invocations(redis, index, wanted, page)


def _results_of_invocation(redis: Redis, wanted: ResultFilter, page: PageRequest) -> Page[DescribedResult]:
    page.check()
    stored = load_invocations(redis, [wanted.invoke_id])[0]
    if stored is None:
        # Redis was restarted empty, yet an agent has delivered its result since.
        if wanted.instance_id:
            return _page_of_rows(redis, keys.instance_history(wanted.instance_id), wanted, page)
        return Page([], 0, "", page.number, page.count)
    if not _is_wanted(stored.record, wanted):
        return Page([], 0, "", page.number, page.count)
    if wanted.include_history and stored.timed:
        return _history_of_invocation(redis, stored, wanted, page)
    targets = wanted.visible.instances(load_targets(redis, wanted.invoke_id))
    if wanted.instance_id:
        targets = [wanted.instance_id] if wanted.instance_id in targets else []
    if wanted.command_id:
        targets = _that_ran(redis, stored, targets, wanted.command_id)
    if wanted.record_status:
        states = execution_states(redis, stored, targets)
        targets = [one for one, (state, _) in zip(targets, states, strict=True) if _has_status(state, wanted)]
    shown = page_of_list(targets, page, repr(wanted))
    rows = load_rows(redis, latest_executions(redis, stored, shown.items))
    items = [DescribedResult(row, stored) for row in rows if row is not None]
    return Page(items, shown.total_count, shown.next_token, page.number, page.count)


def _that_ran(redis: Redis, stored: StoredInvocation, targets: Sequence[str], command_id: str) -> list[str]:
    """Targets whose latest execution ran a command: what a timed invocation runs may have been changed since."""
    executions = latest_executions(redis, stored, targets)
    replies = redis.pipeline_or_raise([("HGET", keys.execution(*one), "command_id") for one in executions])
    wanted = command_id.encode()
    present = stored.record.command.command_id.encode()
    return [one for one, found in zip(targets, replies, strict=True) if (found or present) == wanted]


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
    matches = _result_matcher(wanted)
    items: list[DescribedResult] = []
    position = first
    while position < len(pairs) and len(items) < page.count:
        chunk = pairs[position : position + page.count]
        for row in load_rows(redis, chunk):
            position += 1
            if row is not None and matches(DescribedResult(row, stored)):
                items.append(DescribedResult(row, stored))
                if len(items) == page.count:
                    break
    token = make_token(f"{position} -", repr(wanted)) if page.by_token and position < len(pairs) else ""
    return Page(items, len(pairs), token, page.number, page.count)


def _page_of_rows(redis: Redis, index: str, wanted: ResultFilter, page: PageRequest) -> Page[DescribedResult]:
    """Results from an index of execution ids."""

    def load(executions: Sequence[str]) -> list[DescribedResult | None]:
        pairs = [(parts[2], one) for one in executions if (parts := split_execution_id(one))]
        rows = load_rows(redis, pairs)
        stored = load_invocations(redis, [pair[1].partition(".")[0] for pair in pairs])
        return [DescribedResult(row, about) if row else None for row, about in zip(rows, stored, strict=True)]

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
            and (record is not None or wanted.visible.command(one.row.command_id))
            and (not wanted.invoke_id or one.row.invoke_id == wanted.invoke_id)
            and not (record is not None and record.file is not None)
            and (not wanted.command_id or one.row.command_id == wanted.command_id)
            and _has_status(one.row.state, wanted)
            and (_is_wanted(record, wanted) if record is not None else not (wanted.resource_group_id or wanted.tags))
        )

    return matches


def _is_wanted(record: Invocation, wanted: ResultFilter) -> bool:
    """Tell whether results are wanted by what all of one invocation share."""
    return (
        wanted.visible.command(record.command.command_id)
        and wanted.resource_group_id in ("", record.resource_group_id)
        and has_tags(record.tags, wanted.tags)
    )


def _has_status(state: str, wanted: ResultFilter) -> bool:
    return not wanted.record_status or wanted.record_status in (state, legacy_record_status(state))
