"""What is stored on the control side: commands and invocations, as JSON inside their hashes.

Adding a field needs a default, so that records of an older release still read.
"""

from enum import StrEnum

import msgspec

from .errors import RequestInvalid


class ScriptType(StrEnum):
    """What a command's content is written in."""

    SHELL = "RunShellScript"
    BAT = "RunBatScript"
    POWERSHELL = "RunPowerShellScript"


class RepeatMode(StrEnum):
    """When an invocation runs."""

    ONCE = "Once"
    PERIOD = "Period"
    NEXT_REBOOT_ONLY = "NextRebootOnly"
    EVERY_REBOOT = "EveryReboot"
    DRY_RUN = "DryRun"


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A stored script with its limits and parameters."""

    command_id: str
    name: str
    type: ScriptType
    content: bytes
    created_ms: int
    description: str = ""
    working_directory: str = ""
    timeout_seconds: int = 60
    username: str = ""
    launcher: str = ""
    enable_parameter: bool = False
    #: Names found in the content, in order of first use; built-ins (``acs::…``) included.
    parameter_names: tuple[str, ...] = ()
    #: Parameters whose values are encrypted to each instance; never among the names above.
    secret_names: tuple[str, ...] = ()
    resource_group_id: str = ""
    tags: dict[str, str] = {}
    #: False for the command of a `run`, which goes with its invocation and is not listed.
    kept: bool = True
    #: Made with the master key over all but the tags; empty where there was no master key.
    seal: str = ""


class Pacing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many instances run an invocation, or each firing of a timed one, at the same time, and what ends it early."""

    at_once_count: int
    #: When this many executions did not succeed, no further one is started; 0 for no limit.
    failures_count: int = 0


class Schedule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a timed invocation repeats; empty for a one-off."""

    repeat_mode: RepeatMode = RepeatMode.ONCE
    frequency: str = ""
    timezone: str = ""
    day_rule: str = "either"
    dst_gap: str = "run_after"
    dst_overlap: str = "once"
    overlap: str = "skip"
    misfire: str = ""
    end_ms: int = 0
    max_count: int = 0
    jitter_seconds: float = 0.0
    #: ``None``: all at once. Of one that runs once it stands in the invocation.
    pacing: Pacing | None = None


class FileOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a sent file goes and to whom it belongs."""

    name: str
    target_directory: str
    owner: str = "root"
    group: str = "root"
    mode: str = "0644"
    overwrite: bool = False
    #: How the content was handed in, so that it is shown the same way.
    content_type: str = "PlainText"


class Invocation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The act of running a command on a fixed set of instances; a file delivery is one with ``file`` set."""

    invoke_id: str
    command: Command
    created_ms: int
    target_count: int
    #: Where the end of its executions is announced.
    done_channel: str
    #: Names the payload key; the payload may travel in the rows instead.
    payload_token: str
    timeout_seconds: int = 60
    deliver_within_seconds: int = 60
    working_directory: str = ""
    username: str = ""
    launcher: str = ""
    parameters: dict[str, str] = {}
    #: Names of parameters whose values are stored nowhere in clear.
    secret_names: tuple[str, ...] = ()
    termination_mode: str = ""
    container_id: str = ""
    container_name: str = ""
    schedule: Schedule = Schedule()
    file: FileOptions | None = None
    resource_group_id: str = ""
    tags: dict[str, str] = {}
    requested_by: str = ""
    #: Whether --grace was given for this one; 0 leaves it to the agent.
    grace_seconds: float = 0.0
    #: The command was stored before and is meant to stay.
    command_is_stored: bool = False
    #: ``None``: all at once. Of a timed one it stands in the schedule.
    pacing: Pacing | None = None
    #: Made with the master key over what is dispatched to whom; empty where there was none, and for timed ones.
    dispatch_seal: str = ""


_command_decoder = msgspec.json.Decoder(Command)
_invocation_decoder = msgspec.json.Decoder(Invocation)


def encode(record: Command | Invocation) -> bytes:
    """Write a record as JSON, such as can be read again (3 µs more).

    Raises:
        RequestInvalid: a value is not of its type: Python lets callers hand in anything.
    """
    data = msgspec.json.encode(record)
    try:
        (decode_command if isinstance(record, Command) else decode_invocation)(data)
    except msgspec.ValidationError as exc:
        raise RequestInvalid(f"a value of the request is of the wrong type: {exc}", code="InvalidParameter") from exc
    return data


def decode_command(data: bytes) -> Command:
    """Read a command's record."""
    return _command_decoder.decode(data)


def decode_invocation(data: bytes) -> Invocation:
    """Read an invocation's record."""
    return _invocation_decoder.decode(data)
