"""Publish through a gateway: the archive in pieces, each a signed request, then its signature."""

import base64
from pathlib import Path

from ...broker_config.errors import Refused
from ...broker_config.releases.publisher_signing import Signed
from ..gateway_client import GatewayClient

#: Base64 and the form's escaping make a third more of it, which stays below the gateway's 1 MiB.
PART_BYTES = 512 * 1024


def upload(client: GatewayClient, archive: Path, signed: Signed) -> None:
    """Upload an archive and publish it; an upload that broke off goes on where it ended.

    Raises:
        GatewayUnreachable, Refused, RequestInvalid: as the gateway answered. OSError: the archive cannot be read.
    """
    sha256 = signed.statement.sha256
    sent_bytes = 0
    with archive.open("rb") as file:
        while sent_bytes < signed.statement.size:
            file.seek(sent_bytes)
            part = file.read(PART_BYTES)
            if not part:
                raise Refused(f"{archive} is shorter than what was signed; sign it again", code="ArchiveNotSigned")
            content = base64.b64encode(part).decode()
            answer = client.call("UploadFilePart", {"Sha256": sha256, "Offset": str(sent_bytes), "Content": content})
            received_bytes = int(answer["ReceivedBytes"])
            if received_bytes == sent_bytes:
                raise Refused("the gateway takes no more of the archive; try again later", code="UploadStuck")
            sent_bytes = received_bytes
    client.call("PublishPackage", {"PublisherSignature": signed.text})
