"""DescribeManagedInstances, ModifyManagedInstance, DeregisterManagedInstance: machines that an activation let in."""

from collections.abc import Callable, Mapping

from ....broker_config import keys
from ....broker_config.clock import iso_seconds
from ...api import Assistant
from ...fleet import activations, instances
from ...fleet.instances import StoredInstance
from ...matching import has_tags, like
from ...paging import page_of_places, read_page
from ...shapes import Shape, tag_list
from ...visibility import Visible
from ..access.scope_guard import visible_to
from ..api_errors import api_error
from .action import Action, Call, Fields
from .idempotency import once_per_token
from .request_values import counted_instance_ids_of, page_fields, page_request_of, tag_filter_of

INSTANCES_COUNT = 50
_NAME_CHARACTERS = (2, 128)


class ManagedInstanceActions:
    """Instances with an id of ours, ``mi-…``."""

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant

    def table(self) -> Mapping[str, Action]:
        """The actions by name."""
        return {
            "DescribeManagedInstances": self.describe_managed_instances,
            "ModifyManagedInstance": self.modify_managed_instance,
            "DeregisterManagedInstance": self.deregister_managed_instance,
        }

    def describe_managed_instances(self, call: Call) -> Fields:
        """List managed instances, newest registration first."""
        page_request = page_request_of(call)
        ids = counted_instance_ids_of(call, most=INSTANCES_COUNT)
        redis = self._assistant.redis
        matches = _matcher_of(call, visible_to(call, redis))
        filters = repr(sorted(call.parameters.business_values.items() - _paging_values(call)))
        if ids:
            named = enumerate(instances.load_all(redis, ids))
            found = [(place, one) for place, one in named if one is not None and matches(one)]
            page = page_of_places(found, page_request, filters)
        else:
            page = read_page(
                redis,
                keys.INSTANCES,
                page_request,
                lambda some: instances.load_all(redis, some),
                keep=matches,
                filters=filters,
            )
        shapes = [managed_instance_shape(one) for one in page.items]
        return {**page_fields(page, call.caller), "Instances": shapes}

    def modify_managed_instance(self, call: Call) -> Fields:
        """Rename a managed instance."""
        instance_id = call.parameters.required("InstanceId")
        name = call.parameters.required("InstanceName")
        if not _NAME_CHARACTERS[0] <= len(name) <= _NAME_CHARACTERS[1]:
            raise api_error("InstanceName.ExceedLimit")
        activations.check_name(name)
        self._managed(instance_id)
        stored = self._assistant.modify_instance(instance_id, name=name)
        return {"Instance": {"InstanceId": stored.instance_id, "InstanceName": stored.name}}

    def deregister_managed_instance(self, call: Call) -> Fields:
        """Forget a managed instance and take its credentials back."""
        instance_id = call.parameters.required("InstanceId")

        def act() -> Shape:
            self._managed(instance_id)
            shape = managed_instance_shape(self._assistant.trust.deregister(instance_id))
            return {"Instance": {name: value for name, value in shape.items() if name not in ("Connected", "Tags")}}

        return once_per_token(self._assistant.redis, call, act)

    def _managed(self, instance_id: str) -> StoredInstance:
        """Load a managed instance.

        Raises:
            ApiError: there is none with this id, or its owner gave it the id (``InvalidInstance.NotFound``).
        """
        found = instances.load_all(self._assistant.redis, [instance_id])[0]
        if found is None or not instance_id.startswith("mi-"):
            raise api_error("InvalidInstance.NotFound", f"There is no managed instance {instance_id[:70]!r}.")
        return found


def managed_instance_shape(stored: StoredInstance) -> Shape:
    """One managed instance; its tags are a flat list, unlike those of everything else."""
    report = stored.report
    return {
        "InstanceId": stored.instance_id,
        "InstanceName": stored.name,
        "Hostname": report.get("hostname", ""),
        "OsType": report.get("os_type", "").lower(),
        "OsVersion": report.get("os_name", ""),
        "AgentVersion": report.get("agent_version", ""),
        "Connected": stored.connected,
        "IntranetIp": report.get("ip_address", ""),
        "InternetIp": "",
        "MachineId": report.get("machine_id", ""),
        "ActivationId": stored.activation_id,
        "RegistrationTime": iso_seconds(stored.registered_ms),
        "InvocationCount": stored.invocation_count,
        "LastInvokedTime": iso_seconds(stored.last_invoked_ms),
        "ResourceGroupId": stored.resource_group_id,
        "Tags": tag_list(stored.tags),
    }


def _paging_values(call: Call) -> set[tuple[str, str]]:
    names = ("MaxResults", "NextToken", "PageNumber", "PageSize")
    return {(name, call.parameters.text(name)) for name in names}


def _matcher_of(call: Call, visible: Visible) -> Callable[[StoredInstance], bool]:
    given = call.parameters
    name, address = given.text("InstanceName"), given.text("InstanceIp")
    activation_id, machine_id = given.text("ActivationId"), given.text("MachineId")
    os_type, connected = given.text("OsType").lower(), given.boolean("Connected", None)
    group, tags = given.text("ResourceGroupId"), tag_filter_of(given)

    def matches(one: StoredInstance) -> bool:
        report = one.report
        return (
            one.instance_id.startswith("mi-")
            and visible.instance(one.instance_id)
            and like(one.name, name)
            and address in ("", report.get("ip_address", ""))
            and activation_id in ("", one.activation_id)
            and machine_id in ("", report.get("machine_id", ""))
            and os_type in ("", report.get("os_type", "").lower())
            and connected in (None, one.connected)
            and group in ("", one.resource_group_id)
            and has_tags(one.tags, tags)
        )

    return matches
