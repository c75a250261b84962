"""``assist-beat`` and Celery's own beat as programs."""

import os
import re
import shutil
from pathlib import Path

import pytest
from e2e.timed.conftest import OFTEN, Operator

from harness.needs import skip_without
from harness.processes import Program, clean_environment, installed_program
from harness.redis_server import RedisServer
from harness.system import System


def program(home: Path, redis_url: str, *argv: str | Path, **environment: str) -> Program:
    given = {"CLOUD_ASSISTANT_REDIS_URL": redis_url, "CLOUD_ASSISTANT_HOME": str(home), **OFTEN, **environment}
    return Program(list(argv), env=clean_environment(home, given), cwd=home, log_path=home / "beat.log", name=home.name)


@pytest.mark.timeout(90)
def test_celerys_own_beat_runs_the_same_scheduler(operator: Operator, tmp_path: Path) -> None:
    operator.system.start_agent("i-one")
    home = tmp_path / "celery"
    argv = ("-A", "cloud_assistant.beat.app", "beat", "--loglevel", "INFO")
    with program(home, operator.system.redis_url, installed_program("celery"), *argv) as beat:
        beat.wait_for_line(r"beat ready")
        invoke_id = operator.invoke("echo 123", frequency="*/2 * * * * *")
        assert operator.wait_for_fired(invoke_id, 1)[0]["Counts"] == {"Success": 1}
        beat.sigterm()
        assert beat.wait() == 0
    assert not list(home.glob("celerybeat-schedule*")), "nothing is kept in a file"


def test_a_beat_without_redis_says_so_and_works_when_it_is_back(
    system: System, redis_server: RedisServer, tmp_path: Path
) -> None:
    redis_server.stop()
    with program(tmp_path / "early", system.redis_url, installed_program("assist-beat")) as beat:
        beat.wait_for_line(r"until Redis is back", 10)
        redis_server.start()
        beat.wait_for_line(r"beat ready")
        beat.sigterm()
        assert beat.wait(5) == 0


@pytest.mark.parametrize("name", ["sigterm", "sigint"])
def test_a_beat_ends_at_once_when_it_is_told_to(system: System, tmp_path: Path, name: str) -> None:
    with program(tmp_path / "beat", system.redis_url, installed_program("assist-beat")) as beat:
        beat.wait_for_line(r"beat ready")
        getattr(beat, name)()
        assert beat.wait(5) == 0
        assert "Traceback" not in beat.log()


def test_a_bad_setting_ends_a_beat_with_its_line(system: System, tmp_path: Path) -> None:
    home = tmp_path / "bad"
    setting = {"CLOUD_ASSISTANT_BEAT_MISFIRE": "sometimes"}
    with program(home, system.redis_url, installed_program("assist-beat"), **setting) as beat:
        assert beat.wait(10) == 2
        assert re.search(r"beat\.misfire is 'sometimes'; use one of latest, all, skip", beat.log())


@pytest.mark.parametrize("program_name", ["assist-beat", "assist-gateway"])
def test_a_home_that_cannot_be_looked_into_ends_a_program_with_its_line(
    system: System, tmp_path: Path, program_name: str
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0)
    # Root looks into every folder, but without these rights.
    rights = "-dac_override,-dac_read_search"
    as_others = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"] if os.geteuid() == 0 else []
    if as_others and shutil.which(as_others[0]) is None:
        skip_without("setpriv", "Run this test as another user than root.")
    setting = {"CLOUD_ASSISTANT_HOME": str(theirs / "home")}
    argv: list[str | Path] = [*as_others, installed_program(program_name)]
    with program(tmp_path / "cwd", system.redis_url, *argv, **setting) as ending:
        assert ending.wait(10) == 2
        assert "master-key.json: Permission denied; run this as the user of the home" in ending.log()
        assert "Traceback" not in ending.log()
