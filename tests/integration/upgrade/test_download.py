"""A download goes on where it broke off, and what comes is believed only when it was signed."""

import errno
import hashlib
import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from e2e.upgrade.bundles import archive_of

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.releases.publisher_signing import Statement, parse
from cloud_assistant.worker.upgrade.bundle import install_bundle
from cloud_assistant.worker.upgrade.download import PATIENCE_SECONDS, DownloadFailed, fetch_archive, fetch_signature
from cloud_assistant.worker.upgrade.installation import Installation
from harness.certificates import Authority, Certificate
from harness.disk import fill, small_disk

CONTENT = os.urandom(300_000)
STATEMENT = Statement(
    name="tools",
    version="1",
    os="any",
    arch="any",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size=len(CONTENT),
)


@contextmanager
def server(
    content: bytes,
    *,
    most_bytes: int,
    certificate: Certificate | None = None,
    first_status: int = 0,
    knows_ranges: bool = True,
    paths: list[str] | None = None,
) -> Iterator[tuple[str, list[str]]]:
    """A server that breaks off each answer after some bytes; gives its address and the ranges it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Range", ""))
            if paths is not None:
                paths.append(self.path)
            if first_status and len(asked) == 1:
                self.send_error(first_status)
                return
            first = int(asked[-1].removeprefix("bytes=").removesuffix("-") or 0) if knows_ranges else 0
            self.send_response(206 if first else 200)
            self.send_header("Content-Length", str(len(content) - first))
            self.end_headers()
            self.wfile.write(content[first : first + most_bytes])

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate.cert, certificate.key)
            listening.socket = context.wrap_socket(listening.socket, server_side=True)
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"{'https' if certificate else 'http'}://127.0.0.1:{listening.server_port}", asked
        finally:
            listening.shutdown()
            thread.join()


def test_a_download_that_breaks_off_goes_on_where_it_ended(tmp_path: Path) -> None:
    with server(CONTENT, most_bytes=120_000) as (url, asked):
        fetch_archive(url, STATEMENT, tmp_path / "part", wait=lambda _: None)
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert asked == ["", "bytes=120000-", "bytes=240000-"]


def test_a_gateway_that_does_not_know_ranges_gives_all_of_it_again(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(CONTENT[:1000])
    with server(CONTENT, most_bytes=10**9, knows_ranges=False) as (url, _):
        fetch_archive(url, STATEMENT, tmp_path / "part", wait=lambda _: None)
    assert (tmp_path / "part").read_bytes() == CONTENT


@pytest.mark.parametrize(("most_bytes", "is_fetched"), [(30_000, True), (0, False)])
def test_only_a_line_that_gets_no_further_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most_bytes: int, is_fetched: bool
) -> None:
    passed_seconds = [0.0]
    monkeypatch.setattr("cloud_assistant.worker.upgrade.download.monotonic_seconds", lambda: passed_seconds[0])

    def wait(_: float) -> None:
        passed_seconds[0] += PATIENCE_SECONDS * 0.6

    with server(CONTENT, most_bytes=most_bytes) as (url, asked):
        if is_fetched:
            fetch_archive(url, STATEMENT, tmp_path / "part", wait=wait)
        else:
            with pytest.raises(DownloadFailed, match="roll it out again"):
                fetch_archive(url, STATEMENT, tmp_path / "part", wait=wait)
    assert len(asked) == (10 if is_fetched else 3)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_gateway_that_cannot_serve_now_is_asked_again(tmp_path: Path, status: int) -> None:
    waits: list[float] = []
    with server(CONTENT, most_bytes=10**9, first_status=status) as (url, asked):
        fetch_archive(url, STATEMENT, tmp_path / "part", wait=waits.append)
    assert (len(asked), len(waits)) == (2, 1)


@pytest.mark.parametrize("status", [404, 403, 302, 204])
def test_a_gateway_that_will_never_serve_it_is_not_asked_again(tmp_path: Path, status: int) -> None:
    with server(CONTENT, most_bytes=10**9, first_status=status) as (url, asked), pytest.raises(DownloadFailed):
        fetch_archive(url, STATEMENT, tmp_path / "part", wait=lambda _: None)
    assert len(asked) == 1


def test_a_gateway_may_lie_below_a_path(tmp_path: Path) -> None:
    paths: list[str] = []
    with server(CONTENT, most_bytes=10**9, paths=paths) as (url, _):
        fetch_archive(f"{url}/assist/", STATEMENT, tmp_path / "part", wait=lambda _: None)
    assert paths == [f"/assist/files/{STATEMENT.sha256}"]


def test_what_is_not_wanted_any_more_is_not_fetched_to_its_end(tmp_path: Path) -> None:
    with server(CONTENT, most_bytes=10**9) as (url, _), pytest.raises(DownloadFailed, match="not wanted any more"):
        fetch_archive(url, STATEMENT, tmp_path / "part", wait=lambda _: None, go_on=lambda: False)
    # What there is of it is a beginning for the next try.
    assert 0 < (tmp_path / "part").stat().st_size < len(CONTENT)


def test_an_old_beginning_of_the_same_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "c.part").write_bytes(CONTENT[:1000])
    os.utime(tmp_path / "c.part", (0, 0))
    with server(CONTENT, most_bytes=10**9) as (url, asked):
        fetch_archive(url, STATEMENT, tmp_path / "c.part", wait=lambda _: None)
    assert asked == ["bytes=1000-"]


def test_a_beginning_that_is_longer_than_the_whole_is_thrown_away(tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(CONTENT + b"x")
    with server(CONTENT, most_bytes=10**9) as (url, asked), pytest.raises(Refused) as refused:
        fetch_archive(url, STATEMENT, tmp_path / "part", wait=lambda _: None)
    assert (refused.value.code, asked) == ("ArchiveNotSigned", [])
    assert not (tmp_path / "part").exists()


def test_a_signature_that_the_gateway_has_not_is_told_so() -> None:
    with (
        server(b"no such package", most_bytes=10**9, first_status=404) as (url, _),
        pytest.raises(DownloadFailed, match=r"has no tools latest for linux/x86_64 \(404\)"),
    ):
        fetch_signature(url, "tools", "latest", os="linux", arch="x86_64")


def test_a_beginning_that_nobody_goes_on_with_is_not_kept_for_ever(tmp_path: Path) -> None:
    stale, young = tmp_path / "a.part", tmp_path / "b.part"
    for path in (stale, young):
        path.touch()
    os.utime(stale, (0, 0))
    with server(CONTENT, most_bytes=10**9) as (url, _):
        fetch_archive(url, STATEMENT, tmp_path / "c.part", wait=lambda _: None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.part", "c.part"]


def test_an_old_folder_of_a_package_whose_name_ends_like_a_download_is_none(tmp_path: Path) -> None:
    package = tmp_path / "tools.part"
    package.mkdir()
    os.utime(package, (0, 0))
    with server(CONTENT, most_bytes=10**9) as (url, _):
        fetch_archive(url, STATEMENT, tmp_path / "c.part", wait=lambda _: None)
    assert package.is_dir()


def test_a_beginning_that_another_fetch_is_through_with_meanwhile_hinders_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone.part"
    listed = Path.glob

    def glob(folder: Path, pattern: str) -> Iterator[Path]:
        yield from [*listed(folder, pattern), gone]

    monkeypatch.setattr(Path, "glob", glob)
    with server(CONTENT, most_bytes=10**9) as (url, _):
        fetch_archive(url, STATEMENT, tmp_path / "c.part", wait=lambda _: None)
    assert (tmp_path / "c.part").read_bytes() == CONTENT


def test_another_file_than_the_signed_one_is_thrown_away(tmp_path: Path) -> None:
    with server(CONTENT[::-1], most_bytes=10**9) as (url, _), pytest.raises(Refused) as refused:
        fetch_archive(url, STATEMENT, tmp_path / "part", wait=lambda _: None)
    assert refused.value.code == "ArchiveNotSigned"
    assert not (tmp_path / "part").exists()


def test_a_gateway_that_never_gives_all_of_it_is_given_up(tmp_path: Path) -> None:
    with server(CONTENT[:1000], most_bytes=10**9) as (url, _), pytest.raises(DownloadFailed):
        fetch_archive(url, STATEMENT, tmp_path / "part", wait=lambda _: None, patience_seconds=0.2)


def test_a_network_that_is_away_for_a_moment_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    troubles: list[OSError] = [
        socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"),
        OSError(errno.EHOSTUNREACH, "No route to host"),
    ]
    connect = socket.create_connection

    def connected(*given: Any, **named: Any) -> socket.socket:
        if troubles:
            raise troubles.pop()
        return connect(*given, **named)

    monkeypatch.setattr(socket, "create_connection", connected)
    waits: list[float] = []
    with server(CONTENT, most_bytes=10**9) as (url, _):
        fetch_archive(url, STATEMENT, tmp_path / "part", wait=waits.append)
    assert (tmp_path / "part").read_bytes() == CONTENT
    assert len(waits) == 2


def test_a_disk_that_takes_no_more_is_no_trouble_of_the_network_and_does_not_stay_full(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 200_000) as folder, server(CONTENT, most_bytes=10**9) as (url, _):
        with pytest.raises(OSError, match="No space"):
            fetch_archive(url, STATEMENT, folder / "part", wait=lambda _: None)
        (folder / "of-somebody-else").write_bytes(CONTENT[:150_000])


def test_a_gateway_is_checked_by_the_certificates_that_are_set_and_a_wrong_one_is_not_asked_again(
    tmp_path: Path,
) -> None:
    authority, stranger = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    certificate = authority.issue("gateway", "127.0.0.1")
    waits: list[float] = []
    with server(CONTENT, most_bytes=10**9, certificate=certificate) as (url, _):
        with pytest.raises(DownloadFailed, match=r"gateway\.ca_file"):
            fetch_archive(url, STATEMENT, tmp_path / "part", wait=waits.append, ca_file=str(stranger.ca))
        assert waits == []
        fetch_archive(url, STATEMENT, tmp_path / "part", wait=waits.append, ca_file=str(authority.ca))
    assert (tmp_path / "part").read_bytes() == CONTENT


def test_a_full_disk_leaves_the_versions_as_they_were(tmp_path: Path) -> None:

    archive = archive_of(tmp_path, "2.0.0", Ed25519PrivateKey.generate(), padding_bytes=3_000_000)
    statement = parse((tmp_path / f"{archive.name}.sig").read_text()).statement
    with small_disk(tmp_path / "opt", 2_000_000) as folder:
        installation = Installation(folder)
        fill(folder, leave_bytes=500_000)
        with pytest.raises(OSError, match="No space"):
            install_bundle(archive, statement, installation)
        assert list((folder / "versions").iterdir()) == []
