"""UploadFilePart and PublishPackage: our own actions, by which an admin publishes through the gateway."""

import base64
import binascii
from collections.abc import Mapping

from ...broker_config.publisher_signing import LIMIT_BYTES
from ..api import Assistant
from ..file_store.publishing import Publishing
from .actions import Action, Call, Fields
from .api_errors import api_error


class PackageActions:
    """Versions and packages on their way into the file store."""

    def __init__(self, assistant: Assistant) -> None:
        self._publishing = Publishing(assistant.redis, assistant.settings)

    def table(self) -> Mapping[str, Action]:
        """The actions by name."""
        return {"UploadFilePart": self.upload_file_part, "PublishPackage": self.publish_package}

    def upload_file_part(self, call: Call) -> Fields:
        """Take in one piece of a file; answers how many bytes of the file are there, which is where to go on."""
        given = call.parameters
        sha256 = given.required("Sha256")
        offset_bytes = given.integer("Offset", 0, minimum=0)
        try:
            part = base64.b64decode(given.required("Content"), validate=True)
        except binascii.Error as exc:
            raise api_error("InvalidParameter.Content", "The content is not Base64.") from exc
        return {"ReceivedBytes": self._publishing.store.append_part(sha256, offset_bytes, part)}

    def publish_package(self, call: Call) -> Fields:
        """Make an uploaded file known, by its publisher's signature."""
        signature = call.parameters.required("PublisherSignature")
        if len(signature) > LIMIT_BYTES:
            raise api_error("InvalidParameter.PublisherSignature", "The signature is too long for one.")
        statement = self._publishing.publish_upload(signature).signed.statement
        return {"Name": statement.name, "Version": statement.version, "Os": statement.os, "Arch": statement.arch}
