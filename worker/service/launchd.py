"""The property list for launchd (macOS)."""

import plistlib

from .plan import RESTART_SECONDS, STOP_SECONDS, ServicePlan

LABEL = "org.cloud-assistant.agent"
PROPERTY_LIST = f"Library/LaunchDaemons/{LABEL}.plist"


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
