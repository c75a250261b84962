"""The API's own names for a file that was sent and how that went."""

from ..broker_config.clock import iso_seconds
from ..broker_config.records import Invocation
from ..broker_config.results import ExecutionRow
from .file_status import file_status
from .invocations.describing import DescribedInvocation
from .shapes import Encoding, Shape, as_base64, as_text, pacing_shape, tags_shape


def file_path(record: Invocation) -> str:
    """Where the file is to be; ``""`` for an invocation of a command."""
    return f"{record.file.target_directory}/{record.file.name}" if record.file else ""


def file_shape(one: DescribedInvocation) -> Shape:
    """One file of DescribeSendFileResults; the content is shown as it was handed in."""
    record = one.stored.record
    file = record.file
    if file is None:
        return {}
    encode: Encoding = as_base64 if file.content_type == "Base64" else as_text
    return {
        "InvokeId": record.invoke_id,
        "Name": file.name,
        "Description": record.command.description,
        "TargetDir": file.target_directory,
        "ContentType": file.content_type,
        "Content": encode(record.command.content),
        "FileOwner": file.owner or "root",
        "FileGroup": file.group or "root",
        "FileMode": file.mode,
        # Text, as the typed clients have it.
        "Overwrite": "true" if file.overwrite else "false",
        "CreationTime": iso_seconds(record.created_ms),
        "VmCount": record.target_count,
        "InvocationStatus": file_status(one.status.counts),
        "ResourceGroupId": record.resource_group_id,
        "Tags": tags_shape(record.tags),
        **pacing_shape(record.pacing),
        "InvokeInstances": {"InvokeInstance": [_delivery_shape(row) for row in one.rows]},
    }


def _delivery_shape(row: ExecutionRow) -> Shape:
    finished = iso_seconds(row.outcome.finished_ms)
    return {
        "InstanceId": row.instance_id,
        "InvocationStatus": row.state,
        "CreationTime": iso_seconds(row.created_ms),
        "StartTime": iso_seconds(row.outcome.started_ms),
        "FinishTime": finished,
        "UpdateTime": finished or iso_seconds(row.outcome.started_ms or row.created_ms),
        "ErrorCode": row.outcome.error_code,
        "ErrorInfo": row.outcome.error_info,
    }
