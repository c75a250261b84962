"""The server itself: request lines of any length, sockets, TLS, stopping, hostile connections."""

import contextlib
import http.client
import logging
import signal
import socket
import ssl
import stat
import subprocess
import sys
import threading
from pathlib import Path
from time import perf_counter

import pytest
from integration.gateway.raw_http import connection_to, exchange, read_reply
from integration.gateway.running_gateway import running_gateway
from unit.producer.gateway.signing import v1_query

from cloud_assistant.broker_config.settings_table import GatewaySettings
from cloud_assistant.producer.gateway.app import AppLimits
from cloud_assistant.producer.gateway.routes import Route, RouteRequest, Routes
from cloud_assistant.producer.gateway.serving import http_protocol
from cloud_assistant.producer.gateway.serving.http_messages import HttpReply
from cloud_assistant.producer.gateway.serving.server import listening_socket
from harness.eventually import eventually


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


@pytest.mark.parametrize("size_bytes", [9_000, 66_000, 100_000, 200_000])
def test_a_long_request_line_works(port: int, size_bytes: int) -> None:
    query = v1_query("CreateCommand", {"Name": "n", "CommandContent": "A" * size_bytes})
    reply = exchange(port, f"POST /?{query} HTTP/1.1\nHost: g")
    assert (reply.http_status, reply.fields["CommandId"]) == (200, "c-test")


def test_a_request_line_over_the_limit_is_refused_in_a_way_the_sdks_can_read(port: int) -> None:
    reply = exchange(port, f"POST /?A={'x' * 2_000_000} HTTP/1.1\nHost: g")
    assert (reply.http_status, reply.fields["Code"]) == (431, "RequestHeaderTooLarge")
    assert reply.headers["connection"] == "close"


@pytest.mark.parametrize("more_lines", [0, 1, 250_000])
def test_a_head_of_very_many_lines_is_refused_before_each_is_looked_at(port: int, more_lines: int) -> None:
    """They took fifty times their size in memory, for as long as the body was awaited."""
    lines_count = http_protocol.LINES_COUNT + more_lines
    reply = exchange(port, "GET /healthz HTTP/1.1\nHost: g\n" + "\n".join(["a:"] * (lines_count - 2)))
    if not more_lines:
        assert reply.http_status == 200
        return
    assert (reply.http_status, reply.fields["Code"]) == (431, "RequestHeaderTooLarge")
    assert reply.headers["connection"] == "close"


def test_what_follows_a_body_in_chunks_may_not_have_so_many_lines_either(port: int) -> None:
    trailers = b"a:\r\n" * (http_protocol.LINES_COUNT + 1)
    body = b"0\r\n" + trailers + b"\r\n"
    reply = exchange(port, "POST / HTTP/1.1\nHost: g\nTransfer-Encoding: chunked", body)
    assert (reply.http_status, reply.fields["Code"]) == (431, "RequestHeaderTooLarge")


def test_a_body_far_over_the_limit_is_refused_and_the_client_learns_it(port: int) -> None:
    body = b"x" * 1_500_000
    reply = exchange(port, f"POST /?Format=JSON&Signature=x HTTP/1.1\nHost: g\nContent-Length: {len(body)}", body)
    assert (reply.http_status, reply.fields["Code"]) == (413, "RequestEntityTooLarge")


def test_a_body_without_end_is_cut_off_with_a_reply() -> None:
    limits = AppLimits(body_bytes=256 * 1024)
    with running_gateway(limits=limits) as server, connection_to(port_of(server.url)) as connection:
        connection.sendall(b"POST /?Format=JSON&Signature=x HTTP/1.1\r\nHost: g\r\nContent-Length: 99999999\r\n\r\n")
        connection.sendall(b"x" * 2_200_000)
        reply = read_reply(connection)
        assert (reply.http_status, reply.headers["connection"]) == (413, "close")
        # A close with bytes of ours unread is a reset to some kernels' timing; either way nothing more comes.
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(10) == b""


def test_an_overloaded_gateway_reads_the_request_before_it_refuses() -> None:
    body = b"x" * 250_000
    with running_gateway(limits=AppLimits(requests_count=0)) as server, connection_to(port_of(server.url)) as kept:
        head = f"POST /?Format=JSON&Signature=x HTTP/1.1\r\nHost: g\r\nContent-Length: {len(body)}\r\n\r\n"
        for _ in range(2):
            kept.sendall(head.encode() + body)
            assert read_reply(kept).http_status == 503


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"POST /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_in_the_apis_shape(port: int, garbage: bytes) -> None:
    with connection_to(port) as connection:
        connection.sendall(garbage)
        reply = read_reply(connection)
    assert (reply.http_status, reply.fields["Code"]) == (400, "MalformedRequest")


def test_garbage_in_a_body_that_nobody_wanted_ends_the_connection(port: int) -> None:
    with connection_to(port) as connection:
        connection.sendall(b"POST /elsewhere HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert read_reply(connection).http_status == 404
        connection.sendall(b"zz\r\n")
        assert connection.recv(10) == b""


def test_garbage_in_the_middle_of_a_body_ends_the_connection_only(port: int, caplog: pytest.LogCaptureFixture) -> None:
    with connection_to(port) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
        assert read_reply(connection).http_status == 400
        assert connection.recv(100) == b""
    assert exchange(port, "GET /healthz HTTP/1.1\nHost: g").http_status == 200
    assert "Traceback" not in caplog.text


def test_who_goes_on_sending_after_garbage_in_a_large_body_learns_what_was_wrong(port: int) -> None:
    with connection_to(port) as connection:
        part = b"%x\r\n%s\r\n" % (200_000, b"x" * 200_000)
        connection.sendall(b"POST / HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n" + part + b"zz\r\n")
        connection.sendall(bytes(16_000_000))
        assert read_reply(connection).http_status == 400


@pytest.mark.parametrize(
    "first", ["POST /elsewhere", "PUT /healthz", "POST /files/x", "HEAD /elsewhere", "HEAD /", "PUT /"]
)
@pytest.mark.parametrize("more", ["", "Expect: 100-continue\r\n"])
def test_a_body_that_is_garbage_from_its_first_byte_gets_one_answer(
    port: int, caplog: pytest.LogCaptureFixture, first: str, more: str
) -> None:
    with connection_to(port) as connection:
        head = f"{first} HTTP/1.1\r\nHost: g\r\n{more}Transfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + b"zz\r\n")
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 400 ")
    assert received.count(b"HTTP/1.1") == 1
    assert received.endswith(b"\r\n\r\n" if first.startswith("HEAD") else b"}")
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("order", [1, -1])
def test_a_body_with_two_lengths_is_refused_and_nothing_after_it_is_looked_at(
    port: int, order: int, is_first: bool
) -> None:
    """A proxy that goes by the other of the two takes what follows for a request of its next client."""
    lengths = ["Content-Length: 5", "Transfer-Encoding: chunked"][::order]
    another = b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n"
    with connection_to(port) as connection:
        if not is_first:
            connection.sendall(another)
            assert read_reply(connection).http_status == 200
        head = "\r\n".join(["POST / HTTP/1.1", "Host: g", *lengths, "\r\n"])
        connection.sendall(head.encode() + b"0\r\n\r\n" + another)
        reply = read_reply(connection)
        assert (reply.http_status, reply.fields["Code"]) == (400, "MalformedRequest")
        assert connection.recv(10) == b""


@pytest.mark.parametrize("sent", [b"", b"POST / HTTP/1.1\r\nHost:"])
def test_a_client_that_never_finishes_its_head_is_closed(monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.3)
    with running_gateway() as server, connection_to(port_of(server.url)) as connection:
        connection.sendall(sent)
        assert connection.recv(10) == b""


def test_a_later_request_on_a_connection_has_its_deadline_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 1.0)
    with running_gateway() as server, connection_to(port_of(server.url)) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n")
        assert read_reply(connection).http_status == 200
        connection.sendall(b"GET /hea")
        assert connection.recv(10) == b""


def test_the_deadline_of_a_head_is_none_for_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.5)
    with running_gateway() as server, connection_to(port_of(server.url)) as connection:
        asked = v1_query("DescribeInvocationResults", {"InvokeId": "t-1", "WaitSeconds": "30"})
        connection.sendall(f"POST /?{asked} HTTP/1.1\r\nHost: g\r\n\r\n".encode())
        connection.settimeout(1.5)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(10)
        server.should_exit = True
        assert read_reply(connection).http_status == 200


def test_replies_on_a_kept_connection_do_not_wait_for_an_acknowledgement(port: int) -> None:
    """A delayed acknowledgement takes 40 ms, each time but the first few of a connection."""
    with connection_to(port) as connection:
        durations_seconds = []
        for _ in range(20):
            before = perf_counter()
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n")
            read_reply(connection)
            durations_seconds.append(perf_counter() - before)
    assert min(durations_seconds[10:]) < 0.03


def test_a_free_port_is_told_and_the_ready_line_names_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with running_gateway() as server:
        eventually(lambda: f"gateway ready url={server.url}" in caplog.text, within_seconds=10)
        assert server.url.startswith("http://127.0.0.1:")
        assert exchange(port_of(server.url), "GET /healthz HTTP/1.1\nHost: g").http_status == 200


def test_ipv6_is_served_and_written_in_brackets() -> None:
    with running_gateway(GatewaySettings(host="::1", port=0)) as server:
        assert server.url.startswith("http://[::1]:")
        with socket.create_connection(("::1", port_of(server.url)), timeout=10) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n")
            assert read_reply(connection).http_status == 200


def test_a_port_in_use_is_an_error_at_once() -> None:
    with running_gateway() as server, pytest.raises(OSError, match="in use"):
        listening_socket(GatewaySettings(host="127.0.0.1", port=port_of(server.url)))


def test_a_unix_socket_is_private_and_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    with running_gateway(GatewaySettings(unix_socket=str(path))) as server:
        assert server.url == f"http+unix://{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(10)
            connection.connect(str(path))
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n")
            assert read_reply(connection).http_status == 200
        with pytest.raises(OSError, match="in use"):
            listening_socket(GatewaySettings(unix_socket=str(path)))
    assert not path.exists()


def test_a_unix_socket_left_by_a_dead_gateway_is_replaced_but_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "gateway.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    listening_socket(GatewaySettings(unix_socket=str(path))).close()
    path.unlink()
    path.write_text("precious")
    with pytest.raises(OSError, match="in use"):
        listening_socket(GatewaySettings(unix_socket=str(path)))
    assert path.read_text() == "precious"


def test_a_gateway_that_takes_long_to_stop_leaves_alone_the_socket_of_the_one_in_its_place(tmp_path: Path) -> None:
    path, may_answer = tmp_path / "gateway.sock", threading.Event()
    settings = GatewaySettings(unix_socket=str(path))

    def answer(_asked: RouteRequest) -> HttpReply:
        may_answer.wait(20)
        return HttpReply(200, "text/plain", b"", {})

    def successor() -> socket.socket | None:
        with contextlib.suppress(OSError):
            return listening_socket(settings)
        return None

    with contextlib.ExitStack() as opened:
        with running_gateway(settings, routes=Routes({"/page": Route(("GET",), answer)})) as stopping:
            connection = opened.enter_context(socket.socket(socket.AF_UNIX))
            connection.connect(str(path))
            connection.sendall(b"GET /page HTTP/1.1\r\nHost: g\r\n\r\n")
            eventually(lambda: len(stopping.server_state.tasks) == 1, what="a request is under way")
            stopping.should_exit = True
            opened.enter_context(eventually(successor, what="the socket is free"))
            may_answer.set()
        assert path.exists()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "cert.pem", folder / "key.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-days", "2", "-out", str(paths[0]), "-keyout", str(paths[1]), *subject),
        ],
        check=True,
        capture_output=True,
    )
    return paths


def test_tls_by_certificate_files(certificate: tuple[Path, Path]) -> None:
    cert, key = map(str, certificate)
    with running_gateway(GatewaySettings(host="127.0.0.1", port=0, tls_certificate=cert, tls_key=key)) as server:
        assert server.url.startswith("https://")
        context = ssl.create_default_context(cafile=cert)
        connection = http.client.HTTPSConnection("127.0.0.1", port_of(server.url), context=context, timeout=10)
        query = v1_query("CreateCommand", {"Name": "n", "CommandContent": "A" * 100_000})
        connection.request("POST", f"/?{query}")
        assert connection.getresponse().status == 200
        connection.close()


def test_stopping_lets_a_waiting_request_end_with_what_there_is() -> None:
    with running_gateway() as server:
        query = v1_query("DescribeInvocationResults", {"InvokeId": "t-1", "WaitSeconds": "30"})
        with connection_to(port_of(server.url)) as connection:
            connection.sendall(f"POST /?{query} HTTP/1.1\r\nHost: g\r\n\r\n".encode())
            eventually(lambda: len(server.server_state.tasks) == 1, within_seconds=10)
            server.should_exit = True
            reply = read_reply(connection)
        assert (reply.http_status, reply.fields["Invocation"]["InvokeId"]) == (200, "t-1")


PROGRAM = """
import logging, sys
logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
from integration.gateway.running_gateway import *
app = GatewayApplication(Dependencies(ActionRegistry(ACTIONS), KeysInMemory(), NoncesInMemory(), ReadersOnlyDescribe(),
                              lambda: time_of(now_text()), lambda: True, lambda: (b"", "text/plain")))
GatewayServer(app, GatewaySettings(host="127.0.0.1", port=0)).serve_until_stopped()
print("ended well")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_program_well_once_requests_have_ended(number: signal.Signals) -> None:
    tests = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": tests, "PATH": "/usr/bin:/bin"},
    ) as process:
        guard = threading.Timer(30, process.kill)
        guard.start()
        assert process.stderr is not None
        url = next(line for line in process.stderr if line.startswith("gateway ready url=")).strip()
        with connection_to(port_of(url)) as connection:
            query = v1_query("DescribeInvocationResults", {"InvokeId": "t-1", "WaitSeconds": "30"})
            connection.sendall(f"POST /?{query} HTTP/1.1\r\nHost: g\r\n\r\n".encode())
            with connection_to(port_of(url)) as probe:
                probe.sendall(b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n")
                assert read_reply(probe).http_status == 200
            process.send_signal(number)
            assert read_reply(connection).http_status == 200
        output, errors = process.communicate(timeout=20)
        guard.cancel()
    assert (process.returncode, output) == (0, "ended well\n")
    assert "gateway stopped" in errors
    assert "Traceback" not in errors
