"""Errors of the service's own settings."""

from collections.abc import Mapping

from .row import ErrorRow

_TYPES = (
    "Use SessionManagerDelivery, InvocationDelivery, AgentUpgradeConfig, SessionManagerConfig or ResourceUsage, as "
    "SettingType.N to read and SettingType to change."
)
_WINDOW = "Write windows as HH:mm-HH:mm, each of at least one hour, at most five of them."
_OSS = "Check the bucket's name, its region and the prefix."
_SLS = "Check the names of project and log store."
_ENCRYPTION = "Use Inherit, OssManaged or KMS, with AES256 or SM4."
_NOT_HERE = "Leave this setting out: this service keeps results itself."

ROWS: Mapping[str, ErrorRow] = {
    "PluginName.MissingValue": ErrorRow(400, "A package must be named.", "Name it, or ask for one instance only."),
    "InvalidPluginName.NotFound": ErrorRow(
        404, "There is no such package.", "See which were published: assist package list."
    ),
    "InvalidParameter.SettingType": ErrorRow(400, "There is no such setting type.", _TYPES),
    "InvalidParameter.OssEncryptionType": ErrorRow(400, "The encryption type is not valid.", _ENCRYPTION),
    "InvalidParameter.OssEncryptionAlgorithm": ErrorRow(400, "The encryption algorithm is not valid.", _ENCRYPTION),
    "InvalidParameter.OssEncryptionKeyId": ErrorRow(400, "The encryption key id is not valid.", _ENCRYPTION),
    "InvalidParameter.OssBucketName": ErrorRow(400, "The bucket name is not valid.", _OSS),
    "InvalidParameter.OssPrefix": ErrorRow(400, "The prefix is not valid.", _OSS),
    "InvalidParameter.SlsProjectName": ErrorRow(400, "The project name is not valid.", _SLS),
    "InvalidParameter.SlsLogstoreName": ErrorRow(400, "The log store name is not valid.", _SLS),
    "InvalidParameter.AllowedUpgradeWindow": ErrorRow(400, "An upgrade window is not valid.", _WINDOW),
    "InvalidParameter.TimeZone": ErrorRow(400, "There is no such time zone.", "Write it as Asia/Shanghai or UTC."),
    "InvalidAllowedUpgradeWindow.DurationTooShort": ErrorRow(400, "An upgrade window is too short.", _WINDOW),
    "InvalidAllowedUpgradeWindow.Required": ErrorRow(400, "At least one upgrade window is needed.", _WINDOW),
    "InvalidAllowedUpgradeWindow.CountLimitExceeded": ErrorRow(403, "There are too many upgrade windows.", _WINDOW),
    "InvalidOssBucketName.InOtherRegion": ErrorRow(400, "The bucket is in another region.", _OSS),
    "InvalidOssBucketName.NotFound": ErrorRow(404, "There is no such bucket.", _OSS),
    "InvalidSlsProjectName.NotFound": ErrorRow(404, "There is no such project.", _SLS),
    "InvalidSlsLogstoreName.NotFound": ErrorRow(404, "There is no such log store.", _SLS),
    "InvalidOperation.OssEncryptionUnsupported": ErrorRow(403, "Encrypted delivery is not supported.", _NOT_HERE),
    "InvalidOperation.SessionManagerDeliveryUnsupported": ErrorRow(
        403, "Delivery of session records is not supported.", _NOT_HERE
    ),
    "CreateServiceLinkedRole.NoPermission": ErrorRow(
        403, "The service's role may not be created.", "Ask an administrator for a role that allows it."
    ),
}
