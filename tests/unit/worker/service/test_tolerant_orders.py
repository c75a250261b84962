"""Starting what runs and stopping what does not, under managers that call it a failure, against stand-ins for them."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cloud_assistant.worker.cli import main
from cloud_assistant.worker.service.catalogue import SYSTEMS
from cloud_assistant.worker.service.installing import uninstall
from cloud_assistant.worker.service.plan import ServicePlan

#: As upstart 1.13 and FreeBSD's rc.subr answer.
STAND_INS = {
    "upstart": (
        "initctl",
        """\
case $1 in
  status) if [ -e runs ]; then echo "$2 start/running, process 12"; else echo "$2 stop/waiting"; fi; exit 0 ;;
  start) if [ -e runs ]; then echo "initctl: Job is already running: $2" >&2; exit 1; fi; touch runs ;;
  *) if [ ! -e runs ]; then echo 'initctl: Unknown instance:' >&2; exit 1; fi
     if [ "$1" = stop ]; then rm runs; fi ;;
esac
""",
    ),
    "freebsd": (
        "service",
        """\
case $2 in
  status) [ -e runs ] || { echo "$1 is not running."; exit 1; } ;;
  start) if [ -e runs ]; then echo "$1 already running? (pid=12)."; exit 1; fi; touch runs ;;
  stop) if [ ! -e runs ]; then echo "$1 not running? (check /var/run/$1.pid)."; exit 1; fi; rm runs ;;
  restart) touch runs ;;
esac
""",
    ),
}


@pytest.fixture(params=sorted(STAND_INS))
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of a manager whose program is a stand-in that works in ``tmp_path``."""
    name, body = STAND_INS[request.param]
    program = tmp_path / "bin" / name
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncd '{tmp_path}' || exit 64\necho \"$*\" >> asked\n{body}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return str(request.param)


def say(verb: str, manager: str) -> Result:
    return CliRunner().invoke(main, [verb, "--system", manager])


def test_each_may_be_said_twice(manager: str, tmp_path: Path) -> None:
    for verb, runs in (("stop", False), ("start", True), ("start", True), ("stop", False), ("stop", False)):
        outcome = say(verb, manager)
        assert outcome.exit_code == 0, outcome.output
        assert (tmp_path / "runs").exists() == runs


def test_a_restart_starts_what_does_not_run(manager: str, tmp_path: Path) -> None:
    for _ in range(2):
        outcome = say("restart", manager)
        assert outcome.exit_code == 0, outcome.output
        assert (tmp_path / "runs").exists()
    assert "restart" in (tmp_path / "asked").read_text().splitlines()[-1]


def test_a_service_that_does_not_run_can_be_removed(manager: str, tmp_path: Path) -> None:
    said: list[str] = []
    # What is a path below the root is there and is not ours to remove.
    kept = (tmp_path / "bin").relative_to("/")
    system = replace(SYSTEMS[manager], files=lambda _: [], packaged=(str(kept),))
    uninstall(system, ServicePlan(program="/bin/true"), Path("/"), said.append)
    assert any("does not run it" in line for line in said)
