"""ListPluginStatus; and UploadFilePart and PublishPackage, our own, by which an admin publishes through the gateway."""

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ....broker_config.clock import iso_seconds
from ....broker_config.errors import CloudAssistantError, Refused
from ....broker_config.programs.program_log import logger
from ....broker_config.releases.publisher_signing import LIMIT_BYTES
from ...api import Assistant
from ...file_store.publishing import Publishing
from ...packages import InstancePackages, Packages
from ..api_errors import api_error
from .action import Action, Call, Fields
from .request_values import counted_instance_ids_of

#: Instances in one request, as the service allows.
STATUS_COUNT = 50
NAME_CHARACTERS = 255

_log = logger("gateway")


class PackageActions:
    """Versions and packages on their way into the file store."""

    def __init__(self, assistant: Assistant) -> None:
        self._publishing = Publishing(assistant.redis, assistant.settings)
        self._packages = Packages(assistant)

    def table(self) -> Mapping[str, Action]:
        """The actions by name."""
        return {
            "UploadFilePart": self.upload_file_part,
            "PublishPackage": self.publish_package,
            "ListPluginStatus": self.list_plugin_status,
        }

    def upload_file_part(self, call: Call) -> Fields:
        """Take in one piece of a file; answers how many bytes of the file are there, which is where to go on."""
        given = call.parameters
        sha256 = given.required("Sha256")
        offset_bytes = given.integer("Offset", 0, minimum=0)
        try:
            part = base64.b64decode(given.required("Content"), validate=True)
        except ValueError as exc:
            raise api_error("InvalidParameter.Content", "The content is not Base64.") from exc
        with _on_its_disk():
            return {"ReceivedBytes": self._publishing.store.append_part(sha256, offset_bytes, part)}

    def publish_package(self, call: Call) -> Fields:
        """Make an uploaded file known, by its publisher's signature."""
        signature = call.parameters.required("PublisherSignature")
        if len(signature) > LIMIT_BYTES:
            raise api_error("InvalidParameter.PublisherSignature", "The signature is too long for one.")
        with _on_its_disk():
            statement = self._publishing.publish_upload(signature).signed.statement
        return {"PackageId": f"{statement.name}/{statement.version}/{statement.os}/{statement.arch}"}

    def list_plugin_status(self, call: Call) -> Fields:
        """Tell of each instance which packages it has and how they are; all named come back on one page."""
        name = call.parameters.text("Name")
        ids = counted_instance_ids_of(call, most=STATUS_COUNT)
        if not ids:
            raise api_error("MissingParam.InstanceId")
        if not name and len(ids) > 1:
            raise api_error("PluginName.MissingValue")
        found = self._packages.status(ids, name[:NAME_CHARACTERS])
        if name and not self._packages.is_known(name) and not any(one.version for on in found for one in on.packages):
            raise api_error("InvalidPluginName.NotFound")
        shapes = [_status_shape(one) for one in found]
        page = {"TotalCount": len(shapes), "PageNumber": 1, "PageSize": len(shapes), "NextToken": ""}
        return {**page, "InstancePluginStatusSet": {"InstancePluginStatus": shapes}}


@contextmanager
def _on_its_disk() -> Iterator[None]:
    """Say what the gateway's disk has against a file; its path is for the log."""
    try:
        yield
    except CloudAssistantError:
        # One of them is an OSError too, and none of them is about the disk.
        raise
    except OSError as exc:
        _log.error("a file cannot be stored: %s", exc)
        raise Refused(
            f"the gateway cannot store the file ({exc.strerror or exc}); fix that on its machine, in "
            "gateway.files_folder, and publish it again: what was uploaded stays",
            code="FileNotStored",
        ) from exc


def _status_shape(found: InstancePackages) -> dict[str, object]:
    plugins = [
        {
            "PluginName": one.name,
            "PluginVersion": one.version,
            "PluginStatus": str(one.status),
            "FirstHeartbeatTime": iso_seconds(one.first_healthy_ms),
            "LastHeartbeatTime": iso_seconds(one.last_healthy_ms),
        }
        for one in found.packages
    ]
    return {"InstanceId": found.instance_id, "PluginStatusSet": {"PluginStatus": plugins}}
