"""All actions of the API on one control side: what the gateway serves and ``assist ecs`` calls in its own process."""

from ...api import Assistant
from ..access.audited_actions import audited
from ..access.scope_guard import ScopeGuard
from ..change_bell import ChangeBell
from ..domain_errors import with_api_errors
from ..large_answers import LargeAnswers
from .action import ActionRegistry
from .activations import ActivationActions
from .commands import CommandActions
from .files import FileActions
from .instances import InstanceActions
from .invocations import InvocationActions
from .managed_instances import ManagedInstanceActions
from .packages import PackageActions
from .regions import RegionActions
from .results import ResultActions
from .settings import SettingsActions
from .tags import TagActions
from .timed import TimedActions


def action_registry(assistant: Assistant) -> ActionRegistry:
    """Register every action; none of them raises anything but ``ApiError`` and mistakes of ours."""
    registry = ActionRegistry()
    guard = ScopeGuard(assistant)
    large_answers = LargeAnswers()
    for family in (
        CommandActions(assistant),
        InvocationActions(assistant, large_answers),
        ResultActions(assistant, ChangeBell(assistant.redis)),
        InstanceActions(assistant),
        TimedActions(assistant),
        ActivationActions(assistant),
        ManagedInstanceActions(assistant),
        TagActions(assistant),
        FileActions(assistant, large_answers),
        SettingsActions(assistant),
        RegionActions(assistant),
        PackageActions(assistant),
    ):
        for name, action in family.table().items():
            registry.register(name, with_api_errors(audited(action, assistant.redis, assistant.auditing, guard)))
    return registry
