"""DescribeCloudAssistantSettings and ModifyCloudAssistantSettings: the little of it that exists here.

Results are kept by this service and agents are upgraded by roll-outs that name a version (`assist agent-version`), so
delivery, session and automatic-upgrade settings are off and stay off; of the agents' resources the limits are those of
the agent's own settings, and are shown.
"""

from collections.abc import Mapping

from ...api import Assistant
from ...shapes import Shape
from ..api_errors import api_error
from .action import Action, Call, Fields
from .upgrade_windows import check_windows

TYPES = ("SessionManagerDelivery", "InvocationDelivery", "AgentUpgradeConfig", "SessionManagerConfig", "ResourceUsage")
_DELIVERIES = {"SessionManagerDelivery": "SessionManager", "InvocationDelivery": "Invocation"}


class SettingsActions:
    """Settings of the service."""

    def __init__(self, assistant: Assistant) -> None:
        self._settings = assistant.settings

    def table(self) -> Mapping[str, Action]:
        """The actions by name."""
        return {
            "DescribeCloudAssistantSettings": self.describe,
            "ModifyCloudAssistantSettings": self.modify,
        }

    def describe(self, call: Call) -> Fields:
        """Show the settings of each type asked for."""
        wanted = call.parameters.list_of("SettingType")
        if not wanted:
            raise api_error("InvalidParameter.SettingType", "No SettingType was given.")
        for one in wanted:
            _check_type(one)
        fields: Shape = {}
        deliveries = [_DELIVERIES[one] for one in wanted if one in _DELIVERIES]
        if deliveries:
            fields["OssDeliveryConfigs"] = {"OssDeliveryConfig": [_oss_shape(one) for one in deliveries]}
            fields["SlsDeliveryConfigs"] = {"SlsDeliveryConfig": [_sls_shape(one) for one in deliveries]}
        if "AgentUpgradeConfig" in wanted:
            fields["AgentUpgradeConfig"] = {
                "Enabled": False,
                "AllowedUpgradeWindows": {"AllowedUpgradeWindow": []},
                "TimeZone": "",
                "BootstrapUpgrade": False,
                "DisableUpgrade": True,
            }
        if "SessionManagerConfig" in wanted:
            fields["SessionManagerConfig"] = {"SessionManagerEnabled": False}
        if "ResourceUsage" in wanted:
            fields["ResourceUsageConfig"] = {
                "LogSizeLimit": f"{self._settings.agent.log_limit_bytes // (1024 * 1024)}MB",
                "KeepScriptFile": self._settings.agent.keep_scripts,
            }
        return fields

    def modify(self, call: Call) -> Fields:
        """Accept what changes nothing, and refuse, by its own code, what cannot be had here."""
        given = call.parameters
        kind = given.required("SettingType", code="InvalidParameter.SettingType")
        _check_type(kind)
        if kind in _DELIVERIES:
            _check_oss(given.json_object("OssDeliveryConfig") or {}, kind)
            _check_sls(given.json_object("SlsDeliveryConfig") or {}, kind)
        elif kind == "AgentUpgradeConfig":
            config = given.json_object("AgentUpgradeConfig") or {}
            check_windows(config)
            if config.get("Enabled") or config.get("BootstrapUpgrade"):
                raise _not_here("Agents are upgraded by a roll-out: assist agent-version rollout.")
        elif kind == "SessionManagerConfig":
            if (given.json_object("SessionManagerConfig") or {}).get("SessionManagerEnabled"):
                raise _not_here("There is no session manager here.")
        elif given.json_object("ResourceUsageConfig"):
            raise _not_here("The limits of an agent are set on its machine: section [agent] of its settings.")
        return {}


def _check_type(kind: str) -> None:
    if kind not in TYPES:
        raise api_error("InvalidParameter.SettingType", f"There is no setting type {kind[:40]!r}.")


def _not_here(why: str) -> Exception:
    return api_error("Operation.Forbidden", why)


def _check_oss(config: Mapping[str, object], kind: str) -> None:
    if not config.get("Enabled"):
        return
    bucket, prefix = str(config.get("BucketName") or ""), str(config.get("Prefix") or "")
    encryption, algorithm = config.get("EncryptionType", "Inherit"), config.get("EncryptionAlgorithm", "AES256")
    if not 3 <= len(bucket) <= 63:
        raise api_error("InvalidParameter.OssBucketName")
    if len(prefix) > 254 or prefix.startswith(("/", "\\")):
        raise api_error("InvalidParameter.OssPrefix")
    if encryption not in ("Inherit", "OssManaged", "KMS"):
        raise api_error("InvalidParameter.OssEncryptionType")
    if algorithm not in ("AES256", "SM4"):
        raise api_error("InvalidParameter.OssEncryptionAlgorithm")
    if encryption == "KMS" and not config.get("EncryptionKeyId"):
        raise api_error("InvalidParameter.OssEncryptionKeyId")
    if kind == "SessionManagerDelivery":
        raise api_error("InvalidOperation.SessionManagerDeliveryUnsupported")
    if encryption != "Inherit":
        raise api_error("InvalidOperation.OssEncryptionUnsupported")
    raise api_error("InvalidOssBucketName.NotFound", "There is no object store here.")


def _check_sls(config: Mapping[str, object], kind: str) -> None:
    if not config.get("Enabled"):
        return
    if not 3 <= len(str(config.get("ProjectName") or "")) <= 63:
        raise api_error("InvalidParameter.SlsProjectName")
    if not 3 <= len(str(config.get("LogstoreName") or "")) <= 63:
        raise api_error("InvalidParameter.SlsLogstoreName")
    if kind == "SessionManagerDelivery":
        raise api_error("InvalidOperation.SessionManagerDeliveryUnsupported")
    raise api_error("InvalidSlsProjectName.NotFound", "There is no log service here.")


def _oss_shape(delivery: str) -> Shape:
    return {
        "DeliveryType": delivery,
        "Enabled": False,
        "BucketName": "",
        "Prefix": "",
        "EncryptionType": "",
        "EncryptionAlgorithm": "",
        "EncryptionKeyId": "",
    }


def _sls_shape(delivery: str) -> Shape:
    return {"DeliveryType": delivery, "Enabled": False, "ProjectName": "", "LogstoreName": ""}
