"""All actions of the API on one control side: what the gateway serves and ``assist ecs`` calls in its own process."""

from ..api import Assistant
from .actions import ActionRegistry
from .actions_activations import ActivationActions
from .actions_commands import CommandActions
from .actions_files import FileActions
from .actions_instances import InstanceActions
from .actions_invocations import InvocationActions
from .actions_managed_instances import ManagedInstanceActions
from .actions_packages import PackageActions
from .actions_regions import RegionActions
from .actions_results import ResultActions
from .actions_settings import SettingsActions
from .actions_tags import TagActions
from .actions_timed import TimedActions
from .audited_actions import audited
from .change_bell import ChangeBell
from .domain_errors import with_api_errors
from .large_answers import LargeAnswers
from .scope_guard import ScopeGuard


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
