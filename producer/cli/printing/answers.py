"""Objects of ``--output json`` that are put together from more than one thing."""

from collections.abc import Sequence

from ....broker_config.results import ExecutionRow
from ...commands.command_library import StoredCommand
from ...invocations.describing import DescribedInvocation
from ...shapes import Shape, as_base64, as_text, command_shape, full_result_shape, invocation_shape


def invocation_object(invoke_id: str, command_id: str, status: str, rows: Sequence[ExecutionRow] | None) -> Shape:
    """What `run` and `invocation results` answer; without rows the results are left out."""
    shape: Shape = {"InvokeId": invoke_id, "CommandId": command_id, "InvocationStatus": str(status)}
    if rows is not None:
        shape["InvocationResults"] = [full_result_shape(row) for row in rows]
    return shape


def command_object(stored: StoredCommand) -> Shape:
    """A command with its content as text and, exactly, in Base64."""
    shape = command_shape(stored, as_text)
    shape["CommandContentBase64"] = as_base64(stored.command.content)
    return shape


def invocation_summary_object(one: DescribedInvocation) -> Shape:
    """An invocation with counts by state, its content as text and, exactly, in Base64; outputs left out."""
    record = one.stored.record
    shape = invocation_shape(one, as_text, include_output=False)
    shape["CommandContentBase64"] = as_base64(record.command.content)
    shape["TargetCount"] = record.target_count
    for shown, row in zip(shape["InvokeInstances"]["InvokeInstance"], one.rows, strict=True):
        # To the API a timed one waits for its next execution; whoever asks here wants to know how the last one went.
        shown["InvocationStatus"] = row.state
    shape["CountsByStatus"] = {state: count for state, count in one.status.counts.items() if count}
    return shape
