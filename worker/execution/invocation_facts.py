"""What every script is told about its invocation, as environment variables; the same on every system."""

from collections.abc import Mapping

from .not_started import EXECUTION_EXCEPTION, NotStarted
from .script import Script

#: In the environment of every process of a script: how they are found after their supervisor was killed.
EXECUTION_MARKER = "CA_EXECUTION_ID"


def parameter_variable(name: str) -> str:
    """Return the variable that carries a parameter: ``log-dir`` becomes ``CA_PARAM_LOG_DIR``."""
    return "CA_PARAM_" + name.upper().replace("-", "_")


def facts_of(script: Script, *, now_ms: int) -> dict[str, str]:
    """Return the variables of this execution; the deadline is the script's own, else the moment of its timeout."""
    deadline_ms = script.deadline_ms
    if not deadline_ms and script.timeout_seconds:
        deadline_ms = now_ms + int(script.timeout_seconds * 1000)
    return {
        "CA_INVOKE_ID": script.invoke_id,
        EXECUTION_MARKER: script.execution_id,
        "CA_INSTANCE_ID": script.instance_id,
        "CA_COMMAND_ID": script.command_id,
        "CA_COMMAND_NAME": script.command_name,
        "CA_ATTEMPT": str(script.attempt),
        **({"CA_DEADLINE": str(deadline_ms // 1000)} if deadline_ms else {}),
        **{parameter_variable(name): value for name, value in script.parameters.items()},
        **{parameter_variable(name): value for name, value in script.secrets.items()},
    }


def checked(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables.

    Raises:
        NotStarted: a name or value cannot be an environment variable on any system.
    """
    for name, value in variables.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise NotStarted(
                EXECUTION_EXCEPTION, f"{name!r} cannot be an environment variable: no '=' or NUL in it, please"
            )
    return dict(variables)
