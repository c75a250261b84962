"""Decide whether an access key has an action at all: its role, and the actions that it is limited to."""

from ...security.caller import AccessKey
from ...security.roles import permits
from ..api_errors import api_error


class RoleAuthorization:
    """Permits by the role of the caller's key and by its list of actions."""

    def require(self, caller: AccessKey, action: str) -> None:
        """Return if the caller has the action.

        Raises:
            ApiError: ``Forbidden.RAM``; the message names the rule that refuses.
        """
        if not permits(caller.role, action):
            raise api_error("Forbidden.RAM", f"The role {caller.role!r} of this access key does not include {action}.")
        if not caller.scope.permits_action(action):
            rule = " ".join(f"action={one}" for one in caller.scope.actions)
            raise api_error("Forbidden.RAM", f"This access key is limited to {rule}, which does not include {action}.")
