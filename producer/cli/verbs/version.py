"""``assist version``."""

import importlib.metadata
import platform

from ..assist_command import assist_command
from ..call import Call


def installed_version() -> str:
    """The version of the installed distribution."""
    return importlib.metadata.version("cloud-assistant")


@assist_command("version", examples=("assist version", "assist version --output json"))
def version(call: Call) -> None:
    """Show the version."""
    if call.wants_json:
        call.print_json({"Version": installed_version(), "Python": platform.python_version()})
    else:
        call.print(f"assist {installed_version()}")
