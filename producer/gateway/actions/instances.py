"""DescribeInstances, DescribeCloudAssistantStatus, InstallCloudAssistant: what clients ask before they run."""

from collections.abc import Mapping, Sequence

from ....broker_config.clock import iso_minutes, iso_seconds
from ....broker_config.reported_values import whole_number
from ...api import Assistant
from ...fleet import instances
from ...fleet.instances import InstanceFilter, StoredInstance
from ...paging import Page
from ...shapes import Shape, tags_shape
from ...visibility import EVERYTHING, Visible
from ..access.scope_guard import visible_to
from ..api_errors import api_error
from .action import Action, Call, Fields
from .parameters import Parameters
from .request_values import counted_instance_ids_of, page_fields, page_request_of, tag_filter_of

#: Instances in one request that names them, and on one page of DescribeInstances.
STATUS_COUNT = 50
DESCRIBE_COUNT = 100
#: By what else the service chooses instances: of machines that are anywhere nobody knows it.
_UNKNOWN_HERE = frozenset(
    (
        *("Filter", "ZoneId", "VpcId", "VSwitchId", "SecurityGroupId", "ImageId", "InstanceType", "InstanceTypeFamily"),
        *("KeyPairName", "HpcClusterId", "InstanceChargeType", "InternetChargeType", "IoOptimized", "LockReason"),
        *("InnerIpAddresses", "PublicIpAddresses", "EipAddresses", "RdmaIpAddresses", "Ipv6Address"),
    )
)


class InstanceActions:
    """Instances as their agents last described them."""

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant

    def table(self) -> Mapping[str, Action]:
        """The actions by name."""
        return {
            "DescribeInstances": self.describe_instances,
            "DescribeCloudAssistantStatus": self.describe_cloud_assistant_status,
            "InstallCloudAssistant": self.install_cloud_assistant,
        }

    def describe_instances(self, call: Call) -> Fields:
        """List instances; unknown ids are simply missing from the list."""
        given = call.parameters
        listed = given.json_list("InstanceIds")
        addresses = given.json_list("PrivateIpAddresses")
        _refuse_unknown(given)
        ids = [str(one) for one in listed or []]
        if len(ids) > DESCRIBE_COUNT:
            raise api_error("InvalidParameter.InstanceIds", f"{len(ids)} ids were given; at most {DESCRIBE_COUNT}.")
        page_request = page_request_of(call, most=DESCRIBE_COUNT)
        status = given.text("Status")
        wanted = InstanceFilter(
            instance_ids=ids,
            name=given.text("InstanceName"),
            connected=None if not status else status == "Running",
            resource_group_id=given.text("ResourceGroupId"),
            tags=tag_filter_of(given),
            addresses=None if addresses is None else [str(one) for one in addresses],
            visible=visible_to(call, self._assistant.redis),
        )
        if status in ("", "Running", "Stopped") and listed != []:
            page = self._assistant.describe_instances(wanted, page_request)
        else:
            # No machine here is ever known to start or to stop; and a list that names none does not mean all.
            page = Page([], 0, "", page_request.number, page_request.count)
        region_id = self._assistant.settings.gateway.region_id
        shapes = [_instance_shape(one, region_id) for one in page.items]
        return {**page_fields(page, call.caller), "Instances": {"Instance": shapes}}

    def describe_cloud_assistant_status(self, call: Call) -> Fields:
        """Tell of each instance whether its agent is there; all that are named come back on one page."""
        given = call.parameters
        ids = counted_instance_ids_of(call, most=STATUS_COUNT)
        visible = visible_to(call, self._assistant.redis)
        if ids:
            found = _of_type(self._known(ids, visible), given.text("OSType"))
            page_of_all = {"TotalCount": len(found), "PageNumber": 1, "PageSize": len(found), "NextToken": ""}
            return {**page_of_all, **_status_set(found)}
        wanted = InstanceFilter(os_type=given.text("OSType"), visible=visible)
        page = self._assistant.describe_instances(wanted, page_request_of(call))
        return {**page_fields(page, call.caller), **_status_set(page.items)}

    def install_cloud_assistant(self, call: Call) -> Fields:
        """Confirm that the agents are installed: an instance is known here because its agent registered it."""
        ids = counted_instance_ids_of(call, most=STATUS_COUNT)
        if not ids:
            raise api_error("MissingParam.InstanceId")
        self._known(ids, EVERYTHING)
        return {}

    def _known(self, ids: Sequence[str], visible: Visible) -> list[StoredInstance]:
        """Load instances; what may not be seen is as if it were not there.

        Raises:
            ApiError: ``InvalidInstance.NotFound`` when one is not registered.
        """
        found = instances.load_all(self._assistant.redis, ids)
        missing = [one for one, stored in zip(ids, found, strict=True) if stored is None or not visible.instance(one)]
        if missing:
            raise api_error("InvalidInstance.NotFound", f"{', '.join(missing[:5])[:200]} is not registered.")
        return [one for one in found if one is not None]


def _refuse_unknown(given: Parameters) -> None:
    """Refuse what instances cannot be chosen by here: passed over in silence it would have every one come back.

    Raises:
        ApiError: ``InvalidParameter.<Name>``.
    """
    for parameter, value in given.business_values.items():
        name = parameter.partition(".")[0]
        if value and name in _UNKNOWN_HERE:
            raise api_error(
                f"InvalidParameter.{name}",
                f"Instances cannot be chosen by {name} here: leave it out, and choose by InstanceIds, InstanceName, "
                "PrivateIpAddresses, Status, ResourceGroupId or Tag.N.",
            )


def _of_type(found: Sequence[StoredInstance], os_type: str) -> list[StoredInstance]:
    return [one for one in found if not os_type or one.report.get("os_type", "").lower() == os_type.lower()]


def _status_set(found: Sequence[StoredInstance]) -> Shape:
    return {"InstanceCloudAssistantStatusSet": {"InstanceCloudAssistantStatus": [_status_shape(one) for one in found]}}


def _status_shape(stored: StoredInstance) -> Shape:
    report = stored.report
    return {
        "InstanceId": stored.instance_id,
        # The API has text here, not a truth value.
        "CloudAssistantStatus": "true" if stored.connected else "false",
        "CloudAssistantVersion": report.get("agent_version", ""),
        "OSType": report.get("os_type", ""),
        "ActiveTaskCount": whole_number(report.get("running_count")),
        "InvocationCount": stored.invocation_count,
        "LastInvokedTime": iso_seconds(stored.last_invoked_ms),
        "LastHeartbeatTime": iso_seconds(whole_number(report.get("heartbeat_ms"))),
        "SupportSessionManager": False,
    }


def _instance_shape(stored: StoredInstance, region_id: str) -> Shape:
    report = stored.report
    addresses = [report["ip_address"]] if report.get("ip_address") else []
    return {
        "InstanceId": stored.instance_id,
        "InstanceName": stored.name,
        "HostName": report.get("hostname", ""),
        # All that can be known from here of a machine whose agent is silent is that nothing runs there for us.
        "Status": "Running" if stored.connected else "Stopped",
        "RegionId": region_id,
        "ZoneId": "",
        "OSType": report.get("os_type", "").lower(),
        "OSName": report.get("os_name", ""),
        "OSNameEn": report.get("os_name", ""),
        "Cpu": whole_number(report.get("processor_count")),
        "Memory": whole_number(report.get("memory_bytes")) // (1024 * 1024),
        "CreationTime": iso_minutes(stored.registered_ms),
        "StartTime": "",
        "ExpiredTime": "",
        "InstanceType": "",
        "InstanceNetworkType": "vpc",
        "ResourceGroupId": stored.resource_group_id,
        "Description": "",
        "VpcAttributes": {
            "PrivateIpAddress": {"IpAddress": addresses},
            "VpcId": "",
            "VSwitchId": "",
            "NatIpAddress": "",
        },
        "InnerIpAddress": {"IpAddress": []},
        "PublicIpAddress": {"IpAddress": []},
        "EipAddress": {"IpAddress": ""},
        "Tags": tags_shape(stored.tags),
    }
