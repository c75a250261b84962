"""What is to be run, as the agent knows it; nothing here is resolved against this machine yet."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

ScriptType = Literal["RunShellScript", "RunBatScript", "RunPowerShellScript"]
TerminationMode = Literal["ProcessTree", "Process"]

#: The API's own limit for the output of one execution.
OUTPUT_LIMIT_BYTES = 24 * 1024
#: How long a script may tidy up between the request to end and the kill.
GRACE_SECONDS = 5.0
#: How long output is still read after the main process ended while something else holds the pipes.
DRAIN_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """One attempt to run one command on this instance.

    An empty ``username`` means whoever the agent is, an empty ``working_directory`` that user's home, an empty
    ``launcher`` the interpreter of the script's first line, a ``timeout_seconds`` of 0 no limit, and a
    ``deadline_ms`` of 0 the moment at which the timeout will strike. ``deadline_ms`` is only told to the script.
    """

    execution_id: str
    instance_id: str
    invoke_id: str
    command_id: str
    command_name: str
    script_type: ScriptType
    content: bytes
    launcher: str = ""
    working_directory: str = ""
    username: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    #: Like parameters, and masked in the output.
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_seconds: float = 60.0
    grace_seconds: float = GRACE_SECONDS
    termination_mode: TerminationMode = "ProcessTree"
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES
    drain_seconds: float = DRAIN_SECONDS
    keep_script: bool = False
    deadline_ms: int = 0
    attempt: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
