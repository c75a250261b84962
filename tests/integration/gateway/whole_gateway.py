"""The gateway as it is put together for service, in a thread of the test, on a real server and without agents."""

import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unit.producer.gateway.signing import v1_query

from cloud_assistant.broker_config.security.master_key import FILE_NAME
from cloud_assistant.broker_config.security.signing import new_master_keys, write_master_keys
from cloud_assistant.broker_config.settings_table import AgentSettings, GatewaySettings, SecuritySettings, Settings
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.gateway.serving.server import GatewayServer
from cloud_assistant.producer.gateway.wiring import gateway_application
from harness.certificates import Certificate

KEY_ID = "wholekey"
SECRET = "secret-of-the-whole"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class WholeGateway:
    """A gateway, and the control side behind it for what a test prepares."""

    assistant: Assistant
    server: GatewayServer
    port: int

    def post(
        self, form: str | bytes, headers: Mapping[str, str] | None = None, *, path: str = "/"
    ) -> tuple[int, bytes]:
        """Send one request and give status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", path, form, {**FORM, **(headers or {})})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Get a path."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path, headers=dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def call(self, action: str, parameters: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """Call an action and give status and answer."""
        form = v1_query(action, {"RegionId": "local", **(parameters or {})}, secret=SECRET, AccessKeyId=KEY_ID)
        status, body = self.post(form)
        return status, json.loads(body)


@contextmanager
def whole_gateway(
    redis_url: str,
    home: Path,
    *,
    trusted_proxies: str = "",
    publishers: Path = Path("/nowhere"),
    has_master_key: bool = False,
    certificate: Certificate | None = None,
    agent_redis_url: str = "",
) -> Iterator[WholeGateway]:
    """Serve until the block ends, with a master key unless there should be none."""
    home.mkdir(mode=0o700, exist_ok=True)
    if has_master_key and not (home / FILE_NAME).exists():
        write_master_keys(home / FILE_NAME, new_master_keys())
    gateway = GatewaySettings(
        host="127.0.0.1",
        port=0,
        access_key_id=KEY_ID,
        access_key_secret=SECRET,
        trusted_proxies=trusted_proxies,
        tls_certificate=str(certificate.cert) if certificate else "",
        tls_key=str(certificate.key) if certificate else "",
    )
    agent = AgentSettings(publishers_folder=str(publishers))
    security = SecuritySettings(agent_redis_url=agent_redis_url)
    settings = Settings(redis_url=redis_url, home=str(home), gateway=gateway, agent=agent, security=security)
    with Assistant(settings=settings) as assistant:
        server = GatewayServer(gateway_application(assistant), gateway)
        thread = threading.Thread(target=server.serve_until_stopped)
        thread.start()
        try:
            yield WholeGateway(assistant, server, int(server.url.rpartition(":")[2]))
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()
