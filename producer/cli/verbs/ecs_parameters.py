"""Which parameters each action of the API takes: a misspelt filter must not list, or stop, everything."""

from collections.abc import Iterable, Mapping

from ....broker_config.errors import RequestInvalid
from ...gateway.actions.parameters import PROTOCOL_NAMES, SECRET_PARAMETERS
from ...gateway.request_parameters import OLDER_SPELLINGS, OLDER_SPELLINGS_OF_ACTION
from ...security.known_actions import nearest

_PAGE = ("MaxResults", "NextToken", "PageNumber", "PageSize")
_GROUP = ("ResourceGroupId", "Tag")
_SCRIPT = ("CommandContent", "ContentEncoding", "Launcher", "Timeout", "Username", "WorkingDir")
_TARGETS = ("InstanceId", "InstanceIds", "ResourceTag")
_RUN = (
    *_GROUP,
    *_TARGETS,
    *("AtOnce", "ClientToken", "ContainerId", "ContainerName", "Frequency", "OssOutputDelivery", "Parameters"),
    *("RepeatMode", SECRET_PARAMETERS, "StopAt", "TerminationMode", "Timed", "WindowsPasswordName"),
)
#: By action, the first part of each name (``Tag`` of ``Tag.1.Key``); what every request may have is left out.
PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "CreateActivation": (
        *_GROUP,
        *("ClientToken", "Description", "InstanceCount", "InstanceName", "IpAddressRange", "TimeToLiveInHours"),
    ),
    "CreateCommand": (
        *_GROUP,
        *_SCRIPT,
        *("ClientToken", "Description", "EnableParameter", "Name", "SecretParameterName", "Type"),
    ),
    "DeleteActivation": ("ActivationId",),
    "DeleteCommand": ("CommandId",),
    "DeregisterManagedInstance": ("ClientToken", "InstanceId"),
    "DescribeActivations": (*_GROUP, *_PAGE, "ActivationId", "InstanceName"),
    "DescribeCloudAssistantSettings": ("SettingType",),
    "DescribeCloudAssistantStatus": (*_PAGE, "InstanceId", "InstanceIds", "OSType"),
    "DescribeCommands": (
        *_GROUP,
        *_PAGE,
        *("CommandId", "ContentEncoding", "Description", "Latest", "Name", "Provider", "Type"),
    ),
    "DescribeInstances": (*_GROUP, *_PAGE, "InstanceIds", "InstanceName", "PrivateIpAddresses", "Status"),
    "DescribeInvocationResults": (
        *_GROUP,
        *_PAGE,
        *("CommandId", "ContentEncoding", "IncludeHistory", "InstanceId", "InstanceIds", "InvocationStatus"),
        *("InvokeId", "InvokeRecordStatus", "WaitSeconds"),
    ),
    "DescribeInvocations": (
        *_GROUP,
        *_PAGE,
        *("CommandId", "CommandName", "CommandType", "ContentEncoding", "IncludeOutput", "InstanceId"),
        *("InstanceIds", "InvocationStatus", "InvokeId", "InvokeStatus", "RepeatMode", "Timed"),
    ),
    "DescribeManagedInstances": (
        *_GROUP,
        *_PAGE,
        *("ActivationId", "Connected", "InstanceId", "InstanceIds", "InstanceIp", "InstanceName", "MachineId"),
        "OsType",
    ),
    # The service's own, by which it tells apart regions that it sells in other ways: there is one here.
    "DescribeRegions": ("AcceptLanguage", "InstanceChargeType", "ResourceType"),
    "DescribeSendFileResults": (*_GROUP, *_PAGE, "InstanceId", "InstanceIds", "InvocationStatus", "InvokeId", "Name"),
    "DisableActivation": ("ActivationId",),
    "InstallCloudAssistant": ("InstanceId", "InstanceIds"),
    "InvokeCommand": (*_RUN, "CommandId", "Launcher", "Timeout", "Username", "WorkingDir"),
    "ListPluginStatus": ("InstanceId", "InstanceIds", "Name"),
    "ListTagResources": ("NextToken", "ResourceId", "ResourceType", "Tag", "TagFilter"),
    "ModifyCloudAssistantSettings": (
        *("AgentUpgradeConfig", "OssDeliveryConfig", "ResourceUsageConfig", "SessionManagerConfig", "SettingType"),
        "SlsDeliveryConfig",
    ),
    "ModifyCommand": (*_SCRIPT, "CommandId", "Description", "Name"),
    "ModifyInvocationAttribute": (
        *("AtOnce", "ClientToken", "CommandContent", "ContentEncoding", "EnableParameter", "Frequency", "InstanceId"),
        *("InstanceIds", "InvokeId", "Parameters", SECRET_PARAMETERS, "StopAt"),
    ),
    "ModifyManagedInstance": ("InstanceId", "InstanceName"),
    "PublishPackage": ("PublisherSignature",),
    "RunCommand": (*_RUN, *_SCRIPT, "Description", "EnableParameter", "KeepCommand", "Name", "Type"),
    "SendFile": (
        *_GROUP,
        *("AtOnce", "ClientToken", "Content", "ContentType", "Description", "FileGroup", "FileMode", "FileOwner"),
        *("InstanceId", "InstanceIds", "Name", "Overwrite", "StopAt", "TargetDir", "Timeout"),
    ),
    "StopInvocation": ("InstanceId", "InstanceIds", "InvokeId"),
    "TagResources": ("ResourceId", "ResourceType", "Tag"),
    "UntagResources": ("All", "ResourceId", "ResourceType", "TagKey"),
    "UploadFilePart": ("Content", "Offset", "Sha256"),
}
_EVERYWHERE = frozenset(("RegionId", *PROTOCOL_NAMES))


def check_names(action: str, names: Iterable[str]) -> None:
    """Refuse parameters that the action would pass over; an action that is not known here may have any.

    Raises:
        RequestInvalid: a name that the action does not have, with the one that may have been meant.
    """
    known = PARAMETERS.get(action)
    if known is None:
        return
    older = {*OLDER_SPELLINGS, *OLDER_SPELLINGS_OF_ACTION.get(action, {})}
    for name in names:
        first = name.partition(".")[0]
        if first not in known and first not in _EVERYWHERE and first not in older:
            meant = nearest(first, known)
            raise RequestInvalid(
                f"{action} has no parameter {first[:60]}{f' (did you mean {meant}?)' if meant else ''}. "
                f"It has: {', '.join(sorted(known))}. With --force it is sent all the same",
                code="InvalidUsage",
            )
