"""The program ``assist-gateway``: where it listens, how it ends, and why it does not start."""

import contextlib
import http.client
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.needs import skip_without
from harness.ports import ReservedPort, reserve_port
from harness.processes import Program, clean_environment, installed_program
from harness.redis_server import RedisServer

#: Open files that a gateway is granted.
FILES_COUNT = 400


def gateway(folder: Path, redis_url: str, *options: str | Path) -> Program:
    return Program(
        [installed_program("assist-gateway"), "--redis-url", redis_url, *options],
        env=clean_environment(folder, {"CLOUD_ASSISTANT_HOME": str(folder)}),
        cwd=folder,
        log_path=folder / "gateway.log",
        name="gateway",
    )


@contextmanager
def closing_port() -> Iterator[ReservedPort]:
    """A port that nobody else of this machine's tests takes meanwhile."""
    reserved = reserve_port()
    try:
        yield reserved
    finally:
        reserved.release()


def refused(folder: Path, *options: str | Path, as_others: Sequence[str] = ()) -> tuple[int, str]:
    environment = clean_environment(folder, {"CLOUD_ASSISTANT_HOME": str(folder)})
    argv = [*as_others, installed_program("assist-gateway"), *options]
    ended = subprocess.run(argv, env=environment, capture_output=True, timeout=20, check=False)
    return ended.returncode, ended.stderr.decode()


def test_it_serves_a_unix_socket_and_ends_in_good_order(redis_server: RedisServer, tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    with gateway(tmp_path, redis_server.url(), "--unix-socket", path) as program:
        program.wait_for_line(r"gateway ready url=http\+unix://")
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(path))
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        program.sigterm()
        assert program.wait() == 0
    assert not path.exists()


def certificate_options(folder: Path) -> list[str | Path]:
    certificate, key = folder / "c.pem", folder / "k.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return ["--tls-certificate", certificate, "--tls-key", key]


def https_status(folder: Path, port: int) -> int:
    context = ssl.create_default_context(cafile=str(folder / "c.pem"))
    context.check_hostname = False
    client = http.client.HTTPSConnection("127.0.0.1", port, context=context, timeout=10)
    client.request("GET", "/healthz")
    try:
        return client.getresponse().status
    finally:
        client.close()


def test_it_serves_https(redis_server: RedisServer, tmp_path: Path) -> None:
    tls = certificate_options(tmp_path)
    with (
        closing_port() as reserved,
        gateway(tmp_path, redis_server.url(), "--port", str(reserved.number), *tls) as program,
    ):
        program.wait_for_line(r"gateway ready url=https://")
        assert https_status(tmp_path, reserved.number) == 200


@pytest.mark.parametrize("with_tls", [True, False])
def test_a_burst_of_silent_connections_leaves_files_for_whoever_asks(
    redis_server: RedisServer, tmp_path: Path, with_tls: bool
) -> None:
    """Accepted faster than others made way, they took every open file, and the log was filled with that."""
    tls = certificate_options(tmp_path) if with_tls else []
    with closing_port() as reserved, contextlib.ExitStack() as opened:
        program = gateway(tmp_path, redis_server.url(), "--port", str(reserved.number), *tls)
        program.argv = ["sh", "-c", f'ulimit -n {FILES_COUNT}; exec "$@"', "sh", *program.argv]
        opened.enter_context(program).wait_for_line(r"gateway ready url=http")
        for _ in range(2 * FILES_COUNT):
            opened.enter_context(socket.create_connection(("127.0.0.1", reserved.number), timeout=10))
        if with_tls:
            assert https_status(tmp_path, reserved.number) == 200
        else:
            client = opened.enter_context(socket.create_connection(("127.0.0.1", reserved.number), timeout=10))
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert "out of system resource" not in program.log()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--tls-key", "k.pem"), "go together"),
        (("--tls-key", "absent.pem", "--tls-certificate", "absent.pem"), "there is no file absent.pem"),
        (("--host", "203.0.113.1", "--port", "0"), "cannot listen on 203.0.113.1:0"),
        (("--redis-url", "ftp://x"), "redis"),
        (("--config", "proxies.toml"), "gateway.trusted_proxies: 'nowhere'"),
        (("--config", "port.toml"), "cannot listen on 127.0.0.1:99999: bind(): port must be 0-65535"),
    ],
)
def test_a_start_that_cannot_be_is_refused_in_a_line(tmp_path: Path, options: tuple[str, ...], text: str) -> None:
    (tmp_path / "proxies.toml").write_text('[gateway]\nport = 0\ntrusted_proxies = "nowhere"\n')
    (tmp_path / "port.toml").write_text("[gateway]\nport = 99999\n")
    options = tuple(str(tmp_path / one) if one.endswith(".toml") else one for one in options)
    exit_code, said = refused(tmp_path, *options)
    assert exit_code == 2
    assert text in said
    assert "Traceback" not in said


def test_a_key_in_a_folder_that_is_not_for_this_user_is_told_in_a_line(tmp_path: Path) -> None:
    """Debian keeps keys in such a one, /etc/ssl/private."""
    certificate_options(tmp_path)
    theirs = tmp_path / "private"
    theirs.mkdir()
    key = (tmp_path / "k.pem").rename(theirs / "k.pem")
    theirs.chmod(0)
    # Root looks into every folder, but without these rights.
    rights = "-dac_override,-dac_read_search"
    as_others = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"] if os.geteuid() == 0 else []
    if as_others and shutil.which(as_others[0]) is None:
        skip_without("setpriv", "Run this test as another user than root.")
    exit_code, said = refused(tmp_path, "--tls-certificate", tmp_path / "c.pem", "--tls-key", key, as_others=as_others)
    assert exit_code == 2
    assert f"the file {key} (key) cannot be read: Permission denied" in said
    assert "Traceback" not in said


def test_version_and_help() -> None:
    for option, text in (("-V", b"assist-gateway 0."), ("--help", b"Examples:")):
        ended = subprocess.run([installed_program("assist-gateway"), option], capture_output=True, check=True)
        assert text in ended.stdout
