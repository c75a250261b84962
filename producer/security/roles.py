"""What the roles of access keys may do.

A viewer reads; an operator also runs, stops, and keeps the library; an admin may do everything, which adds what changes
who belongs to the fleet and how the installation behaves.
"""

from enum import StrEnum


class Role(StrEnum):
    """The roles, from the least to the most."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


_READING = ("Describe", "List")
#: Changing actions that an operator needs for daily work; what is not here is the admin's.
OPERATORS_ACTIONS = frozenset(
    {
        "CreateCommand",
        "ModifyCommand",
        "DeleteCommand",
        "InvokeCommand",
        "RunCommand",
        "StopInvocation",
        "ModifyInvocationAttribute",
        "SendFile",
        "InstallCloudAssistant",
        "TagResources",
        "UntagResources",
    }
)


def permits(role: str, action: str) -> bool:
    """Tell whether a role may use an action; an unknown role may do nothing."""
    if role == Role.ADMIN:
        return True
    if role == Role.OPERATOR and action in OPERATORS_ACTIONS:
        return True
    return role in (Role.VIEWER, Role.OPERATOR) and action.startswith(_READING)
