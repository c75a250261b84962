"""Read how a command is to be run: the options that InvokeCommand and RunCommand share."""

import re
from collections.abc import Mapping

import msgspec

from ....broker_config.records import RepeatMode, Schedule
from ....broker_config.untrusted_input import UntrustedDecoder
from ...commands import script_parameters
from ...invocations.invoking import RunOptions
from ..api_errors import api_error
from .action import Call
from .parameters import SECRET_PARAMETERS, Parameters
from .request_values import tags_of, timeout_of

_CONTAINER_ID = re.compile(r"(?:(?:docker|containerd|cri-o)://)?[0-9a-f]{64}")
_CONTAINER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}")
_WINDOWS_PASSWORD_CHARACTERS = 255
_secrets_decoder = UntrustedDecoder(msgspec.json.Decoder(dict[str, str]))
_DEFAULT_WINDOWS_USERS = ("", "System", "SYSTEM")


def run_options_of(call: Call) -> RunOptions:
    """Read the options; whether the Frequency can be had is checked together with the timeout, later.

    Raises:
        ApiError: with the code of the first option that breaks a rule.
    """
    given = call.parameters
    timeout_seconds = timeout_of(given, 0)
    _check_container(given)
    _check_windows_password(given)
    if given.text("OssOutputDelivery"):
        raise api_error(
            "InvalidParameter.OssOutputDelivery",
            "Output is not delivered to an object store here: it is kept with the result. Leave OssOutputDelivery out.",
        )
    return RunOptions(
        parameters=passed_parameters(given),
        secret_parameters=secret_parameters_of(given),
        timeout_seconds=timeout_seconds,
        working_directory=given.text("WorkingDir"),
        username=given.text("Username"),
        launcher=given.text("Launcher"),
        termination_mode=given.text("TerminationMode"),
        container_id=given.text("ContainerId"),
        container_name=given.text("ContainerName"),
        resource_group_id=given.text("ResourceGroupId"),
        tags=tags_of(given),
        schedule=schedule_of(given),
        requested_by=call.caller.principal,
        at_once=given.text("AtOnce"),
        stop_at=given.text("StopAt"),
    )


def schedule_of(given: Parameters) -> Schedule:
    """Read when to run. ``Frequency`` alone makes a run periodic; ``Timed`` alone is an older client's wish for one.

    A dry run stays one whatever else is asked for: it must never become a run that does something.

    Raises:
        ApiError: ``InvalidRepeatMode.NotFound`` or ``MissingParam.Frequency``.
    """
    mode_text = given.text("RepeatMode")
    frequency = given.text("Frequency").strip()
    try:
        mode = RepeatMode(mode_text) if mode_text else None
    except ValueError as exc:
        raise api_error("InvalidRepeatMode.NotFound", f"There is no repeat mode {mode_text[:40]!r}.") from exc
    wants_timed = given.boolean("Timed", False)
    if frequency:
        if mode == RepeatMode.DRY_RUN:
            return Schedule(repeat_mode=mode)
        return Schedule(repeat_mode=RepeatMode.PERIOD, frequency=frequency)
    if mode == RepeatMode.PERIOD or (wants_timed and mode is None):
        raise api_error("MissingParam.Frequency")
    return Schedule(repeat_mode=mode or RepeatMode.ONCE)


def passed_parameters(given: Parameters) -> Mapping[str, str]:
    """Read ``Parameters``: one JSON object of strings; whether the names fit is checked against the command.

    Raises:
        ApiError: it is no object, a key occurs twice, or a value is not a string.
    """
    found = given.json_object("Parameters", duplicate_code="ParameterKey.Duplicate") or {}
    for key, value in found.items():
        if not isinstance(value, str):
            raise api_error("ParameterType.NotSupported", f"The value of parameter {key[:64]!r} is not a string.")
        if len(key) > script_parameters.NAME_BYTES:
            raise api_error("ParameterKey.ExceedLimit", f"The parameter name {key[:64]!r}… is too long.")
    return {key: str(value) for key, value in found.items()}


def secret_parameters_of(given: Parameters) -> Mapping[str, str]:
    """Read ``SecretParameters``, a field of our own: a JSON object of strings, of which no answer repeats a part.

    Raises:
        ApiError: it is no such object.
    """
    text = given.text(SECRET_PARAMETERS)
    if not text:
        return {}
    try:
        return _secrets_decoder.decode(text)
    except msgspec.MsgspecError:
        raise api_error(
            "InvalidParameter.SecretParameters",
            'SecretParameters is not a JSON object of strings such as {"token": "…"}.',
        ) from None


def _check_container(given: Parameters) -> None:
    container_id, name = given.text("ContainerId"), given.text("ContainerName")
    if container_id and not _CONTAINER_ID.fullmatch(container_id):
        raise api_error("InvalidContainerId.Malformed")
    if name and not _CONTAINER_NAME.fullmatch(name):
        raise api_error("InvalidContainerName.Malformed")


def _check_windows_password(given: Parameters) -> None:
    name = given.text("WindowsPasswordName")
    if len(name) > _WINDOWS_PASSWORD_CHARACTERS:
        raise api_error("WindowsPasswordName.ExceedLimit")
    if name:
        raise api_error("ParameterStore.NotSupported")
    is_windows = given.text("Type") in ("RunBatScript", "RunPowerShellScript")
    if is_windows and given.text("Username") not in _DEFAULT_WINDOWS_USERS:
        raise api_error("WindowsPasswordName.Missed")
