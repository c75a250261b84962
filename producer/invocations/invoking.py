"""Build the records of an invocation from a command and the options of one request."""

from collections.abc import Mapping
from typing import Any

import msgspec

from ...broker_config import keys
from ...broker_config.clock import now_ms
from ...broker_config.errors import RequestInvalid
from ...broker_config.ids import new_id, new_token
from ...broker_config.messages import WorkOrder
from ...broker_config.records import Command, Invocation, RepeatMode, Schedule
from ...broker_config.settings_table import LimitSettings
from .. import validation
from ..argument_kinds import must_be
from ..commands import script_parameters, secret_parameters
from ..commands.secret_parameters import SecretValues
from ..timed.modes import is_timed
from . import pacing


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What one request may say beyond the command; empty fields leave the command's own value."""

    parameters: Mapping[str, str] = {}
    #: Values of the command's secret parameters; shown and stored nowhere.
    secret_parameters: Mapping[str, str] = {}
    timeout_seconds: int = 0
    working_directory: str = ""
    username: str = ""
    launcher: str = ""
    termination_mode: str = ""
    #: 0 leaves it to the agent (``agent.grace_seconds``); 0.001 is none.
    grace_seconds: float = 0.0
    deliver_within_seconds: int = 0
    container_id: str = ""
    container_name: str = ""
    resource_group_id: str = ""
    tags: Mapping[str, str] = {}
    schedule: Schedule = Schedule()
    #: How many instances run it at the same time, and how many failures end it: ``10`` or ``10%`` of the targets.
    at_once: str = ""
    stop_at: str = ""
    requested_by: str = ""

    def __post_init__(self) -> None:
        if self.secret_parameters:
            # Options are logged and compared by their text.
            msgspec.structs.force_setattr(self, "secret_parameters", SecretValues(self.secret_parameters))


class Prepared(msgspec.Struct, frozen=True):
    """A checked invocation, the work order that goes with it, and the values that are in neither."""

    invocation: Invocation
    order: WorkOrder
    secrets: Mapping[str, str] = {}


def with_secrets(options: RunOptions, values: Mapping[str, str] | None) -> RunOptions:
    """Add secret values to options."""
    must_be(RunOptions, options, "options", "RunOptions(…)")
    if not values:
        return options
    return msgspec.structs.replace(options, secret_parameters={**options.secret_parameters, **values})


def prepare(
    command: Command,
    options: RunOptions,
    limits: LimitSettings,
    *,
    target_count: int,
    done_channel: str = "",
    region_id: str = "",
    stored: bool,
    secrets_are_sealed: bool = False,
) -> Prepared:
    """Check the options against the command and make the records; nothing is stored.

    ``secrets_are_sealed`` says that the values of its secret parameters are stored already, sealed, and stay.

    Raises:
        RequestInvalid, NotFound, Refused: with the API's code.
    """
    if options.container_id or options.container_name:
        raise RequestInvalid(
            "running inside a container is not supported; run the container's own client in the script",
            code="InvalidContainerId.Malformed" if options.container_id else "InvalidContainerName.Malformed",
        )
    secrets: Mapping[str, str] = {}
    if not secrets_are_sealed and (command.secret_names or options.secret_parameters):
        secrets = secret_parameters.check_values(command, options.secret_parameters, options.parameters)
    enabled = command.enable_parameter or bool(command.parameter_names)
    values = script_parameters.check_values(command.parameter_names, options.parameters, enabled=enabled)
    content = command.content
    if command.enable_parameter:
        validation.content_size(script_parameters.substituted_bytes(content, values), limits)
        content = script_parameters.substitute(content, values)
    validation.content(content, limits)
    timeout = options.timeout_seconds or command.timeout_seconds
    within = options.deliver_within_seconds or limits.deliver_within_seconds
    created_ms = now_ms()
    invocation = Invocation(
        invoke_id=new_id("t"),
        command=command,
        created_ms=created_ms,
        target_count=target_count,
        done_channel=done_channel or keys.done_channel(new_token()),
        payload_token=new_token(),
        timeout_seconds=validation.timeout_seconds(timeout, limits),
        deliver_within_seconds=validation.deliver_within_seconds(within, limits),
        working_directory=validation.working_directory(options.working_directory or command.working_directory),
        username=validation.username(options.username or command.username),
        launcher=validation.launcher(options.launcher or command.launcher),
        parameters=dict(values),
        secret_names=command.secret_names,
        termination_mode=validation.termination_mode(options.termination_mode),
        **_when(options, target_count),
        resource_group_id=validation.resource_group_id(options.resource_group_id),
        tags=validation.tags(options.tags),
        requested_by=options.requested_by,
        grace_seconds=validation.grace_seconds(options.grace_seconds, limits),
        command_is_stored=stored,
    )
    return Prepared(invocation, work_order(invocation, content, region_id), secrets)


def _when(options: RunOptions, target_count: int) -> dict[str, Any]:
    """The schedule and the pacing of an invocation; that of a timed one is part of its schedule."""
    paced = pacing.of_request(options.at_once, options.stop_at, target_count, options.schedule)
    if is_timed(options.schedule):
        return {"schedule": msgspec.structs.replace(options.schedule, pacing=paced)}
    return {"schedule": options.schedule, "pacing": paced}


def work_order(invocation: Invocation, content: bytes, region_id: str = "") -> WorkOrder:
    """The work order of an invocation whose parameters are already in ``content``."""
    command = invocation.command
    return WorkOrder(
        command_id=command.command_id,
        command_name=command.name,
        type=command.type.value,
        content=content,
        timeout_seconds=invocation.timeout_seconds,
        launcher=invocation.launcher,
        working_directory=invocation.working_directory,
        username=invocation.username,
        parameters=invocation.parameters,
        built_ins=command.enable_parameter,
        termination_mode=invocation.termination_mode,
        grace_seconds=invocation.grace_seconds,
        dry_run=invocation.schedule.repeat_mode == RepeatMode.DRY_RUN,
        region_id=region_id,
        secret_names=invocation.secret_names,
    )
