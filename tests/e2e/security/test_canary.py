"""One whole system, one secret of each kind, and a search for them during and after the work: none may be found."""

import contextlib
import json
import subprocess
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from e2e.local_system.local_up import LocalUp
from e2e.security.canary_search import CanarySearch, Ear, Found, forms_of, keys_of, processes

from cloud_assistant.broker_config.redis.url import parse_url
from cloud_assistant.producer.gateway_client import GatewayClient
from harness import reaper
from harness.eventually import eventually
from harness.files import contents_below
from harness.processes import clean_environment, installed_program

pytestmark = pytest.mark.slow

PARAMETER = "canary-Secret/Parameter+0815"
#: What must be found, for a search that finds nothing anywhere may not be one.
CONTROL = "control-ordinary-parameter-4711"
#: Where each secret must be, to be of use: by parts of the names of places.
ALLOWED = {
    "secret parameter": ("/token.txt", "script's environment"),
    "instance key": ("/agents/i-one/",),
    "master key": ("/master-key.json",),
    "agent's Redis password": ("/agents/i-one/",),
    # How a program is told where Redis is; only its own user and root can read it there.
    "Redis password": ("/home/local.toml", "/home/redis/", "environment of"),
    "control": ("redis key ca:", "file ", "script's environment", "command line", "answer "),
}


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalUp]:
    up = LocalUp(tmp_path)
    up.environment["FLOWER_UNAUTHENTICATED_API"] = "true"
    up.start("--instance-id", "i-one")
    (tmp_path / "token.txt").write_text(PARAMETER + "\n")
    yield up
    up.stop()
    reaper.kill_users_of(tmp_path)


class Stage:
    """A running system, all of its secrets, and every place to look into."""

    def __init__(self, local: LocalUp) -> None:
        self.local = local
        access_key = local.assist("access-key", "create", "--name", "canary")
        self.access_key_id, access_key_secret = access_key["AccessKeyId"], access_key["AccessKeySecret"]
        activation = local.assist("activation", "create")
        master = json.loads((local.home / "master-key.json").read_text())
        [credentials] = [tomllib.loads(one.read_text()) for one in (local.home / "agents").rglob("*.toml")]
        own_url = tomllib.loads((local.home / "local.toml").read_text())["redis_url"]
        self.secrets = {
            "secret parameter": PARAMETER,
            "access key secret": access_key_secret,
            "activation code": activation["ActivationCode"],
            "master key": master["keys"][master["current"]],
            "instance key": credentials["security"]["instance_key"].partition(":")[2],
            "agent's Redis password": parse_url(credentials["redis_url"]).password,
            "Redis password": parse_url(own_url).password,
            "control": CONTROL,
        }
        assert all(len(one) >= 8 for one in self.secrets.values())
        self.search = CanarySearch(self.secrets)
        self.redis = redis.Redis.from_url(own_url, socket_timeout=10)
        self.ear = Ear(self.redis)
        self.gateway = GatewayClient(f"http://127.0.0.1:{local.gateway_port}", self.access_key_id, access_key_secret)

    def close(self) -> None:
        self.ear.close()
        self.redis.close()

    def look(self, invoke_id: str) -> dict[str, int]:
        """Search everything there is."""
        places = [
            *keys_of(self.redis),
            *self.ear.heard(),
            *((f"file {path}", held) for path, held in contents_below(self.local.folder, Path("/dev/shm"))),
            *processes(),
            *self._answers(invoke_id),
            *self._pages(invoke_id),
        ]
        return self.search.search(places, ALLOWED)

    def _answers(self, invoke_id: str) -> Iterator[tuple[str, bytes]]:
        for action, given in (
            ("DescribeInvocations", {"InvokeId": invoke_id, "IncludeOutput": "true"}),
            ("DescribeInvocationResults", {"InvokeId": invoke_id}),
            ("DescribeInvocationResults", {"InvokeId": invoke_id, "ContentEncoding": "PlainText"}),
            ("DescribeCommands", {}),
            ("DescribeInstances", {}),
            ("DescribeActivations", {}),
            ("DescribeManagedInstances", {}),
        ):
            yield f"answer of {action}", json.dumps(self.gateway.call(action, {"RegionId": "local", **given})).encode()
        for words in (
            ("config", "show"),
            ("invocation", "show", invoke_id),
            ("invocation", "results", invoke_id),
            ("instance", "list"),
            ("access-key", "list"),
            ("activation", "list"),
            ("timed", "list"),
            ("key", "show"),
        ):
            yield f"answer of assist {' '.join(words)}", json.dumps(self.local.assist(*words)).encode()

    def _pages(self, invoke_id: str) -> Iterator[tuple[str, bytes]]:
        flower, gateway = self.local.flower_port, self.local.gateway_port
        shown = [f"/task/{one}" for one in json.loads(_page(flower, "/api/tasks")) if one.startswith(invoke_id)]
        assert shown, "Flower shows the execution"
        for path in ("/", "/workers", "/worker/i-one", "/tasks", "/broker", "/api/tasks", "/api/workers?refresh=1"):
            yield f"page of Flower {path}", _page(flower, path)
        for path in shown:
            yield f"page of Flower {path}", _page(flower, path)
        for path in ("/", "/metrics", "/healthz", "/console"):
            yield f"page of the gateway {path}", _page(gateway, path)


def _page(port: int, path: str) -> bytes:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as reply:
            found: bytes = reply.read()
            return found
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.read()


@pytest.fixture
def stage(local: LocalUp) -> Iterator[Stage]:
    made = Stage(local)
    yield made
    made.close()


@contextlib.contextmanager
def running(local: LocalUp, script: str, *options: str | Path, ends_by: Path) -> Iterator["subprocess.Popen[str]"]:
    """`assist run` in the background, as an operator who waits; the script ends with the block at the latest."""
    with subprocess.Popen(
        [installed_program("assist"), "run", script, "--all", *options, "--output", "json"],
        env=clean_environment(local.folder, {"CLOUD_ASSISTANT_HOME": str(local.home)}),
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            yield started
        finally:
            ends_by.touch()


@pytest.mark.timeout(180)
def test_no_secret_is_found_anywhere_during_or_after_the_work(stage: Stage) -> None:
    local = stage.local
    go_on, token = local.folder / "go-on", local.folder / "token.txt"
    script = f"""
echo "begins"; echo "$CA_PARAM_TOKEN"; printf '%s' "$CA_PARAM_TOKEN" >&2; echo "$CA_PARAM_WHO" > /dev/null
while [ ! -e {go_on} ]; do sleep 0.1; done
test "$CA_PARAM_TOKEN" = "$(cat {token})" && echo "ends with $CA_PARAM_TOKEN"; printf '%s' "$CA_PARAM_TOKEN"
"""
    options = ("--parameter", f"who={CONTROL}", "--secret-parameter", f"token=@{token}")
    with running(local, script, *options, ends_by=go_on) as started:
        invoke_id = eventually(lambda: _running(local), 20, "it runs")
        eventually(lambda: "******" in json.dumps(local.assist("invocation", "show", invoke_id)) or _live(stage), 10)
        # A schedule and a request through the gateway have secrets as well.
        local.assist("run", "true", "--all", "--frequency", "0 0 3 1 1 ?", "--secret-parameter", f"token=@{token}")
        asked = {"Type": "RunShellScript", "CommandContent": "true", "ContentEncoding": "PlainText"}
        sent = {"SecretParameters": json.dumps({"token": PARAMETER}), "ClientToken": "canary", "InstanceId.1": "i-one"}
        stage.gateway.call("RunCommand", {"RegionId": "local", **asked, **sent})
        during = stage.look(invoke_id)
        go_on.touch()
        assert started.stdout is not None
        answer = started.stdout.read()
    assert started.returncode == 0
    result = json.loads(answer)["InvocationResults"][0]
    assert result["StandardOutput"] == "begins\n******\nends with ******\n******"
    assert result["StandardError"] == "******"
    assert stage.search.names_in(answer.encode()) <= {"control"}
    after = stage.look(invoke_id)
    # The search does find what is there: the script's own environment, the files that must hold a secret, the control.
    assert during["secret parameter"] >= 2
    assert after["secret parameter"] == 1
    for counts in (during, after):
        assert counts["control"] >= 3
        assert all(counts[name] for name in ("master key", "instance key", "agent's Redis password", "Redis password"))


def _running(local: LocalUp) -> str | None:
    shown: list[dict[str, Any]] = local.assist("invocation", "list")
    found = [one["InvokeId"] for one in shown if one["InvocationStatus"] == "Running"]
    return found[0] if found else None


def _live(stage: Stage) -> bool:
    return any(b"******" in data for place, data in keys_of(stage.redis) if ":out:" in place)


@pytest.mark.parametrize("secret", ["canary-Secret/Parameter+0815", "00ff" * 16])
def test_the_search_knows_a_secret_in_every_form(secret: str) -> None:
    search = CanarySearch({"it": secret})
    for form in forms_of(secret):
        with pytest.raises(Found):
            search.search([("here", b"before" + form + b"after")], {})
    assert search.search([("here", b"before" + forms_of(secret)[0])], {"it": ("here",)}) == {"it": 1}
