import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from cloud_assistant.broker_config.programs.findings import Verdict
from cloud_assistant.broker_config.settings_table import Settings
from cloud_assistant.worker.doctor.machine_checks import machine_findings
from cloud_assistant.worker.home_lock import Holder
from cloud_assistant.worker.upgrade.upgrade_state import Stage, UpgradeState, write_state
from cloud_assistant.worker.verbs.status import verb

_NOBODY = 65534


@pytest.fixture(params=["the home", "a folder above it"])
def somebody_elses_home(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    home = tmp_path / "above" / "home"
    home.mkdir(mode=0o700, parents=True)
    closed = home if request.param == "the home" else home.parent
    # Everything is imported, and the folders on the way can be passed.
    CliRunner().invoke(verb, ["--home", str(home)])
    list(machine_findings(Settings(home=str(home))))
    closed.chmod(0)
    if os.geteuid():
        yield home
        closed.chmod(0o700)
        return
    modes = {folder: stat.S_IMODE(folder.stat().st_mode) for folder in (tmp_path, *tmp_path.parents[:2])}
    for folder, mode in modes.items():
        folder.chmod(mode | stat.S_IXOTH)
    os.setresuid(_NOBODY, _NOBODY, 0)
    try:
        yield home
    finally:
        os.setresuid(0, 0, 0)
        for folder, mode in modes.items():
            folder.chmod(mode)
        closed.chmod(0o700)


def test_the_home_of_another_user_is_not_taken_for_one_without_an_agent(somebody_elses_home: Path) -> None:
    outcome = CliRunner().invoke(verb, ["--home", str(somebody_elses_home)])

    assert outcome.exit_code == 4, outcome.output
    assert "run this as the agent's user" in outcome.output


def told(home: Path) -> dict[str, object]:
    outcome = CliRunner().invoke(verb, ["--home", str(home), "--output", "json"])
    found: dict[str, object] = {"code": outcome.exit_code, **json.loads(outcome.stdout)}
    return found


def said(home: Path) -> list[str]:
    return CliRunner().invoke(verb, ["--home", str(home)]).stdout.splitlines()


def test_it_tells_of_a_home_in_which_no_agent_ever_ran(tmp_path: Path) -> None:
    assert told(tmp_path) == {
        "code": 5,
        "Home": str(tmp_path),
        "Running": False,
        "InstanceId": "",
        "ProcessId": None,
        "Version": "",
        "StartTime": "",
        "UnfinishedExecutions": [],
        "UpgradeVersion": "",
        "UpgradeStage": "",
        "UpgradeReason": "",
    }
    assert said(tmp_path) == [
        f"no agent ever ran with home {tmp_path}",
        "unfinished or undelivered executions: 0",
    ]


def test_it_tells_of_the_last_agent_and_what_it_left(tmp_path: Path) -> None:
    last = Holder(pid=7, instance_id="i-one", epoch="e", started_ms=1000, version="1.2")
    (tmp_path / "agent.lock").write_bytes(msgspec.json.encode(last))
    write_state(tmp_path, UpgradeState(version="1.3").moved(Stage.FAILED, "it was slow"))
    for number in range(25):
        (tmp_path / "spool" / f"t-aaaaaaaa.{number}@i-one").mkdir(parents=True)

    found = told(tmp_path)
    assert (found["code"], found["Running"], found["ProcessId"]) == (5, False, None)
    assert (found["InstanceId"], found["Version"], found["StartTime"]) == ("i-one", "1.2", "1970-01-01T00:00:01Z")
    assert isinstance(found["UnfinishedExecutions"], list)
    assert len(found["UnfinishedExecutions"]) == 25
    assert (found["UpgradeVersion"], found["UpgradeStage"]) == ("1.3", "Failed")
    head, count, upgrade, *unfinished = said(tmp_path)
    assert head == f"no agent runs with home {tmp_path}; the last one was instance i-one"
    assert count.endswith(": 25")
    assert upgrade == "last upgrade: 1.3 Failed (it was slow)"
    assert len(unfinished) == 20


def test_the_doctor_does_not_call_an_agent_stopped_that_it_may_not_look_at(somebody_elses_home: Path) -> None:
    found = {one.check: one.verdict for one in machine_findings(Settings(home=str(somebody_elses_home)))}

    assert found["home"] is Verdict.FAIL
    assert found["agent"] is Verdict.SKIP
