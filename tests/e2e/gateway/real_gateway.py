"""The product behind its gateway, and clients that talk to it."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unit.producer.gateway.signing import v1_query

from harness.eventually import eventually
from harness.redis_server import RedisServer
from harness.system import System

KEY_ID = "e2ekey"
SECRET = "e2e-secret-of-this-test"
FINAL = {"Success", "Failed", "Invalid", "Aborted", "Error", "Timeout", "Cancelled", "Terminated"}


@dataclass(frozen=True)
class RealGateway:
    """A running system and where its gateway listens."""

    system: System
    redis_server: RedisServer
    url: str
    key_id: str
    secret: str

    @property
    def port(self) -> int:
        """The port on loopback."""
        return int(self.url.rpartition(":")[2])

    def call(self, action: str, parameters: Mapping[str, str] | None = None, /, **named: str) -> dict[str, Any]:
        """Call an action and give its answer; fail with what it said otherwise."""
        status, body = self.try_call(action, {**(parameters or {}), **named})
        assert status == 200, body
        answer: dict[str, Any] = body
        return answer

    def try_call(self, action: str, parameters: Mapping[str, str], *, within_seconds: float = 40) -> tuple[int, Any]:
        """Call an action with signature version 1; give the status and the answer."""
        query = v1_query(action, {"RegionId": "local", **parameters}, secret=self.secret, AccessKeyId=self.key_id)
        request = urllib.request.Request(f"{self.url}/", data=query.encode(), method="POST")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=within_seconds) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def results(self, invoke_id: str, **named: str) -> list[dict[str, Any]]:
        """Wait until every execution of an invocation is final and give the results."""

        def look() -> list[dict[str, Any]] | None:
            answer = self.call("DescribeInvocationResults", InvokeId=invoke_id, WaitSeconds="5", **named)
            found: list[dict[str, Any]] = answer["Invocation"]["InvocationResults"]["InvocationResult"]
            return found if found and all(one["InvocationStatus"] in FINAL for one in found) else None

        return eventually(look, within_seconds=30)

    def run(self, script: str, *instances: str, **named: str) -> str:
        """Run a shell script and give the invocation's id."""
        ids = {f"InstanceId.{number}": one for number, one in enumerate(instances or ("i-one",), 1)}
        answer = self.call("RunCommand", {"Type": "RunShellScript", "CommandContent": script, **ids, **named})
        invoke_id: str = answer["InvokeId"]
        return invoke_id


def text_of(result: dict[str, Any]) -> str:
    """The output of a result as text."""
    return base64.b64decode(result["Output"]).decode()


@contextmanager
def real_gateway(folder: Path, *, agents: tuple[str, ...] = ("i-one", "i-two")) -> Iterator[RealGateway]:
    """Start a whole system; all of it is ended with the block."""
    with RedisServer(folder / "redis") as redis_server:
        system = System.on(redis_server, folder / "system")
        try:
            for instance_id in agents:
                system.start_agent(instance_id, environment={"CLOUD_ASSISTANT_AGENT_ACCEPT_UNSIGNED": "true"})
            gateway = system.start_gateway(
                environment={
                    "CLOUD_ASSISTANT_GATEWAY_ACCESS_KEY_ID": KEY_ID,
                    "CLOUD_ASSISTANT_GATEWAY_ACCESS_KEY_SECRET": SECRET,
                }
            )
            yield RealGateway(system, redis_server, gateway.url, KEY_ID, SECRET)
        finally:
            system.stop()
