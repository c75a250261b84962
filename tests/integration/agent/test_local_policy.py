"""The owner of a machine has the last word, whatever the control side signs."""

import hashlib
import os
from pathlib import Path

import pytest
from integration.agent.operator_side import Operator, side_effects

from cloud_assistant.broker_config import keys
from harness.files import contents_below
from harness.needs import skip_without
from harness.system import Agent, Outcome, System


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy's file that root owns."""
    if os.geteuid() != 0:
        skip_without("the right to write a root-owned file", "Run the tests as root.")
    path = tmp_path / "agent.toml"
    path.write_text("")
    path.chmod(0o600)
    return path


def start(system: System, policy: Path) -> Agent:
    return system.start_agent(environment={"CLOUD_ASSISTANT_AGENT_POLICY_FILE": str(policy)})


def test_what_the_policy_forbids_is_refused_and_never_written_to_disk(
    quick_system: System, operator: Operator, policy: Path, tmp_path: Path
) -> None:
    allowed = "echo allowed"
    policy.write_text(f"commands = ['sha256:{hashlib.sha256(allowed.encode()).hexdigest()}']")
    # Kept scripts are never removed: whatever reached the disk would still be there.
    quick_system.environment["CLOUD_ASSISTANT_AGENT_KEEP_SCRIPTS"] = "true"
    agent = start(quick_system, policy)

    refused = operator.run(f"echo ran > {tmp_path}/ran # canary-in-script")

    assert (refused.state, refused.outcome.error_code) == ("Invalid", "RefusedByLocalPolicy")
    assert refused.outcome.error_info.startswith("refused by local policy: commands:")
    assert side_effects(tmp_path / "ran") == []
    assert list((agent.home / "spool").iterdir()) == []
    assert not any(b"canary-in-script" in held for _, held in contents_below(agent.home))
    assert operator.run(allowed).outcome.output.data == b"allowed\n"
    reports = operator.redis.call("XRANGE", keys.refusals("i-one"), "-", "+")
    assert b"RefusedByLocalPolicy" in reports[0][1]


def test_a_change_counts_without_a_restart(quick_system: System, operator: Operator, policy: Path) -> None:
    start(quick_system, policy)
    assert operator.run("true").state == "Success"
    policy.write_text("enabled = false")
    assert "switched off" in operator.run("true").outcome.error_info
    policy.write_text("enabled = true")
    assert operator.run("true").state == "Success"


@pytest.mark.parametrize("mode", [0o602, 0o620])
def test_a_policy_that_others_can_write_lets_nothing_run_and_says_so(
    quick_system: System, operator: Operator, policy: Path, mode: int
) -> None:
    policy.chmod(mode)
    agent = start(quick_system, policy)
    row = operator.run("true")
    assert row.outcome.error_code == "RefusedByLocalPolicy"
    assert f"chmod go-w {policy}" in row.outcome.error_info
    assert "NOTHING RUNS HERE" in agent.log()


def test_what_an_instance_puts_into_the_text_is_part_of_what_is_judged(
    quick_system: System, operator: Operator, policy: Path
) -> None:
    """The control side chooses an instance's name: it must not be a way to put words into an allowed script."""
    script = "echo {{ACS::InstanceName}}"
    policy.write_text(f"commands = ['sha256:{hashlib.sha256(script.encode()).hexdigest()}']")
    operator.register("i-one")
    operator.redis.call("HSET", keys.profile("i-one"), "name", "other words")
    start(quick_system, policy)
    row = operator.run(script, built_ins=True)
    assert row.outcome.error_code == "RefusedByLocalPolicy"
    assert operator.run(script).outcome.output.data == b"{{ACS::InstanceName}}\n"


def test_an_agent_with_a_missing_policy_starts_and_runs_nothing(
    quick_system: System, operator: Operator, policy: Path
) -> None:
    policy.unlink()
    agent = start(quick_system, policy)
    assert operator.run("true").outcome.error_code == "RefusedByLocalPolicy"
    assert "is not there" in agent.log()


def test_a_file_that_the_policy_forbids_leaves_not_even_a_folder(
    quick_system: System, operator: Operator, policy: Path, tmp_path: Path
) -> None:
    policy.write_text(f"[files]\ndirectories = ['{tmp_path}/allowed']")
    operator.register("i-one")
    start(quick_system, policy)

    def send(folder: str) -> Outcome:
        return quick_system.assist("file", "send", policy, "--to", tmp_path / folder, "--instance", "i-one")

    refused = send("elsewhere")
    assert (refused.exit_code, "refused by local policy: files:" in refused.stdout + refused.stderr) == (1, True)
    assert not (tmp_path / "elsewhere").exists()
    send("allowed/within").must_succeed()
    assert (tmp_path / "allowed" / "within" / policy.name).read_bytes() == policy.read_bytes()
