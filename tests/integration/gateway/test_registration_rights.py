"""Registration by a gateway that has a Redis user of its own: its rights are enough."""

import http.client
import json
from pathlib import Path
from typing import Any

from integration.gateway.whole_gateway import WholeGateway, whole_gateway

from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.producer.fleet import activations
from cloud_assistant.producer.security.program_rights import ControlProgram, program_rules, program_user
from harness.redis_server import RedisServer


def register(gateway: WholeGateway, given: tuple[str, str]) -> tuple[int, Any]:
    body = {
        "ActivationId": given[0],
        "ActivationCode": given[1],
        "MachineId": "machine-one-0001",
        "ClientToken": "secret-of-machine-one",
    }
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    try:
        connection.request("POST", "/register", json.dumps(body))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_the_rights_of_the_gateways_own_user_are_enough(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", keeps_users=True) as server:
        admin = Redis(server.url())
        user = program_user(ControlProgram.GATEWAY)
        admin.call("ACL", "SETUSER", user, "on", ">secret", *program_rules(ControlProgram.GATEWAY, database=0))
        url = admin.address.with_user(user, "secret")
        with whole_gateway(url, tmp_path / "home", has_master_key=True) as gateway:
            given = activations.create(gateway.assistant.redis, gateway.assistant.trust.known_master)
            status, body = register(gateway, given)
            assert status == 200, body
            mine = Redis(body["Settings"]["redis_url"])
            assert mine.call("PING") == b"PONG"
            mine.close()
            assert body["InstanceId"] in (server.folder / "users.acl").read_text(), (
                "Redis knows the user after a restart"
            )
            assert gateway.get("/metrics")[0] == 200
            assert register(gateway, (given[0], "a-guess"))[0] == 403
        refused = [entry for entry in admin.call("ACL", "LOG") if user.encode() in entry]
        assert refused == []
        admin.close()
