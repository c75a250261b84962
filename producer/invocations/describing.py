"""Find invocations by what the caller knows of them, page by page."""

from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import suppress
from itertools import chain

import msgspec

from ...broker_config import keys
from ...broker_config.errors import RecordUnreadable, RedisRefused, RequestInvalid
from ...broker_config.ids import is_execution_of
from ...broker_config.ledger import (
    InvocationStatus,
    StoredInvocation,
    are_targets,
    execution_states,
    fold,
    latest_executions_of_each,
    load_invocations,
    load_rows,
    row_without_execution,
)
from ...broker_config.redis.client import Redis
from ...broker_config.redis.connection import Command
from ...broker_config.results import ExecutionRow
from ...broker_config.settling import settle
from ...broker_config.states import legacy_invoke_status
from ...broker_config.timed.latest import latest_only
from ..argument_kinds import must_be
from ..file_status import file_status
from ..matching import has_tags, like
from ..paging import Page, PageRequest, page_of_list, read_page
from ..visibility import EVERYTHING, Visible, raised_if_seen
from .invocation_batches import ListedTargets, batches, statuses_of
from .standing import stopped_of_each, waits_for_next


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
    #: Those of their instances that will have another execution, however the latest ended.
    going_on: Set[str] = frozenset()


class InvocationListing:
    """A page of invocations, newest first, and on demand the rows of what is on it."""

    def __init__(self, redis: Redis, wanted: InvocationFilter, page: PageRequest) -> None:
        """Find the page; unknown ids give an empty one."""
        self._redis = redis
        self._wanted = wanted
        self._targets = ListedTargets(redis)
        self.page = _matching_invocations(redis, wanted, page, self._targets)

    @property
    def row_count(self) -> int:
        """How many rows ``with_rows`` reads at the most."""
        by_instance = bool(self._wanted.instance_id)
        return sum(1 if by_instance else one.stored.record.target_count for one in self.page.items)

    def with_rows(self, *, with_output: bool, most_output_bytes: int | None = None) -> Iterator[DescribedInvocation]:
        """Yield each invocation with its executions; large ones are read one after the other, as they are asked for.

        Raises:
            RequestInvalid: what is listed and may be seen has more output than ``most_output_bytes``.
        """
        # Only for what is shown: a filter may pass over thousands to find a page.
        most_bytes = most_output_bytes if with_output else None
        return _with_rows(
            self._redis,
            self.page.items,
            self._wanted,
            self._targets,
            with_output=with_output,
            most_output_bytes=most_bytes,
        )


def describe_invocations(
    redis: Redis,
    wanted: InvocationFilter,
    page: PageRequest,
    *,
    with_rows: bool,
    with_output: bool = True,
    most_output_bytes: int | None = None,
) -> Page[DescribedInvocation]:
    """List invocations, newest first, and all their executions at once.

    Raises:
        RequestInvalid: what is listed and may be seen has more output than ``most_output_bytes``.
    """
    must_be(InvocationFilter, wanted, "wanted", "InvocationFilter(…)")
    listing = InvocationListing(redis, wanted, page)
    if not with_rows:
        return listing.page
    items = list(listing.with_rows(with_output=with_output, most_output_bytes=most_output_bytes))
    return msgspec.structs.replace(listing.page, items=items)


def _matching_invocations(
    redis: Redis, wanted: InvocationFilter, page: PageRequest, targets: ListedTargets
) -> Page[DescribedInvocation]:
    def load(invoke_ids: Sequence[str]) -> list[DescribedInvocation | RecordUnreadable | None]:
        targets.forget()
        stored = load_invocations(redis, [one.partition(".")[0] for one in invoke_ids])
        known = [one for one in stored if isinstance(one, StoredInvocation)]
        described = iter(_describe_each(redis, known, targets))
        return [next(described) if isinstance(one, StoredInvocation) else one for one in stored]

    def load_of_executions(executions: Sequence[str]) -> list[DescribedInvocation | RecordUnreadable | None]:
        # Its agent writes there as well. A timed invocation has one for each firing, and is listed once.
        latest = latest_only(redis, [one for one in executions if is_execution_of(one, wanted.instance_id)])
        found = dict(zip(latest, load(latest), strict=True))
        return [found.get(one) for one in executions]

    def matches(one: DescribedInvocation) -> bool:
        if wanted.status and wanted.visible.limits_instances:
            # What is filtered by is what is shown: the state of those that may be seen.
            one, _ = _as_seen(redis, one, targets.of_each([one.stored])[0], wanted.visible)
        return _matches(one, wanted) and _is_visible(one, wanted.visible, targets)

    def matches_there(one: DescribedInvocation) -> bool:
        return matches(one) and (not wanted.instance_id or wanted.instance_id in targets.of_each([one.stored])[0])

    if wanted.instance_id and not wanted.visible.instance(wanted.instance_id):
        return page_of_list([], page, repr(wanted))
    if wanted.invoke_id:
        one = raised_if_seen(load([wanted.invoke_id])[0], wanted.visible)
        return page_of_list([one] if one is not None and matches_there(one) else [], page, repr(wanted))
    # What is timed may not have run anywhere yet.
    if wanted.instance_id and not wanted.timed:
        index = keys.instance_history(wanted.instance_id)
        listed = read_page(redis, index, page, load_of_executions, keep=matches, filters=repr(wanted))
        return _without_claimed(redis, listed, wanted.instance_id)
    narrowed = msgspec.structs.replace(wanted, command_id="", files=False) != InvocationFilter()
    keep = matches_there if narrowed else None
    return read_page(redis, _index_of(wanted), page, load, keep=keep, filters=repr(wanted))


def _without_claimed(redis: Redis, page: Page[DescribedInvocation], instance_id: str) -> Page[DescribedInvocation]:
    """Leave out what was not for the instance, whose agent claims it; only of what is shown, for it costs most."""
    asked = are_targets(redis, [(one.stored.record.invoke_id, instance_id) for one in page.items])
    items = [one for one, is_asked in zip(page.items, asked, strict=True) if is_asked]
    return msgspec.structs.replace(page, items=items)


def _index_of(wanted: InvocationFilter) -> str:
    """The shortest index of invocations that names all that is wanted."""
    if wanted.command_id:
        return keys.command_invocations(wanted.command_id)
    if wanted.timed:
        return keys.INVOCATIONS_TIMED
    return keys.FILES if wanted.files else keys.INVOCATIONS


def _describe_each(
    redis: Redis, found: Sequence[StoredInvocation], targets: ListedTargets
) -> list[DescribedInvocation]:
    statuses = statuses_of(redis, found, targets)
    for stored, status in zip(found, statuses, strict=True):
        # Full, or a replica: it can be read all the same, and is stored by whoever comes when Redis takes it.
        with suppress(RedisRefused):
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
    redis: Redis,
    items: Sequence[DescribedInvocation],
    wanted: InvocationFilter,
    listed: ListedTargets,
    *,
    with_output: bool,
    most_output_bytes: int | None,
) -> Iterator[DescribedInvocation]:
    remaining = iter(items)
    output_bytes = 0
    for batch in batches([one.stored for one in items]):
        here = [
            _as_seen(redis, one, targets, wanted.visible)
            for targets, one in zip(listed.of_each(batch), remaining, strict=False)
        ]
        shown = [[wanted.instance_id] if wanted.instance_id in targets else targets for _, targets in here]
        asked = [(one.stored, targets) for (one, _), targets in zip(here, shown, strict=True)]
        executions = latest_executions_of_each(redis, asked)
        wanted_rows = list(chain.from_iterable(executions))
        if most_output_bytes is not None:
            output_bytes += _output_bytes(redis, wanted_rows)
            _refuse_too_much_output(output_bytes, most_output_bytes)
        loaded = iter(load_rows(redis, wanted_rows, with_output=with_output))
        stopped = stopped_of_each(redis, asked)
        for (one, targets), latest, stops in zip(here, executions, stopped, strict=True):
            stored = one.stored
            names = [(instance_id, is_stopped) for (instance_id, _), is_stopped in zip(latest, stops, strict=True)]
            rows = [next(loaded) or row_without_execution(stored, name, is_stopped=stop) for name, stop in names]
            going_on = {name for name, stop in names if waits_for_next(stored, is_stopped=stop)}
            whole = msgspec.structs.replace(one, going_on=going_on)
            yield _with_loaded(whole, rows, is_whole=len(latest) == len(targets))


def _output_bytes(redis: Redis, executions: Sequence[tuple[str, str]]) -> int:
    commands: list[Command] = [("HSTRLEN", keys.execution(*one), "output") for one in executions if one[1]]
    return sum(redis.pipeline_or_raise(commands))


def _refuse_too_much_output(size_bytes: int, most_bytes: int) -> None:
    """Read nothing that would take a multiple of it in memory, and that nobody takes in one answer."""
    if size_bytes > most_bytes:
        raise RequestInvalid(
            f"the output of all instances has {size_bytes} bytes, and one answer at most {most_bytes}: name an "
            "InstanceId, ask for fewer on a page, or page through DescribeInvocationResults",
            code="InvalidParameter.IncludeOutput",
        )


def _with_loaded(
    one: DescribedInvocation, loaded: Sequence[ExecutionRow | None], *, is_whole: bool
) -> DescribedInvocation:
    rows = [row for row in loaded if row is not None]
    if one.stored.settled is not None or not is_whole:
        return msgspec.structs.replace(one, rows=rows)
    # An execution may have ended since the states were read: the whole must not contradict its parts.
    states = [(row.state, row.outcome.error_code) if row else ("", "") for row in loaded]
    status = fold(states, active=one.stored.active)
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


def _states_of(one: DescribedInvocation) -> Sequence[str]:
    """The words under which a listing shows where it stands; files have words of their own."""
    if one.stored.record.file is not None:
        return [file_status(one.status.counts)]
    return one.status.state.value, one.legacy_status


def _matches(one: DescribedInvocation, wanted: InvocationFilter) -> bool:
    record = one.stored.record
    name = record.command.name
    return (
        (record.file is not None) == wanted.files
        and (not wanted.command_id or record.command.command_id == wanted.command_id)
        # Files are found by their exact name.
        and (wanted.command_name in ("", name) if wanted.files else like(name, wanted.command_name))
        and (not wanted.command_type or record.command.type.value == wanted.command_type)
        and (not wanted.repeat_mode or record.schedule.repeat_mode.value == wanted.repeat_mode)
        and (wanted.timed is None or one.stored.active == wanted.timed)
        and (not wanted.status or wanted.status in _states_of(one))
        and (not wanted.resource_group_id or record.resource_group_id == wanted.resource_group_id)
        and has_tags(record.tags, wanted.tags)
    )
