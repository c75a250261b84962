"""Hold a limited access key to its instances, stored commands and accounts, action by action.

What a key may see is filtered where it is listed; what it may change is checked here before anything happens. An action
that is not in the table below is refused to a key with such limits, so a new one is closed until somebody decides.
"""

from collections.abc import Callable, Iterable, Mapping

from ....broker_config.ledger import load_invocation, load_targets
from ....broker_config.redis.client import Redis
from ...api import Assistant
from ...commands import command_library
from ...fleet.targets import tagged
from ...security.scopes import DEFAULT_USER, Scope
from ...visibility import EVERYTHING, Visible
from ..actions.action import Call
from ..actions.instance_ids import instance_ids_of
from ..actions.request_values import targets_of
from ..api_errors import ApiError, api_error


def visible_to(call: Call, redis: Redis) -> Visible:
    """What the caller may see."""
    scope = call.caller.scope
    if not scope.instance_tags and not scope.command_ids:
        return EVERYTHING
    return Visible(
        scope.shown(),
        instance_ids=tagged(redis, "instance", scope.instance_tags) if scope.instance_tags else None,
        command_ids=scope.command_ids or None,
    )


class ScopeGuard:
    """Checks requests against the limits of the key that signed them."""

    def __init__(self, assistant: Assistant) -> None:
        self._redis = assistant.redis
        self._checks: Mapping[str, Callable[[Call], None]] = {
            **dict.fromkeys(_FILTERED_OR_HARMLESS, _nothing),
            **dict.fromkeys(_OF_THE_FLEET, self._fleet),
            "CreateCommand": self._create_command,
            "ModifyCommand": self._change_command,
            "DeleteCommand": self._change_command,
            "InvokeCommand": self._invoke,
            "RunCommand": self._run,
            "StopInvocation": self._stop,
            "ModifyInvocationAttribute": self._modify_invocation,
            "SendFile": self._send_file,
            "InstallCloudAssistant": self._named_instances,
            "ListPluginStatus": self._named_instances,
            "TagResources": self._tag,
            "UntagResources": self._tag,
            "ListTagResources": self._list_tags,
        }

    def check(self, call: Call) -> None:
        """Return if the request is within the limits of its key.

        Raises:
            ApiError: ``Forbidden.RAM``; the message names the limit.
        """
        scope = call.caller.scope
        if not (scope.instance_tags or scope.command_ids or scope.user_names):
            return
        check = self._checks.get(call.action)
        if check is None:
            raise _refused(scope.shown(), f"which rules out {call.action}")
        check(call)

    # One per kind of action

    def _run(self, call: Call) -> None:
        self._no_unstored(call)
        _require_user(call.caller.scope, call.parameters.text("Username"))
        self._targets(call)

    def _invoke(self, call: Call) -> None:
        scope = call.caller.scope
        command_id = call.parameters.required("CommandId")
        _require_command(scope, command_id)
        command = command_library.load(self._redis, command_id)
        _require_user(scope, call.parameters.text("Username") or command.username)
        _require_launcher(call, call.parameters.text("Launcher") or command.launcher, command.launcher)
        self._targets(call)

    def _send_file(self, call: Call) -> None:
        self._no_unstored(call)
        scope = call.caller.scope
        if not scope.permits_user(DEFAULT_USER):
            # Whoever owns it, what root reads there is run as root, and the mode can lend it another group.
            raise _refused(_users_rule(scope), f"and files are written by the agent, as {DEFAULT_USER}, wherever asked")
        _require_user(scope, call.parameters.text("FileOwner"))
        self._targets(call)

    def _create_command(self, call: Call) -> None:
        self._no_unstored(call)
        _require_user(call.caller.scope, call.parameters.text("Username"))

    def _change_command(self, call: Call) -> None:
        scope = call.caller.scope
        command_id = call.parameters.required("CommandId")
        _require_command(scope, command_id)
        if scope.instance_tags and not scope.command_ids:
            # Others run it on instances that this key may not touch.
            raise _refused(_tags_rule(scope), "and stored commands run on other instances too; name it in --command")
        command = command_library.load(self._redis, command_id)
        _require_launcher(call, call.parameters.text("Launcher", command.launcher), command.launcher)
        account = call.parameters.text("Username", command.username)
        for user_name in (command.username, account):
            _require_user(scope, user_name)
        if scope.instance_tags and account != command.username:
            raise _refused(_tags_rule(scope), "and other instances would run this command as another account too")

    def _stop(self, call: Call) -> None:
        self._invocation(call, instance_ids_of(call.parameters))

    def _modify_invocation(self, call: Call) -> None:
        if call.parameters.text("CommandContent"):
            self._no_unstored(call)
        record = load_invocation(self._redis, call.parameters.required("InvokeId")).record
        stored = record.command.enable_parameter
        if call.parameters.boolean("EnableParameter", stored) != stored:
            # Values become part of the text or not as it was stored; read in the other way it is another command.
            self._no_unstored(call)
        self._invocation(call, ())
        self._require_instances(call, instance_ids_of(call.parameters))

    def _named_instances(self, call: Call) -> None:
        self._require_instances(call, instance_ids_of(call.parameters))

    def _tag(self, call: Call) -> None:
        scope = call.caller.scope
        kind = call.parameters.text("ResourceType").lower()
        ids = call.parameters.list_of("ResourceId")
        if kind != "command" or not scope.command_ids:
            # Tags decide which instances a key is limited to.
            raise _refused(scope.shown(), f"so it changes no tags of {kind or 'resources'}")
        for one in filter(None, ids):
            _require_command(scope, one)

    def _list_tags(self, call: Call) -> None:
        scope = call.caller.scope
        kind = call.parameters.text("ResourceType").lower()
        ids = list(filter(None, call.parameters.list_of("ResourceId")))
        if kind == "command" and (ids or not scope.command_ids):
            for one in ids:
                _require_command(scope, one)
        elif kind in ("instance", "managedinstance") and (ids or not scope.instance_tags):
            self._require_instances(call, ids)
        else:
            raise _refused(scope.shown(), "so name the resources whose tags are wanted")

    def _fleet(self, call: Call) -> None:
        scope = call.caller.scope
        if scope.instance_tags or scope.command_ids:
            raise _refused(scope.shown(), f"and {call.action} concerns the whole fleet")

    # What they have in common

    def _no_unstored(self, call: Call) -> None:
        scope = call.caller.scope
        if scope.command_ids:
            raise _refused(_commands_rule(scope), f"and {call.action} takes content that is not one of these")

    def _targets(self, call: Call) -> None:
        scope = call.caller.scope
        if not scope.instance_tags:
            return
        asked = targets_of(call)
        if not asked.tags:
            self._require_instances(call, asked.instance_ids)
        elif not scope.instance_tags.items() <= asked.tags.items():
            # Neither which others carry these tags is told, nor whether any instance does.
            found = tagged(self._redis, "instance", asked.tags)
            if not found or len(visible_to(call, self._redis).instances(found)) < len(found):
                raise _refused(_tags_rule(scope), "and others may carry the tags asked for: ask for these as well")

    def _invocation(self, call: Call, instance_ids: Iterable[str]) -> None:
        scope = call.caller.scope
        invoke_id = call.parameters.required("InvokeId")
        record = load_invocation(self._redis, invoke_id).record
        _require_command(scope, record.command.command_id)
        _require_user(scope, record.username)
        if instance_ids:
            self._require_instances(call, instance_ids)
        elif not all(map(visible_to(call, self._redis).instance, load_targets(self._redis, invoke_id))):
            raise _refused(_tags_rule(scope), "and the invocation is on other instances too")

    def _require_instances(self, call: Call, instance_ids: Iterable[str]) -> None:
        """Refuse the first that is beyond the limits by its id, which the caller has named: they tell no other."""
        visible = visible_to(call, self._redis)
        for one in instance_ids:
            if not visible.instance(one):
                raise _refused(_tags_rule(call.caller.scope), f"which does not include instance {one[:70]}")


#: Listings take care of themselves; the others tell nothing of instances and commands.
_FILTERED_OR_HARMLESS = (
    "DescribeCommands",
    "DescribeInvocations",
    "DescribeInvocationResults",
    "DescribeSendFileResults",
    "DescribeInstances",
    "DescribeCloudAssistantStatus",
    "DescribeManagedInstances",
    "DescribeCloudAssistantSettings",
    "DescribeRegions",
)
_OF_THE_FLEET = (
    "CreateActivation",
    "DescribeActivations",
    "DisableActivation",
    "DeleteActivation",
    "ModifyCloudAssistantSettings",
    "ModifyManagedInstance",
    "DeregisterManagedInstance",
)


def _nothing(_call: Call) -> None:
    return None


def _require_command(scope: Scope, command_id: str) -> None:
    if not scope.permits_command(command_id):
        raise _refused(_commands_rule(scope), f"which does not include {command_id[:70]}")


def _require_user(scope: Scope, user_name: str) -> None:
    if not scope.permits_user(user_name):
        account = user_name[:70] or f"{DEFAULT_USER}, the account used when none is named"
        raise _refused(_users_rule(scope), f"which does not include {account}")


def _require_launcher(call: Call, wanted: str, stored: str) -> None:
    """A launcher is a command line of its own: where only what is stored may run, it must be the stored one."""
    scope = call.caller.scope
    if scope.command_ids and wanted != stored:
        raise _refused(_commands_rule(scope), "and a Launcher that is not stored with it runs something else")


def _tags_rule(scope: Scope) -> str:
    return " ".join(f"instance-tag={key}={value}" for key, value in scope.instance_tags.items())


def _commands_rule(scope: Scope) -> str:
    return " ".join(f"command={one}" for one in scope.command_ids)


def _users_rule(scope: Scope) -> str:
    return " ".join(f"user-name={one}" for one in scope.user_names)


def _refused(rule: str, why: str) -> ApiError:
    return api_error("Forbidden.RAM", f"This access key is limited to {rule}, {why}.")
