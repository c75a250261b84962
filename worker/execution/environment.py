"""The environment a script starts with on Linux: nothing of the agent's, everything about the invocation."""

from .account import Account
from .invocation_facts import checked, facts_of
from .script import Script

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: UTF-8 everywhere without a locale package; scripts that want another one set it.
LANGUAGE = "C.UTF-8"
#: The machine's own folder, not one of the execution: what a script puts there for the next one must still be there.
TEMPORARY_FOLDER = "/tmp"


def clean_environment(script: Script, account: Account, *, now_ms: int) -> dict[str, str]:
    """Return the whole environment of the script.

    Own variables of the script replace the defaults; the facts of the invocation replace both, so that a script
    can trust them.

    Raises:
        NotStarted: a name or value cannot be an environment variable.
    """
    return checked(
        {
            "HOME": account.home,
            "USER": account.name,
            "LOGNAME": account.name,
            "SHELL": account.shell,
            "PATH": SEARCH_PATH,
            "LANG": LANGUAGE,
            "TMPDIR": TEMPORARY_FOLDER,
            **script.environment,
            **facts_of(script, now_ms=now_ms),
        }
    )
