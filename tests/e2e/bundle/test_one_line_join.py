"""``curl … | sh`` on a copy of this machine: the real bundle, a real gateway, a real service, and the first script."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_assistant.broker_config.releases.publisher_keys import public_text, read_private_key
from harness.eventually import eventually
from harness.machine_copy import MachineCopy
from harness.redis_server import RedisServer
from harness.system import Gateway, System

pytestmark = [pytest.mark.slow, pytest.mark.bundle, pytest.mark.timeout(300)]


@pytest.fixture
def system(redis_server: RedisServer, tmp_path: Path) -> Iterator[System]:
    """An operator with the master key, and a file store that the gateway shares."""
    made = System(tmp_path / "system", redis_server.url(), {"CLOUD_ASSISTANT_AGENT_ACCEPT_UNSIGNED": "false"})
    made.environment["CLOUD_ASSISTANT_GATEWAY_FILES_FOLDER"] = str(tmp_path / "files")
    made.environment["CLOUD_ASSISTANT_AGENT_PUBLISHERS_FOLDER"] = str(tmp_path / "publishers")
    made.assist("key", "create").must_succeed()
    made.environment["CLOUD_ASSISTANT_SECURITY_MASTER_KEY_FILE"] = str(tmp_path / "system/operator/master-key.json")
    yield made
    made.stop()


@pytest.fixture
def gateway(system: System, archive: Path, built: Path, tmp_path: Path) -> Gateway:
    """A gateway that names the publisher and has its agent."""
    publishers = tmp_path / "publishers"
    publishers.mkdir()
    (publishers / "ours.pub").write_text(public_text(read_private_key(built / "publisher.key").public_key()))
    (publishers / "ours.pub").chmod(0o644)
    system.assist("agent-version", "publish", archive, within_seconds=60).must_succeed()
    return system.start_gateway()


def test_one_line_makes_a_machine_an_instance_that_runs_scripts(
    system: System, gateway: Gateway, machine: MachineCopy
) -> None:
    made = system.assist("activation", "create", "--tag", "env=joined", "--output", "json").must_succeed().json
    line = (
        f"curl -fsSL {gateway.url}/install.sh | "
        f"sh -s -- --activation-id {made['ActivationId']} --activation-code {made['ActivationCode']} --name joined"
    )
    # The namespace, and the service in it, lives until the script from outside has been there, or for a while.
    wait = "i=0; while [ ! -e /joined ] && [ $i -lt 600 ]; do sleep 0.1; i=$((i+1)); done; assist-agent status"
    said: list[str] = []
    joining = threading.Thread(
        target=lambda: said.append(machine.run("sh", "-ec", f"{line} && {line}\n{wait}", within_seconds=120).stdout)
    )
    joining.start()
    try:
        eventually(
            lambda: any(one["Connected"] for one in system.assist("instance", "list", "--output", "json").json),
            60,
            "the new instance is online",
        )
        script = "touch /joined; stat -c '%a %U' /etc/cloud-assistant/config.toml"
        done = system.assist("run", script, "--tag", "env=joined", "--output", "json").must_succeed().json
        (result,) = done["InvocationResults"]
        assert result["Output"] == "600 root\n"
    finally:
        joining.join()
    instance_id = result["InstanceId"]
    assert f"agent runs: instance {instance_id}" in said[0]
    (shown,) = system.assist("activation", "list", "--output", "json").json
    assert shown["RegisteredCount"] == 1, "the line was run twice"
