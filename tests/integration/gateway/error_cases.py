"""For each documented error of each action: the request that causes it, or why nothing here can."""

from collections.abc import Mapping

Parameters = Mapping[str, str]
#: (parameters that differ from the action's good request, code)
Cases = tuple[tuple[Parameters, str], ...]

LONG = "x" * 2000
_GROUP: "Cases" = (({"ResourceGroupId": LONG}, "InvalidResourceGroup.NotFound"),)
_B64_LONG = "eHh4" * 9000

#: A request of each action that goes well; cases change single parameters of it. ``COMMAND``, ``ENABLED``,
#: ``TIMED``, ``ONCE`` and ``OVER`` are replaced by ids that the test has made.
GOOD: Mapping[str, Parameters] = {
    "CreateCommand": {"Name": "n", "Type": "RunShellScript", "CommandContent": "ZWNobyAxMjM="},
    "ModifyCommand": {"CommandId": "COMMAND", "Name": "m"},
    "DeleteCommand": {"CommandId": "COMMAND"},
    "DescribeCommands": {},
    "InvokeCommand": {"CommandId": "COMMAND", "InstanceId.1": "i-one"},
    "RunCommand": {"Type": "RunShellScript", "CommandContent": "echo 123", "InstanceId.1": "i-one"},
    "StopInvocation": {"InvokeId": "ONCE"},
    "ModifyInvocationAttribute": {"InvokeId": "TIMED", "Frequency": "0 0 3 * * *"},
    "DescribeInvocations": {},
    "DescribeInvocationResults": {},
    "DescribeCloudAssistantStatus": {},
    "InstallCloudAssistant": {"InstanceId.1": "i-one"},
    "ListPluginStatus": {"InstanceId.1": "i-one"},
    "DescribeCloudAssistantSettings": {"SettingType.1": "SessionManagerConfig"},
    "ModifyCloudAssistantSettings": {"SettingType": "SessionManagerConfig"},
    "SendFile": {"Name": "n", "TargetDir": "/tmp", "Content": "c", "InstanceId.1": "i-one"},
    "DescribeSendFileResults": {},
    "CreateActivation": {"InstanceName": "web", "InstanceCount": "3", "IpAddressRange": "10.0.0.0/8"},
    "DescribeActivations": {},
    "DisableActivation": {"ActivationId": "ACTIVATION"},
    "DeleteActivation": {"ActivationId": "UNUSED"},
    "DescribeManagedInstances": {},
    "ModifyManagedInstance": {"InstanceId": "mi-one", "InstanceName": "named"},
    "DeregisterManagedInstance": {"InstanceId": "mi-gone"},
    "DescribeInstances": {},
    "DescribeRegions": {},
    "TagResources": {"ResourceType": "instance", "ResourceId.1": "i-one", "Tag.1.Key": "k", "Tag.1.Value": "v"},
    "UntagResources": {"ResourceType": "instance", "ResourceId.1": "i-one", "TagKey.1": "k"},
    "ListTagResources": {"ResourceType": "instance", "ResourceId.1": "i-one"},
}

_PAGING: Cases = (
    ({"PageNumber": "0"}, "InvalidParam.PageNumber"),
    ({"PageSize": "101"}, "InvalidParam.PageSize"),
    ({"MaxResults": "0"}, "InvalidParameter.MaxResults"),
    ({"NextToken": "made-up"}, "InvalidParameter.NextToken"),
)
_DEEP = {"PageNumber": "1001", "PageSize": "10"}
_MANY_TAGS = {f"Tag.{number}.Key": f"k{number}" for number in range(1, 22)}
_TAGS: Cases = (
    (_MANY_TAGS, "NumberExceed.Tags"),
    ({"Tag.1.Value": "v", "Tag.1.Key": ""}, "MissingParameter.TagKey"),
    ({"Tag.1.Key": "k", "Tag.2.Key": "k"}, "Duplicate.TagKey"),
    ({"Tag.1.Key": "acs:k"}, "InvalidTagKey.Malformed"),
    ({"Tag.1.Key": "k", "Tag.1.Value": "http://x"}, "InvalidTagValue.Malformed"),
    ({"Tag.1.Key": "k", "Tag.1.Value": "v\x1b[2J"}, "InvalidTagValue.Malformed"),
)
_TOKEN: Cases = (
    ({"ClientToken": "x" * 65}, "InvalidClientToken.Malformed"),
    ({"ClientToken": "USED"}, "IdempotentParameterMismatch"),
    ({"ClientToken": "PENDING"}, "IdempotentProcessing"),
)
_TEXTS: Cases = (
    ({"Name": "x" * 129}, "CmdName.ExceedLimit"),
    ({"Description": LONG}, "CmdDesc.ExceedLimit"),
    ({"Timeout": "86401"}, "InvalidTimeout.ExceedLimit"),
    ({"Launcher": LONG}, "InvalidLauncher.LengthLimitExceeded"),
    ({"Name": "a\nb"}, "InvalidParameterCharacter.CommandName"),
    ({"WorkingDir": "/a\nb"}, "InvalidParameterCharacter.CommandWorkingDir"),
    ({"Description": "a\0b"}, "InvalidParameterCharacter.CommandDescription"),
    ({"WorkingDir": LONG}, "InvalidParameter.WorkingDir"),
)
_NAMES_21 = " ".join(f"{{{{p{number}}}}}" for number in range(21))
_CREATE: Cases = (
    *_TEXTS,
    ({"CommandContent": _B64_LONG, "ContentEncoding": "Base64"}, "CmdContent.ExceedLimit"),
    ({"CommandContent": "%%%", "ContentEncoding": "Base64"}, "CmdContent.DecodeError"),
    ({"Type": "RunPython"}, "InvalidCmdType.NotFound"),
    ({"EnableParameter": "true", "ContentEncoding": "PlainText", "CommandContent": "{{ }}"}, "CmdParam.EmptyKey"),
    (
        {"EnableParameter": "true", "ContentEncoding": "PlainText", "CommandContent": "{{a b!}}"},
        "CmdParam.InvalidParamName",
    ),
    (
        {"EnableParameter": "true", "ContentEncoding": "PlainText", "CommandContent": "{{" + "x" * 65 + "}}"},
        "CmdParamName.ExceedLimit",
    ),
    (
        {"EnableParameter": "true", "ContentEncoding": "PlainText", "CommandContent": _NAMES_21},
        "CmdParamCount.ExceedLimit",
    ),
)
_RUN: Cases = (
    ({"InstanceId.1": ""}, "MissingParam.InstanceId"),
    ({f"InstanceId.{number}": f"i-{number}" for number in range(1, 102)}, "InstanceIds.ExceedLimit"),
    ({"InstanceId.1": "i-absent"}, "InvalidInstance.NotFound"),
    ({"ResourceTag.1.Key": "k"}, "InvalidResourceTag.ConflictWithInstanceIds"),
    ({"InstanceId.1": "", "ResourceTag.1.Key": "nowhere"}, "InvalidResourceTag.InstanceNotFound"),
    ({f"ResourceTag.{number}.Key": f"k{number}" for number in range(1, 12)}, "NumberExceed.ResourceTags"),
    ({"ResourceTag.1.Value": "v"}, "MissingParameter.ResourceTagKey"),
    ({"ResourceTag.1.Key": "acs:x"}, "InvalidResourceTagKey.Malformed"),
    ({"ResourceTag.1.Key": "k", "ResourceTag.1.Value": "http://x"}, "InvalidResourceTagValue.Malformed"),
    ({"ResourceTag.1.Key": "k", "ResourceTag.2.Key": "k"}, "Duplicate.ResourceTagKey"),
    ({"RepeatMode": "Twice"}, "InvalidRepeatMode.NotFound"),
    ({"TerminationMode": "Gently"}, "InvalidTerminationMode.NotFound"),
    ({"InstanceId.1": "i-windows"}, "InvalidInstance.NotMatch"),
    ({"RepeatMode": "Period"}, "MissingParam.Frequency"),
    ({"Timed": "true"}, "MissingParam.Frequency"),
    ({"Frequency": "every day"}, "InvalidParam.Frequency"),
    ({"Frequency": "* * * * * *"}, "InvalidParam.Frequency"),
    ({"Frequency": "at(2001-01-01 00:00:00)"}, "InvalidParam.Frequency"),
    ({"WorkingDir": LONG}, "InvalidParameter.WorkingDir"),
    ({"ContainerId": "abc"}, "InvalidContainerId.Malformed"),
    ({"ContainerName": "-abc"}, "InvalidContainerName.Malformed"),
    ({"Username": "x" * 256}, "Username.ExceedLimit"),
    ({"WindowsPasswordName": "x" * 256}, "WindowsPasswordName.ExceedLimit"),
    ({"WindowsPasswordName": "x"}, "ParameterStore.NotSupported"),
    ({"Launcher": LONG}, "InvalidLauncher.LengthLimitExceeded"),
)
_ENABLED = {"EnableParameter": "true", "CommandContent": "{{a}}"}


def _given_parameters(enabled: Parameters) -> Cases:
    eleven = "{" + ",".join(f'"p{number}": "v"' for number in range(11)) + "}"
    return (
        ({"Parameters": '{"a": "b"}'}, "Parameter.Disabled"),
        ({**enabled, "Parameters": "[1]"}, "InvalidParameter.Parameters"),
        ({**enabled, "Parameters": eleven}, "ParameterCount.ExceedLimit"),
        ({**enabled, "Parameters": '{"' + "x" * 65 + '": "b"}'}, "ParameterKey.ExceedLimit"),
        ({**enabled, "Parameters": '{"a": "b", "a": "c"}'}, "ParameterKey.Duplicate"),
        ({**enabled, "Parameters": '{"b": "c"}'}, "Parameter.NotMatched"),
        ({**enabled, "Parameters": '{"a": 1}'}, "ParameterType.NotSupported"),
        ({**enabled, "Parameters": '{"a": "x\\u0000"}'}, "InvalidParameterCharset.Parameters"),
    )


_WINDOWS = {"Type": "RunPowerShellScript", "InstanceId.1": "i-windows", "Username": "jack"}
_RENAMED = {"EnableParameter": "true", "CommandContent": "{{a}}"}
_OSS = '{{"Enabled": true, "BucketName": "bucket", {}}}'
_SLS = '{{"Enabled": true, {}}}'
_FILES = {"SettingType": "InvocationDelivery"}
_UPGRADE = {"SettingType": "AgentUpgradeConfig"}


def _windows(text: str) -> Parameters:
    return {**_UPGRADE, "AgentUpgradeConfig": text}


_TAG_ACTION: Cases = (
    ({"NO": "ResourceId"}, "MissingParameter.ResourceIds"),
    ({"ResourceType": ""}, "MissingParameter.ResourceType"),
    ({"RegionId": ""}, "MissingParameter.RegionId"),
    ({"ResourceType": "disk"}, "InvalidResourceType.NotFound"),
    ({f"ResourceId.{number}": f"i-{number}" for number in range(1, 52)}, "NumberExceed.ResourceIds"),
)
_TAGGED: Cases = (
    (_MANY_TAGS, "NumberExceed.Tags"),
    ({"Tag.2.Key": "k", "Tag.1.Key": "k"}, "Duplicate.TagKey"),
    ({"Tag.1.Key": "", "Tag.1.Value": "v"}, "InvalidTag.Mismatch"),
)

CASES: Mapping[str, Cases] = {
    "CreateCommand": (*_CREATE, *_GROUP, *_TOKEN, *_TAGS, ({"Name": "full"}, "CmdCount.ExceedQuota")),
    "ModifyCommand": (*_TEXTS, ({"CommandId": "c-absent"}, "InvalidCmdId.NotFound")),
    "DeleteCommand": (
        ({"CommandId": "c-absent"}, "InvalidCmdId.NotFound"),
        ({"CommandId": "IN_USE"}, "InvalidStatus.CmdIdInUse"),
    ),
    "DescribeCommands": (
        *_PAGING,
        *_TAGS,
        ({"Name": "x" * 200}, "InvalidName.LengthLimitExceeded"),
        ({"Description": LONG}, "InvalidDescription.LengthLimitExceeded"),
        ({"Type": "RunPython"}, "InvalidCommandType.NotFound"),
    ),
    "InvokeCommand": (
        *_RUN,
        *_GROUP,
        *_given_parameters({"CommandId": "ENABLED"}),
        *_TOKEN,
        *_TAGS,
        ({"CommandId": "c-absent"}, "InvalidCmdId.NotFound"),
        ({"CommandId": "ENABLED", "Parameters": '{"a": "' + "x" * 24_600 + '"}'}, "CmdContent.ExceedLimit"),
    ),
    "RunCommand": (
        *_CREATE,
        *_RUN,
        *_GROUP,
        *_given_parameters(_ENABLED),
        *_TOKEN,
        *_TAGS,
        (_WINDOWS, "WindowsPasswordName.Missed"),
        ({"KeepCommand": "true", "Name": "full"}, "CmdCount.ExceedQuota"),
    ),
    "StopInvocation": (
        ({"InvokeId": "t-absent"}, "InvalidInvokeId.NotFound"),
        ({"InstanceId.1": ""}, "MissingParam.InstanceId"),
        ({"InstanceId": "[]"}, "MissingParam.InstanceId"),
        ({"InstanceId.1": "i-windows"}, "InvalidInstanceId.NotFound"),
        ({f"InstanceId.{number}": f"i-{number}" for number in range(1, 52)}, "InstanceIds.ExceedLimit"),
    ),
    "ModifyInvocationAttribute": (
        *_TOKEN,
        ({"InvokeId": "t-absent"}, "InvalidInvokeId.NotFound"),
        ({"InvokeId": "ONCE"}, "InvalidOperation.RepeatModeUnsupported"),
        ({"InvokeId": "OVER"}, "InvalidOperation.InvokeAlreadyFinished"),
        ({"Frequency": "never"}, "InvalidParameter.Frequency"),
        ({**_RENAMED, "Parameters": '{"a": "b", "a": "c"}'}, "InvalidParameters.KeyDuplicate"),
        ({**_RENAMED, "Parameters": '{"b": "c"}'}, "InvalidParameters.KeyNotMatch"),
        ({**_RENAMED, "Parameters": "[1]"}, "InvalidParameters.KeyMalformed"),
        ({**_RENAMED, "Parameters": '{"": "c"}'}, "InvalidParameters.KeyEmpty"),
        ({**_RENAMED, "Parameters": '{"a": 1}'}, "InvalidParameters.ValueTypeUnsupported"),
        ({**_RENAMED, "Parameters": '{"' + "x" * 65 + '": "b"}'}, "InvalidParameters.KeyLengthLimitExceeded"),
        (
            {**_RENAMED, "Parameters": "{" + ",".join(f'"p{one}": "v"' for one in range(11)) + "}"},
            "InvalidParameters.CountLimitExceeded",
        ),
        ({"CommandContent": "%%%", "ContentEncoding": "Base64"}, "InvalidCommandContent.DecodeError"),
        ({"CommandContent": "x" * 30_000}, "InvalidCommandContent.LengthLimitExceeded"),
        ({"InstanceId.1": "i-absent"}, "InvalidInstanceId.NotFound"),
        (
            {f"InstanceId.{number}": f"i-{number}" for number in range(1, 102)},
            "InvalidInstanceId.CountLimitExceeded",
        ),
    ),
    "DescribeInvocations": (*_PAGING, *_TAGS, ({"CommandName": "x", **_DEEP}, "InvalidParam.PageNumber")),
    "DescribeInvocationResults": (*_PAGING, *_TAGS, (_DEEP, "InvalidParam.PageNumber")),
    "DescribeCloudAssistantStatus": (
        *_PAGING,
        ({"InstanceId.1": "i-absent"}, "InvalidInstance.NotFound"),
        ({f"InstanceId.{number}": f"i-{number}" for number in range(1, 52)}, "InstanceIds.ExceedLimit"),
    ),
    "InstallCloudAssistant": (
        ({"InstanceId.1": ""}, "MissingParam.InstanceId"),
        ({"InstanceId.1": "i-absent"}, "InvalidInstance.NotFound"),
        ({f"InstanceId.{number}": f"i-{number}" for number in range(1, 52)}, "InstanceIds.ExceedLimit"),
    ),
    "ListPluginStatus": (
        ({"InstanceId.1": ""}, "MissingParam.InstanceId"),
        ({"InstanceId.1": "i-absent"}, "InvalidInstance.NotFound"),
        ({"InstanceId.2": "i-windows"}, "PluginName.MissingValue"),
        ({"Name": "nowhere"}, "InvalidPluginName.NotFound"),
        ({f"InstanceId.{number}": f"i-{number}" for number in range(1, 52)}, "InstanceIds.ExceedLimit"),
    ),
    "DescribeCloudAssistantSettings": (({"SettingType.1": "Weather"}, "InvalidParameter.SettingType"),),
    "ModifyCloudAssistantSettings": (
        ({"SettingType": "Weather"}, "InvalidParameter.SettingType"),
        ({**_FILES, "OssDeliveryConfig": _OSS.format('"EncryptionType": "x"')}, "InvalidParameter.OssEncryptionType"),
        (
            {**_FILES, "OssDeliveryConfig": _OSS.format('"EncryptionAlgorithm": "x"')},
            "InvalidParameter.OssEncryptionAlgorithm",
        ),
        (
            {**_FILES, "OssDeliveryConfig": _OSS.format('"EncryptionType": "KMS"')},
            "InvalidParameter.OssEncryptionKeyId",
        ),
        ({**_FILES, "OssDeliveryConfig": '{"Enabled": true}'}, "InvalidParameter.OssBucketName"),
        ({**_FILES, "OssDeliveryConfig": _OSS.format('"Prefix": "/x"')}, "InvalidParameter.OssPrefix"),
        ({**_FILES, "OssDeliveryConfig": _OSS.format('"Prefix": "x"')}, "InvalidOssBucketName.NotFound"),
        (
            {**_FILES, "OssDeliveryConfig": _OSS.format('"EncryptionType": "OssManaged"')},
            "InvalidOperation.OssEncryptionUnsupported",
        ),
        (
            {"SettingType": "SessionManagerDelivery", "OssDeliveryConfig": _OSS.format('"Prefix": "x"')},
            "InvalidOperation.SessionManagerDeliveryUnsupported",
        ),
        ({**_FILES, "SlsDeliveryConfig": '{"Enabled": true}'}, "InvalidParameter.SlsProjectName"),
        ({**_FILES, "SlsDeliveryConfig": _SLS.format('"ProjectName": "abc"')}, "InvalidParameter.SlsLogstoreName"),
        (
            {**_FILES, "SlsDeliveryConfig": _SLS.format('"ProjectName": "abc", "LogstoreName": "abc"')},
            "InvalidSlsProjectName.NotFound",
        ),
        (_windows('{"AllowedUpgradeWindow": ["soon"]}'), "InvalidParameter.AllowedUpgradeWindow"),
        (_windows('{"TimeZone": "Mars"}'), "InvalidParameter.TimeZone"),
        (_windows('{"TimeZone": ["UTC"]}'), "InvalidParameter.TimeZone"),
        (_windows('{"TimeZone": {"UTC": 1}}'), "InvalidParameter.TimeZone"),
        (
            _windows('{"AllowedUpgradeWindow": ["01:00-01:30"]}'),
            "InvalidAllowedUpgradeWindow.DurationTooShort",
        ),
        (_windows('{"Enabled": true}'), "InvalidAllowedUpgradeWindow.Required"),
        (
            _windows('{"AllowedUpgradeWindow": ["1", "2", "3", "4", "5", "6"]}'),
            "InvalidAllowedUpgradeWindow.CountLimitExceeded",
        ),
    ),
    "SendFile": (
        *_GROUP,
        *_TOKEN,
        *_TAGS,
        ({"TargetDir": "relative"}, "FileTargetDir.Invalid"),
        ({"FileMode": "rw"}, "FileMode.Invalid"),
        ({"ContentType": "Base64", "Content": "%%%"}, "FileContent.DecodeError"),
        ({"ContentType": "Gzip"}, "FileContentType.Invalid"),
        ({"FileOwner": "x" * 65}, "InvalidParameter.FileOwner"),
        ({"FileGroup": "a b"}, "InvalidParameter.FileGroup"),
        ({"Content": "x" * 24_577}, "FileSize.ExceedLimit"),
        ({"Name": "x" * 256}, "FileName.ExceedLimit"),
        ({"Description": LONG}, "FileDesc.ExceedLimit"),
        ({"Timeout": "90000"}, "InvalidTimeout.ExceedLimit"),
        ({"InstanceId.1": ""}, "MissingParam.InstanceId"),
        ({"InstanceId.1": "i-absent"}, "InvalidInstance.NotFound"),
        ({f"InstanceId.{number}": f"i-{number}" for number in range(1, 52)}, "InstanceIds.ExceedLimit"),
    ),
    "DescribeSendFileResults": (*_PAGING, *_TAGS),
    "CreateActivation": (
        *_GROUP,
        *_TOKEN,
        *_TAGS,
        ({"InstanceName": "x"}, "InstanceName.ExceedLimit"),
        ({"InstanceName": "1st"}, "InstanceName.InvalidPattern"),
        ({"Description": "x" * 101}, "ActivationDesc.ExceedLimit"),
        ({"Description": "two\nlines\x1b[2J"}, "InvalidParameter.Description"),
        ({"InstanceCount": "1001"}, "ActivationLimitation.Invalid"),
        ({"InstanceCount": "many"}, "ActivationLimitation.Invalid"),
        ({"TimeToLiveInHours": "5"}, "ActivationTTL.ExceedLimit"),
        ({"IpAddressRange": "10.0.0.0/33"}, "AddressRange.InvalidPattern"),
    ),
    "DescribeActivations": (*_PAGING, *_TAGS),
    "DisableActivation": (({"ActivationId": "ABSENT"}, "ActivationId.NotFound"),),
    "DeleteActivation": (
        ({"ActivationId": "ABSENT"}, "ActivationId.NotFound"),
        ({"ActivationId": "JOINED"}, "ActivationId.InUse"),
    ),
    "DescribeManagedInstances": (
        *_PAGING,
        *_TAGS,
        ({f"InstanceId.{number}": f"mi-{number}" for number in range(1, 52)}, "InstanceIds.ExceedLimit"),
    ),
    "ModifyManagedInstance": (
        ({"InstanceName": "x"}, "InstanceName.ExceedLimit"),
        ({"InstanceName": "1abc"}, "InstanceName.InvalidPattern"),
        ({"InstanceId": "mi-absent"}, "InvalidInstance.NotFound"),
        ({"InstanceId": "i-one"}, "InvalidInstance.NotFound"),
    ),
    "DeregisterManagedInstance": (*_TOKEN, ({"InstanceId": "mi-absent"}, "InvalidInstance.NotFound")),
    "DescribeInstances": (*_PAGING, *_TAGS),
    "DescribeRegions": (),
    "TagResources": (
        *_TAG_ACTION,
        *_TAGGED,
        ({"Tag.1.Key": ""}, "InvalidTag.Mismatch"),
        ({"Tag.1.Key": "acs:x"}, "InvalidTagKey.Malformed"),
        ({"Tag.1.Value": "http://x"}, "InvalidTagValue.Malformed"),
        ({"ResourceType": "managedinstance"}, "InvalidResourceId.NotSupported"),
        ({"ResourceId.1": "i-absent"}, "InvalidResourceId.NotFound"),
        ({"ResourceId.1": "i-tagged"}, "QuotaExceed.Tags"),
        ({"NO": "Tag"}, "MissingParameter.Tags"),
    ),
    "UntagResources": (
        *_TAG_ACTION,
        ({"All": "true"}, "Param.Conflict"),
        ({f"TagKey.{number}": f"k{number}" for number in range(1, 22)}, "InvalidTagCount"),
        ({"TagKey.1": "", "NO": "TagKey"}, "MissingParameter.Tags"),
        ({"ResourceType": "managedinstance"}, "InvalidResourceId.NotSupported"),
        ({"ResourceId.1": "i-absent"}, "InvalidResourceId.NotFound"),
    ),
    "ListTagResources": (
        *_TAG_ACTION[1:],
        *_TAGGED,
        ({"ResourceId.1": "", "NO": "ResourceId"}, "BothEmpty.TagsAndResources"),
        ({"NextToken": "made-up"}, "Invalid.NextToken"),
    ),
}

_GROUPS = "resource groups are names that anybody may use: every one exists and can be used"
_SECRETS = "there is no store of Windows passwords, which ParameterStore.NotSupported says of every name"
_OF_TAGS = "the three tag actions share one table: this one belongs to another of them"

#: Codes that nothing can cause here, with the reason; by action, ``*`` for all.
CANNOT_ARISE: Mapping[str, Mapping[str, str]] = {
    "*": {
        "InvalidStatus.ResourceGroup": _GROUPS,
        "Parameter.MissingValue": "only public commands have required parameters, and there are none",
        "Invocation.ExceedQuota": "there is no daily quota",
        "InvalidInstanceStatus": "of 2018: today a machine that is off is told per instance (ClientNotRunning)",
        "ParameterStore.InvalidParameters": _SECRETS,
        "ParameterStore.NoPermission": _SECRETS,
        "TemporaryAccessKey.Error": _SECRETS,
        "Invalid.CommandContent": "of 2018: today CmdContent.DecodeError",
        "CmdName.Readonly": "only public commands are read-only, and there are none",
        "InvalidOperation.ModifyPublicCommandUnsupported": "there are no public commands",
        "InvalidInstanceId.OSTypeUnsupported": "agents of every system take part",
        "InvalidOperation.CloudAssistantVersionUnsupported": "an agent too old for an order says so itself",
        "InternalError": "a mistake of ours, which has tests of its own",
        "ServiceUnavailable": "Redis is away, which has tests of its own",
        "ActivationCount.ExceedLimit": "5,000 activations at once, which is too slow to try in a test of a row",
        "ManagedInstanceCountExceedLimit": "the number of managed instances has no limit",
        "RealNameAuthenticationError": "nobody has to prove an identity",
        "CreateServiceLinkedRole.NoPermission": "there are no roles of services",
        "InvalidOssBucketName.InOtherRegion": "there is no object store",
        "InvalidSlsLogstoreName.NotFound": "there is no log service, which is said of the project first",
    },
    "ModifyCommand": {"CmdContent.ExceedLimit": "the content that comes with it is ignored, as documented"},
    "InvokeCommand": {
        "WindowsPasswordName.Missed": "a command names its type, so this is said by its run (AccountNotExists)",
    },
    "RunCommand": {"InvalidCmdId.NotFound": "a run brings its own command"},
    "ModifyInvocationAttribute": {
        "CommandLimitExceeded": "tested with the library full, which is another set-up",
        "InvalidCommandId.NotFound": "an invocation holds its command, also when the library's was deleted",
    },
    "DescribeCloudAssistantStatus": {"MissingParam.InstanceId": "without ids all instances are listed"},
    "TagResources": dict.fromkeys(
        ("InvalidTagCount", "BothEmpty.TagsAndResources", "Param.Conflict", "Invalid.NextToken"), _OF_TAGS
    ),
    "UntagResources": dict.fromkeys(
        (
            "NumberExceed.Tags",
            "Duplicate.TagKey",
            "InvalidTagKey.Malformed",
            "InvalidTagValue.Malformed",
            "InvalidTag.Mismatch",
            "BothEmpty.TagsAndResources",
            "QuotaExceed.Tags",
            "Invalid.NextToken",
        ),
        _OF_TAGS,
    ),
    "ListTagResources": dict.fromkeys(
        (
            "InvalidTagKey.Malformed",
            "InvalidTagValue.Malformed",
            "InvalidTagCount",
            "InvalidResourceId.NotSupported",
            "QuotaExceed.Tags",
            "Param.Conflict",
            "MissingParameter.ResourceIds",
            "MissingParameter.Tags",
            "InvalidResourceId.NotFound",
        ),
        _OF_TAGS,
    ),
}
