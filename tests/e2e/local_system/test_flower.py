"""Flower as part of `assist up`: it shows agents and what became of executions, and changes nothing."""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from harness.eventually import eventually
from harness.processes import clean_environment, installed_program

from .conftest import local_up
from .local_up import LocalUp


class Flower:
    """Flower's HTTP API."""

    def __init__(self, local: LocalUp) -> None:
        self.local = local
        self._url = f"http://127.0.0.1:{local.flower_port}"

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self._url + path, timeout=5) as reply:
            body = reply.read().decode()
            return json.loads(body) if reply.headers.get_content_type() == "application/json" else body

    def post(self, path: str, body: str = "{}") -> int:
        """The status that a request to change something gets."""
        try:
            with urllib.request.urlopen(self._url + path, data=body.encode(), timeout=5) as reply:
                return int(reply.status)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code

    def execution(self, script: str, exit_code: int) -> Any:
        """Run a script on the local instance and return what Flower shows of it once it has ended there."""
        outcome = subprocess.run(
            [installed_program("assist"), "run", script, "--all", "--output", "json"],
            env=clean_environment(self.local.folder, {"CLOUD_ASSISTANT_HOME": str(self.local.home)}),
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert outcome.returncode == exit_code, outcome.stderr
        invoke_id = json.loads(outcome.stdout)["InvokeId"]
        return eventually(lambda: self._ended(invoke_id), 10, f"Flower shows the end of {invoke_id}")

    def _ended(self, invoke_id: str) -> Any:
        shown = [one for uuid, one in self.get("/api/tasks").items() if uuid.startswith(invoke_id)]
        return shown[0] if shown and shown[0]["state"] in ("SUCCESS", "FAILURE") else None


@pytest.fixture(scope="module")
def flower(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flower]:
    """One for all tests: they look, run scripts, and are refused what would change anything."""
    with local_up(tmp_path_factory.mktemp("flower")) as local:
        local.environment["FLOWER_UNAUTHENTICATED_API"] = "true"
        local.start("--instance-id", "i-one")
        yield Flower(local)


def test_the_agent_is_visible_as_soon_as_all_runs(flower: Flower) -> None:
    # Not by its first heartbeat, which comes 20 s later: Flower heard it start.
    eventually(lambda: flower.get("/api/workers?status=1") == {"i-one": True}, 5)
    assert list(flower.get("/api/workers?refresh=1")) == ["i-one"]


def test_an_agents_own_page_shows_what_it_reported(flower: Flower) -> None:
    page = flower.get("/worker/i-one")
    for fact in ("Worker details", "ca:i:{i-one}:queue", "cloud_assistant.run_command", "agent_version"):
        assert fact in page
    assert "/0" in page
    assert flower.get("/api/queues/length") == {"active_queues": [{"name": "ca:i:{i-one}:queue", "messages": 0}]}


def test_a_good_script_is_a_success_and_a_failed_one_a_failure_with_its_reason(flower: Flower) -> None:
    good = flower.execution("echo fine", 0)
    assert (good["state"], good["worker"], good["name"]) == ("SUCCESS", "i-one", "cloud_assistant.run_command")
    failed = flower.execution("exit 3", 1)
    assert failed["state"] == "FAILURE"
    assert "ExitCodeNonzero" in failed["exception"]
    assert "3" in failed["exception"]


def test_no_content_of_a_script_is_shown(flower: Flower) -> None:
    shown = flower.execution("echo geheim-4711", 0)
    assert "geheim-4711" not in json.dumps(shown)


def test_nothing_can_be_changed_through_it(flower: Flower) -> None:
    for path in (
        "/api/worker/shutdown/i-one",
        "/api/worker/pool/restart/i-one",
        "/api/task/send-task/cloud_assistant.run_command",
        "/api/task/async-apply/cloud_assistant.run_command",
        "/api/task/revoke/x",
    ):
        assert flower.post(path) in (403, 405), path
    with flower.local.redis() as client:
        assert client.llen("ca:i:{i-one}:queue") == 0
