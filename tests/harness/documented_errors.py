"""Which codes the public documentation lists for which action."""

from collections.abc import Mapping


def _codes(*groups: str) -> frozenset[str]:
    return frozenset(" ".join(groups).split())


_PAGING = """
    InvalidParam.PageNumber InvalidParam.PageSize InvalidParameter.NextToken InvalidParameter.MaxResults"""
_TAGS = """
    NumberExceed.Tags MissingParameter.TagKey Duplicate.TagKey InvalidTagKey.Malformed InvalidTagValue.Malformed"""
_CLIENT_TOKEN = "IdempotentParameterMismatch IdempotentProcessing InvalidClientToken.Malformed"
_RESOURCE_GROUP = "InvalidResourceGroup.NotFound InvalidStatus.ResourceGroup"
_DEFINED_PARAMETERS = """
    CmdParam.EmptyKey CmdParam.InvalidParamName CmdParamName.ExceedLimit CmdParamCount.ExceedLimit"""
_GIVEN_PARAMETERS = """
    Parameter.Disabled Parameter.MissingValue InvalidParameter.Parameters ParameterCount.ExceedLimit
    ParameterKey.ExceedLimit ParameterKey.Duplicate Parameter.NotMatched ParameterType.NotSupported
    InvalidParameterCharset.Parameters"""
_COMMAND_TEXTS = """
    CmdName.ExceedLimit CmdDesc.ExceedLimit CmdContent.ExceedLimit InvalidTimeout.ExceedLimit
    InvalidLauncher.LengthLimitExceeded InvalidParameterCharacter.CommandName
    InvalidParameterCharacter.CommandDescription InvalidParameterCharacter.CommandWorkingDir
    InvalidParameter.WorkingDir"""
_INSTANCES = "MissingParam.InstanceId InstanceIds.ExceedLimit InvalidInstance.NotFound"
_RESOURCE_TAGS = """
    InvalidResourceTag.ConflictWithInstanceIds InvalidResourceTag.InstanceNotFound NumberExceed.ResourceTags
    MissingParameter.ResourceTagKey InvalidResourceTagKey.Malformed InvalidResourceTagValue.Malformed
    Duplicate.ResourceTagKey"""
_RUN_OPTIONS = """
    InvalidRepeatMode.NotFound InvalidTerminationMode.NotFound InvalidInstance.NotMatch MissingParam.Frequency
    InvalidParam.Frequency InvalidParameter.WorkingDir InvalidContainerId.Malformed InvalidContainerName.Malformed
    Invocation.ExceedQuota CmdContent.ExceedLimit Username.ExceedLimit WindowsPasswordName.ExceedLimit
    WindowsPasswordName.Missed ParameterStore.NotSupported ParameterStore.InvalidParameters
    ParameterStore.NoPermission TemporaryAccessKey.Error InvalidLauncher.LengthLimitExceeded InvalidInstanceStatus"""
_TAG_ACTIONS = """
    NumberExceed.ResourceIds NumberExceed.Tags Duplicate.TagKey InvalidTagKey.Malformed InvalidTagValue.Malformed
    InvalidTag.Mismatch InvalidTagCount BothEmpty.TagsAndResources InvalidResourceId.NotSupported QuotaExceed.Tags
    Param.Conflict Invalid.NextToken MissingParameter.ResourceIds MissingParameter.ResourceType
    MissingParameter.Tags MissingParameter.RegionId InvalidResourceId.NotFound InvalidResourceType.NotFound"""

#: What any action may answer besides its own errors.
COMMON_ERRORS: frozenset[str] = _codes(
    "RegionId.ApiNotSupported Operation.Forbidden InvalidRegionId.NotFound InternalError.Dispatch"
)

_CREATE_COMMAND = _codes(
    "CmdCount.ExceedQuota CmdContent.DecodeError InvalidCmdType.NotFound Invalid.CommandContent",
    _COMMAND_TEXTS,
    _DEFINED_PARAMETERS,
    _RESOURCE_GROUP,
    _CLIENT_TOKEN,
    _TAGS,
)
_INVOKE_COMMAND = _codes(
    "InvalidCmdId.NotFound",
    _INSTANCES,
    _RESOURCE_TAGS,
    _RUN_OPTIONS,
    _GIVEN_PARAMETERS,
    _RESOURCE_GROUP,
    _CLIENT_TOKEN,
    _TAGS,
)

#: The documented errors of each action.
ERRORS_OF_ACTIONS: Mapping[str, frozenset[str]] = {
    "CreateCommand": _CREATE_COMMAND,
    "ModifyCommand": _codes("InvalidCmdId.NotFound CmdName.Readonly", _COMMAND_TEXTS),
    "DeleteCommand": _codes("InvalidCmdId.NotFound InvalidStatus.CmdIdInUse"),
    "DescribeCommands": _codes(
        "InvalidName.LengthLimitExceeded InvalidDescription.LengthLimitExceeded InvalidCommandType.NotFound",
        _PAGING,
        _TAGS,
    ),
    "InvokeCommand": _INVOKE_COMMAND,
    "RunCommand": _CREATE_COMMAND | _INVOKE_COMMAND,
    "StopInvocation": _codes("InvalidInvokeId.NotFound InvalidInstanceId.NotFound InstanceIds.ExceedLimit"),
    "ModifyInvocationAttribute": _codes(
        """InvalidParameter.Frequency InvalidParameters.KeyDuplicate InvalidParameters.KeyNotMatch
        InvalidParameters.KeyMalformed InvalidParameters.KeyEmpty InvalidCommandContent.DecodeError
        InvalidInstanceId.OSTypeUnsupported InvalidOperation.RepeatModeUnsupported
        InvalidOperation.InvokeAlreadyFinished InvalidOperation.CloudAssistantVersionUnsupported
        InvalidOperation.ModifyPublicCommandUnsupported InvalidCommandContent.LengthLimitExceeded
        InvalidParameters.CountLimitExceeded InvalidParameters.KeyLengthLimitExceeded
        InvalidParameters.ValueTypeUnsupported InvalidInstanceId.CountLimitExceeded CommandLimitExceeded
        InvalidInvokeId.NotFound InvalidInstanceId.NotFound InvalidCommandId.NotFound InternalError""",
        _CLIENT_TOKEN,
    ),
    "DescribeInvocations": _codes(_PAGING, _TAGS),
    "DescribeInvocationResults": _codes("ServiceUnavailable", _PAGING, _TAGS),
    "DescribeCloudAssistantStatus": _codes(_INSTANCES, _PAGING),
    "InstallCloudAssistant": _codes("InvalidInstanceId.OSTypeUnsupported", _INSTANCES),
    "ListPluginStatus": _codes("PluginName.MissingValue InvalidPluginName.NotFound", _INSTANCES),
    "DescribeCloudAssistantSettings": _codes("InvalidParameter.SettingType"),
    "ModifyCloudAssistantSettings": _codes(
        """InvalidParameter.SettingType InvalidParameter.OssEncryptionType InvalidParameter.OssEncryptionAlgorithm
        InvalidParameter.OssEncryptionKeyId InvalidParameter.OssBucketName InvalidParameter.OssPrefix
        InvalidParameter.SlsProjectName InvalidParameter.SlsLogstoreName InvalidParameter.AllowedUpgradeWindow
        InvalidParameter.TimeZone InvalidAllowedUpgradeWindow.DurationTooShort
        InvalidAllowedUpgradeWindow.Required InvalidAllowedUpgradeWindow.CountLimitExceeded
        InvalidOssBucketName.InOtherRegion InvalidOssBucketName.NotFound InvalidSlsProjectName.NotFound
        InvalidSlsLogstoreName.NotFound InvalidOperation.OssEncryptionUnsupported
        InvalidOperation.SessionManagerDeliveryUnsupported CreateServiceLinkedRole.NoPermission InternalError"""
    ),
    "SendFile": _codes(
        """FileTargetDir.Invalid FileMode.Invalid FileContent.DecodeError FileContentType.Invalid
        InvalidParameter.FileOwner InvalidParameter.FileGroup FileSize.ExceedLimit FileName.ExceedLimit
        FileDesc.ExceedLimit InvalidTimeout.ExceedLimit""",
        _INSTANCES,
        _RESOURCE_GROUP,
        _CLIENT_TOKEN,
        _TAGS,
    ),
    "DescribeSendFileResults": _codes(_PAGING, _TAGS),
    "CreateActivation": _codes(
        """InstanceName.ExceedLimit InstanceName.InvalidPattern ActivationDesc.ExceedLimit
        ActivationLimitation.Invalid AddressRange.InvalidPattern ActivationCount.ExceedLimit
        ActivationTTL.ExceedLimit ManagedInstanceCountExceedLimit RealNameAuthenticationError""",
        _RESOURCE_GROUP,
        _CLIENT_TOKEN,
        _TAGS,
    ),
    "DescribeActivations": _codes(_PAGING, _TAGS),
    "DisableActivation": _codes("ActivationId.NotFound"),
    "DeleteActivation": _codes("ActivationId.NotFound ActivationId.InUse"),
    "DescribeManagedInstances": _codes("InstanceIds.ExceedLimit", _PAGING, _TAGS),
    "ModifyManagedInstance": _codes("InstanceName.ExceedLimit InstanceName.InvalidPattern InvalidInstance.NotFound"),
    "DeregisterManagedInstance": _codes("InvalidInstance.NotFound", _CLIENT_TOKEN),
    "DescribeInstances": _codes(_PAGING, _TAGS),
    "DescribeRegions": frozenset(),
    "TagResources": _codes(_TAG_ACTIONS),
    "UntagResources": _codes(_TAG_ACTIONS),
    "ListTagResources": _codes(_TAG_ACTIONS),
}
