"""``assist-agent policy``: says what counts, and ends with 2 when nothing runs."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from cloud_assistant.worker.cli import main

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a policy belongs to root")


def policy(tmp_path: Path, text: str) -> str:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


def test_a_good_policy_is_explained(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(main, ["policy", "check", policy(tmp_path, "users = ['app']")])
    assert outcome.exit_code == 0
    assert "Only as: app." in outcome.output


def test_a_bad_policy_is_named_with_its_reason(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(main, ["policy", "check", policy(tmp_path, "user = []"), "--output", "json"])
    assert outcome.exit_code == 2
    shown = json.loads(outcome.output)
    assert not shown["InForce"]
    assert "user" in shown["Problem"]


def test_a_file_that_is_not_there_is_said_to_be_that_and_no_more(tmp_path: Path) -> None:
    outcome = CliRunner().invoke(main, ["policy", "check", str(tmp_path / "none.toml")])
    assert outcome.exit_code == 2
    assert "none.toml is not there" in outcome.output
    assert "restart" not in outcome.output
    # That depends on what the agent of this machine is told to read.
    assert "NOTHING RUNS HERE" not in outcome.output


@pytest.mark.parametrize("verb", ["check", "show"])
def test_a_bad_policy_is_told_once_and_not_as_the_agent_tells_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, verb: str
) -> None:
    bad = policy(tmp_path, "user = []")
    settings = tmp_path / "config.toml"
    settings.write_text(f"[agent]\npolicy_file = '{bad}'\n")
    outcome = CliRunner().invoke(
        main, ["policy", *(("check", bad) if verb == "check" else ("show", "--config", str(settings)))]
    )
    assert outcome.output.count(bad) == 1
    # Without a log file it would stand on the terminal.
    assert caplog.records == []


def test_the_policy_of_this_machine_is_shown(tmp_path: Path) -> None:
    settings = tmp_path / "config.toml"
    settings.write_text(f"[agent]\npolicy_file = '{policy(tmp_path, 'enabled = false')}'\n")
    outcome = CliRunner().invoke(main, ["policy", "show", "--config", str(settings)])
    assert outcome.exit_code == 0
    assert "Nothing runs" in outcome.output
