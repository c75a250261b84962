import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cloud_assistant.broker_config.findings import Verdict
from cloud_assistant.broker_config.settings_table import Settings
from cloud_assistant.worker.doctor.machine_checks import machine_findings
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


def test_the_doctor_does_not_call_an_agent_stopped_that_it_may_not_look_at(somebody_elses_home: Path) -> None:
    found = {one.check: one.verdict for one in machine_findings(Settings(home=str(somebody_elses_home)))}

    assert found["home"] is Verdict.FAIL
    assert found["agent"] is Verdict.SKIP
