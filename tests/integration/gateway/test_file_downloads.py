"""What a publisher signed goes up through the gateway in pieces and comes down resumable, from the disk, not Redis."""

import http.client
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from integration.gateway.whole_gateway import KEY_ID, SECRET, WholeGateway, whole_gateway

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.releases.publisher_signing import parse, sign, statement_of
from cloud_assistant.producer.file_store.uploading import PART_BYTES, upload
from cloud_assistant.producer.gateway_client import GatewayClient
from harness.disk import fill, small_disk
from harness.redis_server import RedisServer

SIZE_BYTES = 2 * PART_BYTES + 1234


@pytest.fixture
def whole(redis_server: RedisServer, tmp_path: Path) -> Iterator[WholeGateway]:
    with whole_gateway(redis_server.url(), tmp_path / "home") as gateway:
        yield gateway


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "tools.tar.gz"
    path.write_bytes(os.urandom(SIZE_BYTES))
    return path


def signed(archive: Path) -> str:
    statement = statement_of(archive, name="tools", version="1.0", os="any", arch="any")
    return sign(Ed25519PrivateKey.generate(), statement)


def fetch(
    whole: WholeGateway, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> tuple[int, bytes, Mapping[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", whole.port, timeout=30)
    try:
        connection.request(method, path, headers=dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.read(), {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()


def test_an_archive_goes_up_in_pieces_and_comes_down_in_parts(whole: WholeGateway, archive: Path) -> None:
    text = signed(archive)
    found = parse(text)
    upload(GatewayClient(f"http://127.0.0.1:{whole.port}", KEY_ID, SECRET), archive, found)

    assert fetch(whole, "/packages/tools/latest/linux/x86_64")[:2] == (200, text.encode())
    path = f"/files/{found.statement.sha256}"
    content = archive.read_bytes()
    http_status, first, headers = fetch(whole, path, {"Range": "bytes=0-999"})
    assert (http_status, first) == (206, content[:1000])
    rest = fetch(whole, path, {"Range": "bytes=1000-", "If-Range": headers["etag"]})
    assert (rest[0], rest[1]) == (206, content[1000:])
    assert fetch(whole, path)[:2] == (200, content)
    assert fetch(whole, path, method="HEAD")[2]["content-length"] == str(SIZE_BYTES)
    assert fetch(whole, path, {"If-None-Match": headers["etag"]})[0] == 304
    assert fetch(whole, path, {"Range": f"bytes={SIZE_BYTES}-"})[0] == 416
    assert int(whole.assistant.redis.call("DBSIZE")) < 10


def test_nothing_but_digests_and_known_packages_is_served(whole: WholeGateway) -> None:
    paths = ("/files/../home/master-key.json", "/files/%2e%2e/%2e%2e/etc/passwd", "/files/" + "0" * 64, "/files/")
    for path in (*paths, "/packages/tools/1.0/linux/x86_64", "/packages/../../x/y"):
        assert fetch(whole, path)[0] == 404
    http_status, _, headers = fetch(whole, "/files/" + "0" * 64, method="DELETE")
    assert (http_status, headers["allow"]) == (405, "GET, HEAD")


def test_what_was_signed_and_what_was_uploaded_must_be_the_same(whole: WholeGateway, archive: Path) -> None:
    found = parse(signed(archive))
    archive.write_bytes(os.urandom(SIZE_BYTES))
    with pytest.raises(Refused) as refused:
        upload(GatewayClient(f"http://127.0.0.1:{whole.port}", KEY_ID, SECRET), archive, found)
    assert refused.value.code == "DigestMismatch"
    assert fetch(whole, f"/files/{found.statement.sha256}")[0] == 404


def test_a_file_that_the_gateway_may_not_read_is_told_in_its_log_in_a_line(
    whole: WholeGateway, archive: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = parse(signed(archive))
    upload(GatewayClient(f"http://127.0.0.1:{whole.port}", KEY_ID, SECRET), archive, found)
    [stored] = Path(whole.assistant.settings.home).rglob(found.statement.sha256)
    # A folder, since root may read every file.
    stored.unlink()
    stored.mkdir()
    assert fetch(whole, f"/files/{found.statement.sha256}")[0] == 503
    assert f"{stored} cannot be read: Is a directory; let the gateway's user read it" in caplog.text
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("room_bytes", [SIZE_BYTES * 2 // 3, SIZE_BYTES * 4 // 3], ids=["uploading", "publishing"])
def test_a_full_disk_is_said_and_the_upload_goes_on_once_there_is_room(
    redis_server: RedisServer, tmp_path: Path, archive: Path, caplog: pytest.LogCaptureFixture, room_bytes: int
) -> None:
    """Publishing needs the room once more: the pieces are copied where nobody else writes."""
    with (
        small_disk(tmp_path / "home" / "files", 4 * SIZE_BYTES) as disk,
        whole_gateway(redis_server.url(), tmp_path / "home") as whole,
    ):
        ballast, text = fill(disk, room_bytes), signed(archive)
        client, found = GatewayClient(f"http://127.0.0.1:{whole.port}", KEY_ID, SECRET), parse(text)
        with pytest.raises(Refused, match=r"No space left on device.*gateway\.files_folder") as refused:
            upload(client, archive, found)
        assert refused.value.code == "FileNotStored"
        assert "Traceback" not in caplog.text
        (part,) = disk.glob("??/*")
        assert part.stat().st_size > PART_BYTES
        ballast.unlink()
        upload(client, archive, found)
        assert fetch(whole, f"/files/{found.statement.sha256}")[:2] == (200, archive.read_bytes())
        assert len(list(disk.glob("??/*"))) == 1
