"""The environment a script starts with: nothing of the agent's, everything about the invocation."""

from .account import Account
from .not_started import EXECUTION_EXCEPTION, NotStarted
from .script import Script

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: UTF-8 everywhere without a locale package; scripts that want another one set it.
LANGUAGE = "C.UTF-8"
#: The machine's own folder, not one of the execution: what a script puts there for the next one must still be there.
TEMPORARY_FOLDER = "/tmp"
#: In the environment of every process of a script: how they are found after their supervisor was killed.
EXECUTION_MARKER = "CA_EXECUTION_ID"


def parameter_variable(name: str) -> str:
    """Return the variable that carries a parameter: ``log-dir`` becomes ``CA_PARAM_LOG_DIR``."""
    return "CA_PARAM_" + name.upper().replace("-", "_")


def clean_environment(script: Script, account: Account, *, deadline_ms: int) -> dict[str, str]:
    """Return the whole environment of the script.

    Own variables of the script replace the defaults; the facts of the invocation replace both, so that a script
    can trust them.

    Raises:
        NotStarted: a name or value cannot be an environment variable.
    """
    variables = {
        "HOME": account.home,
        "USER": account.name,
        "LOGNAME": account.name,
        "SHELL": account.shell,
        "PATH": SEARCH_PATH,
        "LANG": LANGUAGE,
        "TMPDIR": TEMPORARY_FOLDER,
        **script.environment,
        "CA_INVOKE_ID": script.invoke_id,
        EXECUTION_MARKER: script.execution_id,
        "CA_INSTANCE_ID": script.instance_id,
        "CA_COMMAND_ID": script.command_id,
        "CA_COMMAND_NAME": script.command_name,
        "CA_ATTEMPT": str(script.attempt),
        **({"CA_DEADLINE": str(deadline_ms // 1000)} if deadline_ms else {}),
        **{parameter_variable(name): value for name, value in script.parameters.items()},
    }
    for name, value in variables.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise NotStarted(
                EXECUTION_EXCEPTION, f"{name!r} cannot be an environment variable: no '=' or NUL in it, please"
            )
    return variables
