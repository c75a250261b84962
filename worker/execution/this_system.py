"""How scripts run on this system: under supervisors that outlive the agent, or watched by the agent itself.

Supervisors need Linux 5.3. Windows has job objects, and no way to fork; elsewhere a session has to do.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from .launching import Launching
from .plan import Plan
from .script import Script
from .watched.watched_launcher import WatchedLauncher

if os.name == "nt":
    from .windows.prepare import prepare_on_windows
    from .windows.process import WindowsSystem
    from .windows.user import user_name
else:
    from .account import account_of
    from .fork_server import is_supported
    from .launcher import Launcher
    from .prepare import prepare as prepare_on_posix
    from .watched.posix_process import SessionSystem


def new_launcher() -> Launching:
    """Make what runs the scripts of an agent."""
    if os.name == "nt":
        return WatchedLauncher(WindowsSystem())
    return Launcher() if is_supported() else WatchedLauncher(SessionSystem())


def scripts_outlive_agent() -> bool:
    """Tell whether a script goes on when its agent ends."""
    return os.name != "nt" and is_supported()


def prepare(script: Script, folder: Path | str, inherited: Mapping[str, str]) -> Plan:
    """Check a script against this machine, and return the plan to run it; nothing is written.

    Of ``inherited``, the agent's own environment, programs of Windows get what they cannot start without.

    Raises:
        NotStarted: the script cannot run here.
    """
    return prepare_on_windows(script, Path(folder), inherited) if os.name == "nt" else prepare_on_posix(script, folder)


def own_user_name() -> str:
    """The name of the agent's own user."""
    return user_name() if os.name == "nt" else account_of("").name
