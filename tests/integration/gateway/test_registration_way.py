"""Where the code of a registration goes: to the gateway that was named, and to nobody on the way."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from cloud_assistant.broker_config.errors import CloudAssistantError
from cloud_assistant.worker.registration.registration_request import RegistrationClient

REQUEST = {"ActivationId": "X", "ActivationCode": "a-secret"}
SETTINGS = {"redis_url": "redis://thief/0", "instance_id": "mi-1", "security.instance_key": "k1:" + "ab" * 32}


@contextmanager
def server(location: str = "") -> Iterator[tuple[str, list[str]]]:
    """A server that grants everything, or leads elsewhere; its address, and what it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            self.send_response(302 if location else 200)
            if location:
                self.send_header("Location", location)
            body = json.dumps({"Settings": {**SETTINGS, "agent.accept_unsigned": "true"}}).encode()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815 - the name that the library asks for

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    serving = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}", asked
    finally:
        serving.shutdown()
        thread.join()
        serving.server_close()


def test_nobody_is_believed_to_whom_the_gateway_leads() -> None:
    with server() as (thief, asked_of_thief), server(f"{thief}/register") as (gateway, asked):
        with pytest.raises(CloudAssistantError):
            RegistrationClient(gateway, pause=lambda _: None).register(REQUEST)
        assert set(asked) == {"POST /register"}
        assert asked_of_thief == []


@pytest.mark.usefixtures("no_proxy")
def test_a_proxy_for_plain_http_is_not_told_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as (proxy, asked_of_proxy), server() as (gateway, asked):
        monkeypatch.setenv("http_proxy", proxy)
        granted = RegistrationClient(gateway, pause=lambda _: None).register(REQUEST)
        # What else a gateway would set on this machine is not its business.
        assert granted.settings == SETTINGS
        assert (asked, asked_of_proxy) == (["POST /register"], [])
