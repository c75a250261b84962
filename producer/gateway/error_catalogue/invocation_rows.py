"""Errors of invocations: targets, schedule, execution options, stopping and changing them."""

from collections.abc import Mapping

from .row import ErrorRow

_INSTANCES = "DescribeInstances lists the instances."
_INVOCATIONS = "DescribeInvocations lists the invocations."
_FREQUENCY = "Write six fields with seconds first (0 */10 * * * *), rate(5m), or at(2026-01-31 08:00:00 Asia/Shanghai)."
_CONTAINER = "A container id has 64 hex digits, with docker://, containerd:// or cri-o:// before it if you like."
_SECRET = "Name a stored secret that the instance may read, or run as the default user."
_NEW_RUN = "Start a new invocation instead."
_RESOURCE_TAG = "Give 1 to 10 ResourceTag.N, each with a key of its own."
_OWN_PARAMETERS = 'Send one JSON object of strings with the names that the content uses, such as {"name": "Jack"}.'

ROWS: Mapping[str, ErrorRow] = {
    # targets
    "MissingParam.InstanceId": ErrorRow(400, "No instance was given.", "Give InstanceId.1, InstanceId.2 and so on."),
    "InstanceIds.ExceedLimit": ErrorRow(403, "There are too many instances.", "Send several requests."),
    "InvalidInstance.NotFound": ErrorRow(404, "There is no such instance.", _INSTANCES),
    "InvalidInstance.NotMatch": ErrorRow(
        400, "The command type does not fit the instance's operating system.", "Use another type or instance."
    ),
    "InvalidInstanceStatus": ErrorRow(400, "The instance is not running.", "Start the instance and its agent."),
    "InvalidInstanceId.NotFound": ErrorRow(404, "The instance is not part of it.", _INSTANCES),
    "InvalidInstanceId.OSTypeUnsupported": ErrorRow(
        403, "The instance's operating system is not supported for this.", _INSTANCES
    ),
    "InvalidInstanceId.CountLimitExceeded": ErrorRow(403, "There are too many instances.", "Add fewer at once."),
    "InvalidResourceTag.ConflictWithInstanceIds": ErrorRow(
        400, "Instances are given both by id and by tag.", "Give InstanceId.N or ResourceTag.N, not both."
    ),
    "InvalidResourceTag.InstanceNotFound": ErrorRow(400, "No instance has these tags.", _INSTANCES),
    "NumberExceed.ResourceTags": ErrorRow(400, "There are too many resource tags.", _RESOURCE_TAG),
    "MissingParameter.ResourceTagKey": ErrorRow(400, "A resource tag has no key.", _RESOURCE_TAG),
    "InvalidResourceTagKey.Malformed": ErrorRow(400, "A resource tag's key is not valid.", _RESOURCE_TAG),
    "InvalidResourceTagValue.Malformed": ErrorRow(400, "A resource tag's value is not valid.", _RESOURCE_TAG),
    "Duplicate.ResourceTagKey": ErrorRow(400, "A resource tag's key occurs more than once.", _RESOURCE_TAG),
    # when and how
    "MissingParam.Frequency": ErrorRow(400, "A periodic run needs a Frequency.", _FREQUENCY),
    "InvalidParam.Frequency": ErrorRow(400, "The Frequency is not valid.", _FREQUENCY),
    "InvalidParameter.Frequency": ErrorRow(400, "The Frequency is not valid.", _FREQUENCY),
    "InvalidRepeatMode.NotFound": ErrorRow(
        404, "There is no such repeat mode.", "Use Once, Period, NextRebootOnly, EveryReboot or DryRun."
    ),
    "InvalidTerminationMode.NotFound": ErrorRow(
        404, "There is no such termination mode.", "Use Process or ProcessTree."
    ),
    "Invocation.ExceedQuota": ErrorRow(403, "Today's quota of invocations is used up.", "Wait, or have it raised."),
    "Username.ExceedLimit": ErrorRow(403, "The user name is too long.", "A user name has at most 255 characters."),
    "WindowsPasswordName.ExceedLimit": ErrorRow(403, "The password's name is too long.", _SECRET),
    "WindowsPasswordName.Missed": ErrorRow(403, "This Windows user needs a WindowsPasswordName.", _SECRET),
    "ParameterStore.NotSupported": ErrorRow(403, "There is no store of secrets here.", _SECRET),
    "ParameterStore.InvalidParameters": ErrorRow(403, "The stored secret is not valid.", _SECRET),
    "ParameterStore.NoPermission": ErrorRow(403, "The stored secret may not be read.", _SECRET),
    "TemporaryAccessKey.Error": ErrorRow(403, "The stored secret could not be read.", _SECRET),
    "InvalidContainerId.Malformed": ErrorRow(400, "The container id is not valid.", _CONTAINER),
    "InvalidContainerName.Malformed": ErrorRow(400, "The container name is not valid.", _CONTAINER),
    # stopping and changing
    "InvalidInvokeId.NotFound": ErrorRow(404, "There is no such invocation.", _INVOCATIONS),
    "InvalidParameters.KeyDuplicate": ErrorRow(400, "A parameter is given more than once.", _OWN_PARAMETERS),
    "InvalidParameters.KeyNotMatch": ErrorRow(400, "The content has no such parameter.", _OWN_PARAMETERS),
    "InvalidParameters.KeyMalformed": ErrorRow(400, "A parameter's name is not valid.", _OWN_PARAMETERS),
    "InvalidParameters.KeyEmpty": ErrorRow(400, "A parameter's name is empty.", _OWN_PARAMETERS),
    "InvalidParameters.CountLimitExceeded": ErrorRow(403, "There are too many parameters.", "10 are allowed."),
    "InvalidParameters.KeyLengthLimitExceeded": ErrorRow(403, "A parameter's name is too long.", _OWN_PARAMETERS),
    "InvalidParameters.ValueTypeUnsupported": ErrorRow(403, "A parameter's value is not a string.", _OWN_PARAMETERS),
    "InvalidCommandContent.DecodeError": ErrorRow(
        400, "The content is not Base64.", "Send Base64 text, or ContentEncoding=PlainText."
    ),
    "InvalidCommandContent.LengthLimitExceeded": ErrorRow(403, "The content is too long.", "Make it shorter."),
    "InvalidOperation.RepeatModeUnsupported": ErrorRow(
        403, "Only periodic and reboot-bound invocations can be changed.", _NEW_RUN
    ),
    "InvalidOperation.InvokeAlreadyFinished": ErrorRow(403, "The invocation is over.", _NEW_RUN),
    "InvalidOperation.CloudAssistantVersionUnsupported": ErrorRow(
        403, "An instance's agent is too old for this.", "Upgrade the agent."
    ),
    "InvalidOperation.ModifyPublicCommandUnsupported": ErrorRow(
        403, "The content of a public command cannot be changed.", _NEW_RUN
    ),
    "CommandLimitExceeded": ErrorRow(403, "There are too many commands.", "Delete commands that nobody uses."),
}
