"""Turn a work order into the script that the execution package runs."""

from collections.abc import Mapping
from typing import cast

from ..broker_config.error_codes import ErrorCode
from ..broker_config.messages import Envelope, WorkOrder
from ..broker_config.settings_table import AgentSettings
from .execution.not_started import NotStarted
from .execution.script import Script, ScriptType, TerminationMode


def script_of(
    order: WorkOrder,
    envelope: Envelope,
    execution_id: str,
    instance_id: str,
    settings: AgentSettings,
    secrets: Mapping[str, str],
    environment: Mapping[str, str] | None = None,
) -> Script:
    """Build the script of one execution; ``environment`` is what this agent tells every script.

    Raises:
        NotStarted: the order asks for something that this agent cannot do.
    """
    if order.container_id or order.container_name:
        raise NotStarted(
            ErrorCode.CLIENT_NEED_UPGRADE, "this agent does not run commands in containers; leave the container out"
        )
    return Script(
        execution_id=execution_id,
        instance_id=instance_id,
        invoke_id=envelope.invoke_id,
        command_id=order.command_id,
        command_name=order.command_name,
        script_type=cast(ScriptType, order.type),
        content=order.content,
        launcher=order.launcher,
        working_directory=order.working_directory,
        username=order.username,
        parameters=order.parameters,
        secrets=secrets,
        timeout_seconds=order.timeout_seconds,
        grace_seconds=order.grace_seconds or settings.grace_seconds,
        termination_mode=cast(TerminationMode, order.termination_mode or "ProcessTree"),
        output_limit_bytes=settings.output_limit_bytes,
        drain_seconds=settings.drain_seconds,
        keep_script=settings.keep_scripts,
        attempt=envelope.attempt,
        environment=environment or {},
    )
