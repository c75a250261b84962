"""A published version reaches an instance by itself; one that fails there, or was tampered with, stops the roll-out."""

import datetime
import os
import signal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from e2e.upgrade.bundles import sign_again
from e2e.upgrade.conftest import Machine

from harness.clock import SteppedClock
from harness.eventually import eventually
from harness.tcp_proxy import TcpProxy

#: Each waits for several starts of agents, one after the other, and a busy machine takes seconds for one.
pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def served(machine: Machine, tmp_path: Path) -> Machine:
    """The machine, with a gateway that serves what is published, and a beat."""
    machine.system.environment["CLOUD_ASSISTANT_GATEWAY_FILES_FOLDER"] = str(tmp_path / "files")
    master = {"CLOUD_ASSISTANT_SECURITY_MASTER_KEY_FILE": str(tmp_path / "system" / "operator" / "master-key.json")}
    gateway = machine.system.start_gateway(environment=master)
    machine.system.environment["CLOUD_ASSISTANT_GATEWAY_AGENT_URL"] = gateway.url
    machine.system.start_beat(environment={**master, "CLOUD_ASSISTANT_BEAT_SWEEP_SECONDS": "0.3"})
    return machine


def status_when(machine: Machine, state: str) -> Any:
    """The roll-out as an operator sees it, once it is in a state."""

    with machine.system.operator() as operator:
        eventually(lambda: operator.agent_versions.find().state == state, within_seconds=60, what=f"it is {state}")
    shown = machine.system.assist("agent-version", "status", "--output", "json").must_succeed().json
    assert shown["State"] == state
    return shown


def roll_out(machine: Machine, archive: Path, version: str, *words: str) -> None:
    machine.system.assist("agent-version", "publish", archive).must_succeed()
    machine.system.assist("agent-version", "rollout", version, *words).must_succeed()


def test_a_version_is_rolled_out_and_a_bad_one_stops_by_itself(served: Machine) -> None:
    roll_out(served, served.archive("2.0.0", padding_bytes=1_000_000), "2.0.0")
    shown = status_when(served, "Finished")
    assert [(one["InstanceId"], one["Stage"]) for one in shown["Instances"]] == [("i-one", "Succeeded")]
    assert served.current == "2.0.0"

    roll_out(served, served.archive("2.1.0", "crashes"), "2.1.0")
    shown = status_when(served, "Stopped")
    (member,) = shown["Instances"]
    assert (member["Stage"], "exit code 3" in member["Reason"]) == ("Failed", True)
    assert served.current == "2.0.0"
    assert served.runs("2.0.0")
    served.system.assist("agent-version", "rollout", "2.1.0", "--cancel").must_succeed()

    # What failed here once is not tried again, unless somebody says so.
    served.system.assist("agent-version", "rollout", "2.1.0").must_succeed()
    (member,) = status_when(served, "Stopped")["Instances"]
    assert (member["Stage"], "VersionIsBad" in member["Reason"]) == ("Refused", True)


def test_what_the_publisher_did_not_sign_is_never_started(served: Machine, tmp_path: Path) -> None:
    stranger = served.archive("3.0.0")
    sign_again(stranger, "3.0.0", Ed25519PrivateKey.generate())
    roll_out(served, stranger, "3.0.0")
    (member,) = status_when(served, "Stopped")["Instances"]
    assert "PublisherUnknown" in member["Reason"]
    served.system.assist("agent-version", "rollout", "3.0.0", "--cancel").must_succeed()

    archive = served.archive("4.0.0")
    served.system.assist("agent-version", "publish", archive).must_succeed()
    # Whoever has the gateway's disk puts something else there, of the same length.
    newest = max((tmp_path / "files").glob("??/*"), key=lambda path: path.stat().st_mtime_ns)
    newest.write_bytes(b"\0" * newest.stat().st_size)
    served.system.assist("agent-version", "rollout", "4.0.0").must_succeed()
    (member,) = status_when(served, "Stopped")["Instances"]
    assert "ArchiveNotSigned" in member["Reason"]
    assert served.current == "1.0.0"
    assert sorted(path.name for path in (served.install_folder / "versions").iterdir()) == ["1.0.0"]


def test_a_roll_out_waits_for_its_window_and_can_be_called_back(served: Machine) -> None:
    # Yesterday's window: always closed for the next hours.

    hour = (datetime.datetime.now(datetime.UTC).hour + 12) % 24
    roll_out(served, served.archive("2.0.0"), "2.0.0", "--window", f"{hour:02}:00-{hour:02}:30 UTC")
    eventually(lambda: served.state.stage == "Waiting", within_seconds=30)
    served.system.assist("agent-version", "rollout", "2.0.0", "--pause").must_succeed()
    with served.system.operator() as operator:
        eventually(lambda: not operator.agent_versions.find().members, within_seconds=30, what="it is called back")
    assert served.system.assist("agent-version", "status", "--output", "json").must_succeed().json["Instances"] == []
    assert served.current == "1.0.0"


def test_a_machine_that_fails_during_a_trial_repeats_it_once(served: Machine) -> None:
    roll_out(served, served.archive("2.0.0", "takes nothing"), "2.0.0", "--probation", "600s")
    for trials_count in (1, 2):
        eventually(lambda: served.reported() == ("2.0.0", "Probation"), within_seconds=60)
        assert served.state.trials_count == trials_count
        os.kill(served.agent.pid, signal.SIGKILL)
        eventually(lambda: not served.agent.is_running, within_seconds=10)
        served.agent.start(ready=r"agent ready.*version=1\.0\.0", within_seconds=60)
    (member,) = status_when(served, "Stopped")["Instances"]
    assert (member["Stage"], "TrialCutOff" in member["Reason"]) == ("Refused", True)
    assert served.runs("1.0.0")


@pytest.mark.parametrize("ended_by", ["sigkill", "stop"])
def test_an_agent_that_is_restarted_while_it_waits_for_its_window_downloads_nothing_again(
    served: Machine, tmp_path: Path, ended_by: str
) -> None:
    clock, half_a_day = SteppedClock(tmp_path / "clock"), 12 * 3600
    gateway = urlsplit(served.system.environment["CLOUD_ASSISTANT_GATEWAY_AGENT_URL"])
    assert gateway.port
    with TcpProxy(gateway.port) as line:
        served.agent.stop()
        way = {"CLOUD_ASSISTANT_GATEWAY_URL": f"http://127.0.0.1:{line.port}"}
        served.agent.env = {**served.agent.env, **clock.environment, **way}
        served.agent.start(ready=r"agent ready.*version=1\.0\.0")
        line.cut()
        hour = datetime.datetime.now(datetime.UTC).hour
        roll_out(served, served.archive("2.0.0"), "2.0.0", "--window", f"{hour:02}:00-{(hour + 3) % 24:02}:00 UTC")
        eventually(lambda: served.state.stage == "Downloading", within_seconds=30)
        # The window closes before all is there.
        clock.step(half_a_day)
        line.heal()
        eventually(lambda: served.state.stage == "Waiting", within_seconds=30)

        line.cut()
        getattr(served.agent, ended_by)()
        clock.step(-half_a_day)
        served.agent.start(ready=r"agent ready.*version=1\.0\.0")

        served.wait_until_settled("2.0.0", "Succeeded", "2.0.0")
    assert list((served.install_folder / "downloads").iterdir()) == [], "what is not needed any more is gone"
