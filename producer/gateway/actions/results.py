"""DescribeInvocationResults: today's shape and the one of 2017, at once or when something has changed."""

from collections.abc import Callable, Mapping

from ....broker_config.clock import monotonic_seconds
from ....broker_config.ledger import StoredInvocation, execution_states, fold, load_invocations, load_targets, status_of
from ....broker_config.states import is_final, legacy_invoke_status
from ....broker_config.unreadable import readable
from ...api import Assistant
from ...invocations.describing_results import DescribedResult, ResultFilter
from ...paging import Page
from ...shapes import Encoding, Shape, result_shape
from ...visibility import EVERYTHING
from ..access.scope_guard import visible_to
from ..change_bell import ChangeBell
from .action import Action, Call, Fields, NotYet
from .instance_ids import one_instance_id_of
from .request_values import encoding_of, page_fields, page_request_of, tag_filter_of

#: Our own parameter: how long to hold the answer back while nothing changes.
WAIT_SECONDS_MOST = 30
#: The ledger is looked at this often even if nothing was announced.
_LOOK_MS = 2_000
#: The same where there is no invocation whose channel one could listen to.
_LOOK_WITHOUT_CHANNEL_MS = 500
#: The fields of a result that the shape of 2017 has.
_FIELDS_OF_2017 = ("InstanceId", "FinishedTime", "Output", "ExitCode")


class ResultActions:
    """Results of executions."""

    def __init__(self, assistant: Assistant, bell: ChangeBell) -> None:
        self._assistant = assistant
        self._bell = bell

    def table(self) -> Mapping[str, Action]:
        """The actions by name."""
        return {"DescribeInvocationResults": self.describe_invocation_results}

    def describe_invocation_results(self, call: Call) -> Fields | NotYet:
        """List results: of one invocation in the order of its targets, else newest first.

        With ``WaitSeconds`` the answer comes as soon as one of the results on this page has changed, at once when
        all of them are final, and at the latest when the time is up.
        """
        given = call.parameters
        page_request = page_request_of(call)
        wanted = ResultFilter(
            invoke_id=given.text("InvokeId"),
            instance_id=one_instance_id_of(given),
            command_id=given.text("CommandId"),
            record_status=given.text("InvokeRecordStatus") or given.text("InvocationStatus"),
            include_history=given.boolean("IncludeHistory", False),
            resource_group_id=given.text("ResourceGroupId"),
            tags=tag_filter_of(given),
            visible=visible_to(call, self._assistant.redis),
        )
        wait_seconds = given.integer("WaitSeconds", 0, minimum=0, maximum=WAIT_SECONDS_MOST)
        encoding = encoding_of(given)
        page = self._assistant.describe_invocation_results(wanted, page_request)
        fields = self._fields(call, wanted, page, encoding)
        if not wait_seconds or _is_over(page):
            return fields
        ends_at = monotonic_seconds() + wait_seconds
        seen = _mark(page)

        def look() -> Fields | NotYet:
            later = self._assistant.describe_invocation_results(wanted, page_request)
            now_fields = self._fields(call, wanted, later, encoding)
            if _mark(later) != seen or monotonic_seconds() >= ends_at:
                return now_fields
            return self._not_yet(now_fields, later, look, ends_at)

        return self._not_yet(fields, page, look, ends_at)

    def _not_yet(
        self, fields: Fields, page: Page[DescribedResult], look: Callable[[], Fields | NotYet], ends_at: float
    ) -> NotYet:
        remaining_ms = max(1, int((ends_at - monotonic_seconds()) * 1000))
        stored = page.items[0].stored if page.items else None
        if stored is None or any(one.stored is not stored for one in page.items):
            return NotYet(fields, look, min(remaining_ms, _LOOK_WITHOUT_CHANNEL_MS))
        record = stored.record

        def listen(ring: Callable[[], None]) -> Callable[[], None]:
            ear = self._bell.listen(record.done_channel, record.invoke_id, ring)
            return lambda: self._bell.leave(ear)

        return NotYet(fields, look, min(remaining_ms, _LOOK_MS), listen)

    def _fields(self, call: Call, wanted: ResultFilter, page: Page[DescribedResult], encoding: Encoding) -> Fields:
        shapes = [result_shape(one, encoding) for one in page.items]
        return {
            "Invocation": {
                **page_fields(page, call.caller),
                "InvocationResults": {"InvocationResult": shapes},
                "InvokeId": wanted.invoke_id,
                "Status": self._status_of_2017(wanted, page),
                "ResultLists": {"ResultItem": [_item_of_2017(one) for one in shapes]},
            }
        }

    def _status_of_2017(self, wanted: ResultFilter, page: Page[DescribedResult]) -> str:
        """The older word for the whole invocation, or for what was asked of it."""
        if not wanted.invoke_id:
            return ""
        if len(page.items) == page.total_count and page.items:
            active = any(one.stored is not None and one.stored.active for one in page.items)
            return legacy_invoke_status([one.row.state for one in page.items], periodic_active=active)
        stored = page.items[0].stored if page.items else self._invocation(wanted.invoke_id)
        if stored is None or stored.record.file is not None or (wanted.visible is not EVERYTHING and not page.items):
            return ""
        counts = self._counts(stored, wanted)
        return legacy_invoke_status([state for state, count in counts.items() if count], periodic_active=stored.active)

    def _counts(self, stored: StoredInvocation, wanted: ResultFilter) -> Mapping[str, int]:
        """How many executions are in which state, of those that the caller may see."""
        redis = self._assistant.redis
        if not wanted.visible.limits_instances:
            return status_of(redis, stored).counts
        seen = wanted.visible.instances(load_targets(redis, stored.record.invoke_id))
        return fold(execution_states(redis, stored, seen)).counts

    def _invocation(self, invoke_id: str) -> StoredInvocation | None:
        return readable(load_invocations(self._assistant.redis, [invoke_id]))[0]


def _item_of_2017(shape: Shape) -> Shape:
    return {name: shape[name] for name in _FIELDS_OF_2017 if name in shape}


def _is_over(page: Page[DescribedResult]) -> bool:
    """Whether no result on the page will change by itself."""
    return bool(page.items) and all(
        is_final(one.row.state) and not (one.stored is not None and one.stored.active) for one in page.items
    )


def _mark(page: Page[DescribedResult]) -> tuple[tuple[str, str, int], ...]:
    return tuple((one.row.execution_id, one.row.state, one.row.outcome.started_ms) for one in page.items)
