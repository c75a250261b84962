"""Behind a reverse proxy: signed requests survive it, and clients are known by the address it tells."""

import http.client
import http.server
import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
from integration.gateway.whole_gateway import KEY_ID, SECRET, WholeGateway, whole_gateway
from unit.producer.gateway.signing import v1_query, v3_headers

from cloud_assistant.producer.fleet import activations
from harness.redis_server import RedisServer


@contextmanager
def proxy_to(port: int) -> Iterator[int]:
    """A proxy as an operator would configure one: it keeps Host, adds its own headers, and touches nothing else."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            behind = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "connection":
                    behind.putheader(name, value)
            behind.putheader("Via", "1.1 test")
            behind.putheader("X-Forwarded-For", "203.0.113.5")
            behind.putheader("X-Forwarded-Proto", "https")
            behind.endheaders(body)
            reply = behind.getresponse()
            content = reply.read()
            self.send_response_only(reply.status)
            for name, value in reply.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
            behind.close()

        do_GET = do_POST = forward  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def gateway(redis_server: RedisServer, tmp_path: Path) -> Iterator[WholeGateway]:
    with whole_gateway(redis_server.url(), tmp_path, trusted_proxies="127.0.0.1", has_master_key=True) as running:
        yield running


def ask(port: int, method: str, target: str, headers: dict[str, str], body: str = "") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_both_signatures_survive_a_proxy(gateway: WholeGateway) -> None:
    with proxy_to(gateway.port) as port:
        query = v1_query("DescribeCommands", {"Format": "JSON"}, secret=SECRET, AccessKeyId=KEY_ID)
        assert ask(port, "POST", f"/?{query}", {})[0] == 200
        asked = {"Name": "a b*~"}
        headers = v3_headers("DescribeCommands", asked, called_name="gw.example", key_id=KEY_ID, secret=SECRET)
        status, body = ask(port, "POST", f"/?{urlencode(asked)}", headers)
        assert status == 200, body


def test_a_client_is_known_by_what_the_trusted_proxy_says(
    gateway: WholeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    activation_id, code = activations.create(
        gateway.assistant.redis, gateway.assistant.trust.known_master, address_range="198.51.100.0/24"
    )
    body = {
        "ActivationId": activation_id,
        "ActivationCode": code,
        "MachineId": "machine-one-0001",
        "ClientToken": "secret-of-machine-one",
    }
    with proxy_to(gateway.port) as port:
        # The client's own claim comes before what the proxy adds.
        status, answer = ask(port, "POST", "/register", {"X-Forwarded-For": "198.51.100.7"}, json.dumps(body))
    assert (status, json.loads(answer)["Code"]) == (403, "Activation.AddressNotAllowed")
    assert "203.0.113.5" in json.loads(answer)["Message"]
    assert "client=203.0.113.5" in caplog.text
