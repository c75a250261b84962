"""The property list for launchd (macOS), and how what it describes is started and stopped.

launchd keeps what it has loaded alive, so a process that is ended by a signal comes back: stopping is taking the whole
job out of launchd (``bootout``), starting is putting it in (``bootstrap``). With the machine it starts all the same.
"""

import plistlib
import time

from ...broker_config.clock import monotonic_seconds
from ...broker_config.errors import Refused
from .commands import Say, attempt, run
from .plan import RESTART_SECONDS, STOP_SECONDS, ServicePlan

LABEL = "org.cloud-assistant.agent"
PROPERTY_LIST = f"Library/LaunchDaemons/{LABEL}.plist"

_TARGET = f"system/{LABEL}"
_LOOK_SECONDS = 0.25
#: How long launchd may take to let go of what it ends, and to take what it has just let go of.
_GONE_SECONDS = STOP_SECONDS + 15.0
_TAKEN_SECONDS = 15.0
#: What launchctl answers: it does not know it, an input or output error (it has it, still or already), under way.
_UNKNOWN = (3, 113)
_HAS_IT = (5, 37)
_UNDER_WAY = (36, 37)


def property_list(plan: ServicePlan) -> str:
    """The file for /Library/LaunchDaemons."""
    content = {
        "Label": LABEL,
        "ProgramArguments": [plan.program, *plan.arguments],
        "EnvironmentVariables": plan.environment,
        "RunAtLoad": True,
        # Started while there are credentials, and again whenever it ends.
        "KeepAlive": {"PathState": {plan.config: True}},
        "ThrottleInterval": RESTART_SECONDS,
        "ExitTimeOut": STOP_SECONDS,
        # Scripts that run go on when the agent is stopped.
        "AbandonProcessGroup": True,
        "ProcessType": "Background",
        "StandardErrorPath": "/dev/null",
    }
    return plistlib.dumps(content, sort_keys=False).decode()


def start(say: Say) -> None:
    """Have launchd run the agent and keep it alive; one that runs is left alone.

    Raises:
        Refused: launchd does not take it.
    """
    if _is_loaded():
        _run_tolerant(("launchctl", "kickstart", _TARGET), _UNDER_WAY, say)
        return
    command = ("launchctl", "bootstrap", "system", f"/{PROPERTY_LIST}")
    say(f"ran {' '.join(command)}")
    deadline = monotonic_seconds() + _TAKEN_SECONDS
    while (outcome := attempt(command)).exit_code != 0 and not _is_loaded():
        # For some seconds after it let go of it launchd does not take it again.
        if outcome.exit_code not in _HAS_IT or monotonic_seconds() > deadline:
            raise outcome.refused()
        time.sleep(_LOOK_SECONDS)


def stop(say: Say) -> None:
    """End the agent and have launchd forget it until it is started, or the machine is.

    Raises:
        Refused: launchd does not let go of it.
    """
    if not _is_loaded():
        say("launchd does not run it")
        return
    _run_tolerant(("launchctl", "bootout", _TARGET), (*_UNKNOWN, *_UNDER_WAY), say)
    deadline = monotonic_seconds() + _GONE_SECONDS
    while _is_loaded():
        if monotonic_seconds() > deadline:
            raise Refused(f"launchd still has {_TARGET}", code="ServiceManagerFailed")
        time.sleep(_LOOK_SECONDS)


def restart(say: Say) -> None:
    """End the agent and have launchd run it again, in one step: who asks may be a script of that agent.

    Raises:
        Refused: launchd does not do it.
    """
    if _is_loaded():
        run(("launchctl", "kickstart", "-k", _TARGET), say)
    else:
        start(say)


def _is_loaded() -> bool:
    return attempt(("launchctl", "print", _TARGET)).exit_code == 0


def _run_tolerant(command: tuple[str, ...], harmless: tuple[int, ...], say: Say) -> None:
    """Run a command; some exit codes only say that what it is for is so, or will be."""
    say(f"ran {' '.join(command)}")
    outcome = attempt(command)
    if outcome.exit_code not in (0, *harmless):
        raise outcome.refused()
