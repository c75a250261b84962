"""An upload goes on where the gateway says, and ends where that takes no more."""

from pathlib import Path

import pytest

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.releases.publisher_signing import Signed, Statement
from cloud_assistant.producer.file_store.uploading import upload


class Gateway:
    """Answers with so many received bytes, one after another."""

    def __init__(self, *received: int) -> None:
        self.received = list(received)
        self.asked: list[tuple[str, str]] = []

    def call(self, action: str, parameters: dict[str, str]) -> dict[str, str]:
        self.asked.append((action, parameters.get("Offset", "")))
        return {"ReceivedBytes": str(self.received.pop(0))} if action == "UploadFilePart" else {}


def signed(size: int) -> Signed:
    statement = Statement(name="tools", version="1", os="any", arch="any", sha256="a" * 64, size=size)
    return Signed("text", "key", b"", b"", statement)


def test_it_goes_on_where_the_gateway_has_come_to(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(b"x" * 100)
    gateway = Gateway(40, 100)
    upload(gateway, tmp_path / "archive", signed(100))  # type: ignore[arg-type]
    assert gateway.asked == [("UploadFilePart", "0"), ("UploadFilePart", "40"), ("PublishPackage", "")]


def test_a_gateway_that_takes_no_more_ends_it(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(b"x" * 100)
    gateway = Gateway(40, 40)
    with pytest.raises(Refused, match="takes no more"):
        upload(gateway, tmp_path / "archive", signed(100))  # type: ignore[arg-type]


def test_an_archive_that_is_shorter_than_what_was_signed_is_not_published(tmp_path: Path) -> None:
    (tmp_path / "archive").write_bytes(b"x" * 100)
    gateway = Gateway(100)
    with pytest.raises(Refused, match="shorter than what was signed"):
        upload(gateway, tmp_path / "archive", signed(101))  # type: ignore[arg-type]
    assert [action for action, _ in gateway.asked] == ["UploadFilePart"]
