"""The control side: takes requests, answers questions.

The Python API is what can be imported from here: ``from cloud_assistant.producer import Assistant``. Its verbs stand in
``api.py``; deploy/PYTHON.md shows them at work.
"""

#: As typing has it, whose import takes longer than all else before the command line can take a Ctrl-C.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from ..broker_config.errors import (
        CloudAssistantError,
        NotFound,
        RecordUnreadable,
        RedisNotTrusted,
        RedisRefused,
        RedisUnreachable,
        Refused,
        RequestInvalid,
        SettingsInvalid,
        WaitTimedOut,
    )
    from ..broker_config.records import RepeatMode, Schedule
    from .api import Assistant
    from .commands.command_library import CommandFilter
    from .file_delivery import FileRequest
    from .fleet.instances import InstanceFilter
    from .fleet.targets import Targets
    from .following.waiting import Ended, Output, Progress
    from .invocations.describing import InvocationFilter
    from .invocations.describing_results import ResultFilter
    from .invocations.invoking import RunOptions
    from .paging import PageRequest
    from .timed.modifying import TimedModification

__all__ = [
    "Assistant",
    "CloudAssistantError",
    "CommandFilter",
    "Ended",
    "FileRequest",
    "InstanceFilter",
    "InvocationFilter",
    "NotFound",
    "Output",
    "PageRequest",
    "Progress",
    "RecordUnreadable",
    "RedisNotTrusted",
    "RedisRefused",
    "RedisUnreachable",
    "Refused",
    "RepeatMode",
    "RequestInvalid",
    "ResultFilter",
    "RunOptions",
    "Schedule",
    "SettingsInvalid",
    "Targets",
    "TimedModification",
    "WaitTimedOut",
]

_HOMES = {
    "Assistant": ".api",
    "CommandFilter": ".commands.command_library",
    "Ended": ".following.waiting",
    "FileRequest": ".file_delivery",
    "InstanceFilter": ".fleet.instances",
    "InvocationFilter": ".invocations.describing",
    "Output": ".following.waiting",
    "PageRequest": ".paging",
    "Progress": ".following.waiting",
    "RepeatMode": "..broker_config.records",
    "ResultFilter": ".invocations.describing_results",
    "RunOptions": ".invocations.invoking",
    "Schedule": "..broker_config.records",
    "Targets": ".fleet.targets",
    "TimedModification": ".timed.modifying",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: a program that needs one folder of this package pays for no other."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # lazy: see above

    # What has no other home is an exception.
    found: object = getattr(import_module(_HOMES.get(name, "..broker_config.errors"), __name__), name)
    return found
