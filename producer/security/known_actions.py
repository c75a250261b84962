"""The names of all actions of the API, for those who ask about a name without the means to call one."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

KNOWN_ACTIONS = (
    "CreateActivation",
    "CreateCommand",
    "DeleteActivation",
    "DeleteCommand",
    "DeregisterManagedInstance",
    "DescribeActivations",
    "DescribeCloudAssistantSettings",
    "DescribeCloudAssistantStatus",
    "DescribeCommands",
    "DescribeInstances",
    "DescribeInvocationResults",
    "DescribeInvocations",
    "DescribeManagedInstances",
    "DescribeRegions",
    "DescribeSendFileResults",
    "DisableActivation",
    "InstallCloudAssistant",
    "InvokeCommand",
    "ListPluginStatus",
    "ListTagResources",
    "ModifyCloudAssistantSettings",
    "ModifyCommand",
    "ModifyInvocationAttribute",
    "ModifyManagedInstance",
    "PublishPackage",
    "RunCommand",
    "SendFile",
    "StopInvocation",
    "TagResources",
    "UntagResources",
    "UploadFilePart",
)


def is_any(pattern: str) -> bool:
    """Tell whether at least one action fits a name, or a pattern with ``*`` and ``?``."""
    return any(fnmatchcase(one, pattern) for one in KNOWN_ACTIONS)


def nearest(name: str, among: Iterable[str] = KNOWN_ACTIONS) -> str:
    """The action that may have been meant; ``""`` when none is near."""
    import difflib  # lazy: only a mistake needs it

    by_lower = {one.lower(): one for one in among}
    near = difflib.get_close_matches(name[:64].lower(), by_lower, 1, 0.6)
    return by_lower[near[0]] if near else ""
