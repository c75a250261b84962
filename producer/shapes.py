"""The API's own names for what we answer: plain dictionaries, as the gateway and ``--output json`` send them.

Text views replace what is not valid UTF-8; the exact bytes stand beside them in ``OutputBase64``.
"""

import base64
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ..broker_config.clock import iso_minutes, iso_seconds
from ..broker_config.ledger import StoredInvocation
from ..broker_config.records import Command, Invocation, Pacing
from ..broker_config.reported_values import decimal_number, whole_number
from ..broker_config.results import STDERR, STDOUT, ExecutionRow
from ..broker_config.states import ExecutionState, legacy_record_status, shown_state
from .commands.command_library import StoredCommand
from .fleet.instances import StoredInstance
from .invocations.describing import DescribedInvocation
from .invocations.describing_results import DescribedResult

Shape = dict[str, Any]
Encoding = Callable[[bytes], str]


def as_text(data: bytes) -> str:
    """Show bytes as text, what is not UTF-8 as U+FFFD."""
    return data.decode("utf-8", "replace")


def as_base64(data: bytes) -> str:
    """Show bytes as Base64."""
    return base64.b64encode(data).decode()


def tag_list(tags: Mapping[str, str]) -> list[Shape]:
    """The flat form in which instances and activations carry tags."""
    return [{"TagKey": key, "TagValue": value} for key, value in tags.items()]


def tags_shape(tags: Mapping[str, str]) -> Shape:
    """The nested form in which all else carries them."""
    return {"Tag": tag_list(tags)}


def command_shape(stored: StoredCommand, content_as: Encoding) -> Shape:
    """One command of DescribeCommands."""
    command = stored.command
    definitions = [_definition(name) for name in command.parameter_names]
    # A field of our own: the service has no secret parameters.
    definitions += [{**_definition(name), "Required": True, "Secret": True} for name in command.secret_names]
    return {
        "CommandId": command.command_id,
        "Name": command.name,
        "Type": command.type.value,
        "Description": command.description,
        "CommandContent": content_as(command.content),
        "WorkingDir": command.working_directory,
        "Timeout": command.timeout_seconds,
        "CreationTime": iso_minutes(command.created_ms),
        "Username": command.username,
        "EnableParameter": command.enable_parameter,
        "Launcher": command.launcher,
        "ParameterNames": {"ParameterName": list(command.parameter_names)},
        "ParameterDefinitions": {"ParameterDefinition": definitions},
        "InvokeTimes": stored.invoke_count,
        "Provider": "",
        "Category": "",
        "ResourceGroupId": command.resource_group_id,
        "Tags": tags_shape(command.tags),
    }


def _definition(name: str) -> Shape:
    return {
        "ParameterName": name,
        "Description": "",
        "Required": False,
        "DefaultValue": "",
        "PatternRegex": "",
        "PossibleValues": {"PossibleValue": []},
    }


def execution_shape(row: ExecutionRow, output_as: Encoding) -> Shape:
    """What every view of one execution shares."""
    outcome = row.outcome
    shape: Shape = {
        "InstanceId": row.instance_id,
        "InvocationStatus": row.state,
        "Output": output_as(outcome.output.data),
        "Dropped": outcome.output.dropped_bytes,
        "ErrorCode": outcome.error_code,
        "ErrorInfo": outcome.error_info,
        "StartTime": iso_seconds(outcome.started_ms),
        "StopTime": iso_seconds(row.stop_ms),
    }
    if outcome.exit_code is not None:
        shape["ExitCode"] = outcome.exit_code
    return shape


def result_shape(one: DescribedResult, output_as: Encoding) -> Shape:
    """One result of DescribeInvocationResults."""
    row = one.row
    record = one.stored.record if one.stored else None
    return {
        "InvokeId": row.invoke_id,
        "CommandId": row.command_id,
        **execution_shape(row, output_as),
        "InvocationStatus": one.state,
        "InvokeRecordStatus": one.legacy_status,
        "Repeats": _repeats(one.stored, row),
        "FinishedTime": _finished_time(row),
        "Username": record.username if record else "",
        "ContainerId": record.container_id if record else "",
        "ContainerName": record.container_name if record else "",
        "Launcher": record.launcher if record else "",
        "TerminationMode": record.termination_mode if record else "",
        "Tags": tags_shape(record.tags if record else {}),
        "OssOutputDelivery": "",
        "OssOutputUri": "",
        "OssOutputStatus": "",
        "OssOutputErrorCode": "",
        "OssOutputErrorInfo": "",
    }


def full_result_shape(row: ExecutionRow) -> Shape:
    """One result with all that we know of it, as the command line shows it."""
    outcome = row.outcome
    shape = execution_shape(row, as_text)
    shape.update(
        {
            "InvokeId": row.invoke_id,
            "CommandId": row.command_id,
            "InvokeRecordStatus": legacy_record_status(row.state),
            "ExitCode": outcome.exit_code,
            "Signal": outcome.signal,
            "OutputBase64": as_base64(outcome.output.data),
            "StandardOutput": as_text(outcome.output.stream(STDOUT)),
            "StandardError": as_text(outcome.output.stream(STDERR)),
            "GapAt": outcome.output.gap_at if outcome.output.dropped_bytes else None,
            "CreationTime": iso_seconds(row.created_ms),
            "FinishedTime": iso_seconds(outcome.finished_ms),
            "DurationMs": max(0, outcome.finished_ms - outcome.started_ms)
            if outcome.finished_ms and outcome.started_ms
            else None,
            "Survivors": outcome.survivors,
            "LeftRunning": outcome.left_running,
            "Steps": list(outcome.steps),
            "Notes": list(outcome.notes),
            "History": list(row.history),
        }
    )
    return shape


def invocation_shape(one: DescribedInvocation, content_as: Encoding, *, include_output: bool) -> Shape:
    """One invocation of DescribeInvocations."""
    stored, record = one.stored, one.stored.record
    command = record.command
    instances = [_invoke_instance_shape(one, row, content_as, include_output=include_output) for row in one.rows]
    return {
        "InvokeId": record.invoke_id,
        **_command_of(command, content_as),
        "InvocationStatus": one.status.state.value,
        "InvokeStatus": one.legacy_status,
        "RepeatMode": record.schedule.repeat_mode.value,
        "Timed": stored.active,
        "Frequency": record.schedule.frequency,
        "Timeout": record.timeout_seconds,
        "Parameters": msgspec.json.encode(record.parameters).decode(),
        "Username": record.username,
        "WorkingDir": record.working_directory,
        "Launcher": record.launcher,
        "ContainerId": record.container_id,
        "ContainerName": record.container_name,
        "TerminationMode": record.termination_mode,
        "OssOutputDelivery": "",
        "CreationTime": iso_seconds(record.created_ms),
        "Tags": tags_shape(record.tags),
        **_pacing_of(record),
        "InvokeInstances": {"InvokeInstance": instances},
    }


def _pacing_of(record: Invocation) -> Shape:
    """Fields of our own, of those alone that do not run everywhere at once."""
    return pacing_shape(record.pacing or record.schedule.pacing)


def pacing_shape(pacing: Pacing | None) -> Shape:
    """How many at once, and how many failures end it; nothing where it runs everywhere at once."""
    if pacing is None:
        return {}
    return {"AtOnce": pacing.at_once_count, **({"StopAt": pacing.failures_count} if pacing.failures_count else {})}


def _command_of(command: Command, content_as: Encoding) -> Shape:
    return {
        "CommandId": command.command_id,
        "CommandName": command.name,
        "CommandDescription": command.description,
        "CommandType": command.type.value,
        "CommandContent": content_as(command.content),
    }


def _invoke_instance_shape(
    one: DescribedInvocation, row: ExecutionRow, output_as: Encoding, *, include_output: bool
) -> Shape:
    stored = one.stored
    state = shown_state(row.state, goes_on=row.instance_id in one.going_on)
    shape = execution_shape(row, output_as)
    if not include_output:
        shape["Output"] = ""
    finished = _finished_time(row)
    shape.update(
        {
            "InvocationStatus": state,
            "InstanceInvokeStatus": legacy_record_status(state),
            "Repeats": _repeats(stored, row),
            "Timed": stored.active,
            "CreationTime": iso_seconds(row.created_ms),
            "FinishTime": finished,
            "UpdateTime": finished or iso_seconds(row.outcome.started_ms or row.created_ms),
            "OssOutputUri": "",
            "OssOutputStatus": "",
            "OssOutputErrorCode": "",
            "OssOutputErrorInfo": "",
        }
    )
    return shape


def _finished_time(row: ExecutionRow) -> str:
    """When an execution ended. In the API a timeout ends it on time, however long its processes took to go."""
    outcome = row.outcome
    if row.state == ExecutionState.TIMEOUT and outcome.started_ms and row.timeout_seconds:
        return iso_seconds(min(outcome.finished_ms, outcome.started_ms + row.timeout_seconds * 1000))
    return iso_seconds(outcome.finished_ms)


def _repeats(stored: StoredInvocation | None, row: ExecutionRow) -> int:
    """How often it ran on the row's instance up to this execution: targets do not march in step."""
    has_run = 1 if row.claimed_ms else 0
    if stored is None or not stored.timed:
        return has_run
    if row.repeats:
        return row.repeats - 1 + has_run
    # Written by an earlier release: every due time counts.
    return stored.repeats if row.execution_id else 0


def instance_shape(stored: StoredInstance) -> Shape:
    """One instance as the command line shows it."""
    report = stored.report
    return {
        "InstanceId": stored.instance_id,
        "InstanceName": stored.name,
        "Connected": stored.connected,
        "OSType": report.get("os_type", ""),
        "OSName": report.get("os_name", ""),
        "Hostname": report.get("hostname", ""),
        "AgentVersion": report.get("agent_version", ""),
        "UpgradeVersion": report.get("upgrade_version", ""),
        "UpgradeStage": report.get("upgrade_stage", ""),
        "UpgradeReason": report.get("upgrade_reason", ""),
        "User": report.get("user", ""),
        "Running": whole_number(report.get("running_count")),
        "Waiting": whole_number(report.get("waiting_count")),
        "Slots": whole_number(report.get("slots")),
        "Kernel": report.get("kernel", ""),
        "Architecture": report.get("arch", ""),
        "IpAddress": report.get("ip_address", ""),
        "IpAddresses": [one for one in report.get("ip_addresses", "").split(",") if one],
        "ProcessorCount": whole_number(report.get("processor_count")),
        "MemoryBytes": whole_number(report.get("memory_bytes")),
        "DiskFreeBytes": whole_number(report.get("disk_free_bytes")),
        "UnreportedCount": whole_number(report.get("unreported_count")),
        "AgentMemoryBytes": whole_number(report.get("agent_memory_bytes")),
        "AgentCpuPercent": whole_number(report.get("agent_cpu_percent")),
        "ClockOffsetMs": int(decimal_number(report.get("clock_offset_ms"))),
        "LastHeartbeatTime": iso_seconds(whole_number(report.get("heartbeat_ms"))),
        "RegistrationTime": iso_seconds(stored.registered_ms),
        "InvocationCount": stored.invocation_count,
        "LastInvokedTime": iso_seconds(stored.last_invoked_ms),
        "Quarantined": stored.quarantined,
        "Tags": tag_list(stored.tags),
    }
