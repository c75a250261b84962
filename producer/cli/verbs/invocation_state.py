"""Read one invocation with the latest result of each target."""

from collections.abc import Mapping, Sequence

from ....broker_config.errors import NotFound
from ....broker_config.programs.counted import counted
from ....broker_config.results import ExecutionRow
from ...fleet.targets import refuse_strangers
from ...invocations.describing import DescribedInvocation, InvocationFilter
from ...shapes import Shape
from ..call import Call
from ..exit_codes import DONE


def one_invocation(call: Call, invoke_id: str) -> DescribedInvocation:
    """Read it with its rows; a file that was sent is one too.

    Raises:
        NotFound: there is none.
    """
    wanted = InvocationFilter(invoke_id=invoke_id, files=invoke_id.startswith("f-"))
    found = call.assistant.describe_invocations(wanted, with_rows=True).items
    if not found:
        raise NotFound(
            f"no invocation {invoke_id}; `assist invocation list` shows those kept", code="InvalidInvokeId.NotFound"
        )
    return found[0]


def rows_of(one: DescribedInvocation, instance_ids: Sequence[str]) -> list[ExecutionRow]:
    """List the rows of some instances, or of all when none is named.

    Raises:
        NotFound: an instance is not one of its targets.
    """
    refuse_strangers(one.stored.record.invoke_id, instance_ids, (row.instance_id for row in one.rows))
    return [row for row in one.rows if not instance_ids or row.instance_id in instance_ids]


def stop_unreadable(call: Call, invoke_id: str, instance_ids: Sequence[str]) -> int:
    """Stop an invocation that cannot be read, and so not be shown; answers the exit code."""
    changed = call.assistant.stop_invocation(invoke_id, instance_ids)
    where = f" on {', '.join(instance_ids)}" if instance_ids else ""
    call.tell(
        {"InvokeId": invoke_id, "Stopped": stopped_shape(changed)},
        f"{invoke_id} stopped{where}, though it cannot be read; ended: {counted(len(changed), 'execution')}",
    )
    return DONE


def stopped_shape(changed: Mapping[str, str]) -> list[Shape]:
    """The new state of each instance where something was stopped."""
    return [{"InstanceId": name, "InvocationStatus": state} for name, state in changed.items()]
