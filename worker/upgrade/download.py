"""Fetch a signed archive from the gateway: resumed where it broke off, believed only when it is what was signed."""

import contextlib
import http.client
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

from ...broker_config.clock import monotonic_seconds, now_ms
from ...broker_config.errors import CloudAssistantError, Refused
from ...broker_config.redis.server_names import http_address
from ...broker_config.redis.tls import TlsClient, TlsFilesUnusable
from ...broker_config.releases.publisher_signing import LIMIT_BYTES, Statement, check_file
from ..backoff import Backoff

_TIMEOUT_SECONDS = 30.0
_READ_BYTES = 256 * 1024
#: A gateway that is away for longer than this, in the middle of a download, is asked again by a later order.
PATIENCE_SECONDS = 900.0
#: What is being fetched ends so.
PART_SUFFIX = ".part"
#: A beginning that nobody has continued for this long is not kept for a later try.
_STALE_MS = 24 * 3600 * 1000


class DownloadFailed(CloudAssistantError):
    """The archive could not be fetched; nothing on this machine has changed."""

    code = "DownloadFailed"


def fetch_archive(
    url: str,
    statement: Statement,
    target: Path,
    *,
    go_on: Callable[[], bool] = lambda: True,
    wait: Callable[[float], object],
    patience_seconds: float = PATIENCE_SECONDS,
    ca_file: str = "",
) -> None:
    """Fetch the archive of a statement into a file, whose beginning may be there from an earlier try.

    ``go_on`` is asked now and then whether it is still wanted; ``wait`` waits between tries; ``ca_file`` holds the
    certificates that a gateway with HTTPS is checked by, when they are not the system's.

    Raises:
        DownloadFailed: the gateway did not give it, or it is not wanted any more.
        Refused: what came is not what was signed; the file is gone.
        OSError: the disk does not take it, and has its room again.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_stale(target)
    deadline = monotonic_seconds() + patience_seconds
    backoff = Backoff()
    most_bytes = 0
    while True:
        there_bytes = target.stat().st_size if target.exists() else 0
        if there_bytes >= statement.size:
            break
        if there_bytes > most_bytes:
            # A line that breaks again and again, and gets on, is not away.
            most_bytes, deadline = there_bytes, monotonic_seconds() + patience_seconds
            backoff.reset()
        try:
            _fetch_rest(url, ca_file, statement, target, there_bytes, go_on)
            backoff.reset()
        except ssl.SSLCertVerificationError as exc:
            # No later try makes it another certificate, as a rule; whoever fixes it orders the version again.
            raise DownloadFailed(_tls(ca_file).explain(exc, url)) from exc
        except _TryLater as exc:
            if monotonic_seconds() > deadline:
                raise DownloadFailed(
                    f"{url} did not give {statement}: {exc}; roll it out again, or check gateway.url"
                ) from exc
            wait(backoff.next_seconds())
        except OSError:
            # The disk's: what filled it would stay until something is fetched again, and keep everything else from it.
            target.unlink(missing_ok=True)
            raise
        if not go_on():
            raise DownloadFailed(f"{statement} is not wanted any more")
    with target.open("rb") as file:
        try:
            check_file(file, statement)
        except Refused:
            target.unlink()
            raise


def fetch_signature(url: str, name: str, version: str, *, os: str, arch: str, ca_file: str = "") -> str:
    """Ask the gateway for the publisher's signature of a version; ``latest`` is one too.

    Raises:
        DownloadFailed: the gateway has none, or does not answer.
    """
    try:
        connection, base = _connection_to(url, ca_file)
        try:
            connection.request("GET", f"{base}/packages/{name}/{version}/{os}/{arch}")
            response = connection.getresponse()
            text = response.read(LIMIT_BYTES).decode("utf-8", "replace")
        finally:
            connection.close()
    except (OSError, http.client.HTTPException) as exc:
        wrong_certificate = _tls(ca_file).explain(exc, url) if isinstance(exc, OSError) else ""
        raise DownloadFailed(
            wrong_certificate or f"the gateway at {url} does not answer ({exc}); set gateway.url"
        ) from exc
    if response.status != 200:
        raise DownloadFailed(f"the gateway at {url} has no {name} {version} for {os}/{arch} ({response.status})")
    return text


def _remove_stale(target: Path) -> None:
    """Remove what fetches that were given up have left beside the target."""
    for path in target.parent.glob(f"*{PART_SUFFIX}"):
        with contextlib.suppress(FileNotFoundError):
            # Another fetch may just be through with it. A folder is that of a package whose name ends so.
            if path != target and now_ms() - path.stat().st_mtime_ns // 1_000_000 > _STALE_MS and not path.is_dir():
                path.unlink()


class _TryLater(Exception):
    """The gateway cannot be reached, or answered that it cannot serve now."""


@contextlib.contextmanager
def _network() -> Iterator[None]:
    """Tell the network's errors from those of the disk: a name that cannot be resolved now, no route, a broken line.

    Raises:
        ssl.SSLCertVerificationError: as it is.
        _TryLater: anything else that went wrong.
    """
    try:
        yield
    except ssl.SSLCertVerificationError:
        raise
    except (OSError, http.client.HTTPException) as exc:
        raise _TryLater(str(exc) or type(exc).__name__) from exc


def _fetch_rest(
    url: str, ca_file: str, statement: Statement, target: Path, there_bytes: int, go_on: Callable[[], bool]
) -> None:
    connection, base = _connection_to(url, ca_file)
    try:
        headers = {}
        if there_bytes:
            headers = {"Range": f"bytes={there_bytes}-", "If-Range": f'"{statement.sha256}"'}
        with _network():
            connection.request("GET", f"{base}/files/{statement.sha256}", headers=headers)
            response = connection.getresponse()
        if response.status in (429, 500, 502, 503, 504):
            raise _TryLater(f"status {response.status}")
        if response.status not in (200, 206):
            raise DownloadFailed(f"{url} answers {response.status} when asked for {statement}")
        left_bytes = statement.size - (there_bytes if response.status == 206 else 0)
        with target.open("ab" if response.status == 206 else "wb") as file:
            while left_bytes > 0:
                with _network():
                    data = response.read(min(_READ_BYTES, left_bytes))
                if not data:
                    break
                file.write(data)
                left_bytes -= len(data)
                if not go_on():
                    return
        if left_bytes > 0:
            raise _TryLater(f"the connection ended {left_bytes} bytes too early")
    finally:
        connection.close()


def _connection_to(url: str, ca_file: str) -> tuple[http.client.HTTPConnection, str]:
    parts = http_address(url)
    if parts is None:
        raise DownloadFailed(f"{url!r} is not the address of a gateway; set gateway.url to http://… or https://…")
    host, port, base = parts.hostname or "", parts.port, parts.path.rstrip("/")
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS), base
    try:
        context = _tls(ca_file).context()
    except TlsFilesUnusable as exc:
        raise DownloadFailed(str(exc)) from exc
    return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_SECONDS, context=context), base


def _tls(ca_file: str) -> TlsClient:
    return TlsClient(ca=ca_file, ca_option="gateway.ca_file")
