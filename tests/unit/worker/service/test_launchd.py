"""Starting and stopping under launchd, against a stand-in for ``launchctl``: the operating system begins there."""

import plistlib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cloud_assistant.worker.cli import main
from cloud_assistant.worker.service.catalogue import SYSTEMS
from cloud_assistant.worker.service.launchd import LABEL, PROPERTY_LIST
from cloud_assistant.worker.service.plan import ServicePlan

#: Keeps what it has loaded alive, as launchd does with our property list, and takes its time to let go of it.
LAUNCHCTL = """\
#!/bin/sh
cd '@FOLDER@'
echo "$*" >>asked
less() { n=$(($(cat $1) - 1)); if [ $n -gt 0 ]; then echo $n >$1; else rm $1; fi; }
start() { echo start >>starts; }
case $1 in
  print)
    if [ -e loaded ]; then exit 0; fi
    if [ -e leaving ]; then less leaving; exit 0; fi
    exit 113 ;;
  kill) [ -e loaded ] || exit 113; start ;;
  kickstart)
    [ -e loaded ] || exit 113
    if [ "$2" = -k ]; then start; else exit @KICKSTART@; fi ;;
  bootout)
    if [ -e privileged ]; then echo 'not privileged' >&2; exit 1; fi
    [ -e loaded ] || exit 3
    rm loaded; echo 3 >leaving; echo 2 >unwilling; exit @BOOTOUT@ ;;
  bootstrap)
    [ ! -e loaded ] || exit 5
    if [ -e leaving ]; then exit 37; fi
    if [ -e unwilling ]; then less unwilling; exit 5; fi
    if [ -e broken ]; then echo 'bad property list' >&2; exit 78; fi
    touch loaded; start ;;
  *) exit 64 ;;
esac
"""


class Launchd:
    """What the stand-in keeps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def say(self, verb: str) -> Result:
        return CliRunner().invoke(main, [verb, "--system", "launchd"])

    def set(self, fact: str) -> None:
        (self.folder / fact).touch()

    @property
    def is_kept_alive(self) -> bool:
        return (self.folder / "loaded").exists()

    @property
    def starts_count(self) -> int:
        starts = self.folder / "starts"
        return len(starts.read_text().split()) if starts.exists() else 0

    @property
    def asked(self) -> list[str]:
        return (self.folder / "asked").read_text().splitlines()


@pytest.fixture(params=[(0, 0), (36, 37)], ids=["plain", "under way"])
def launchd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Launchd:
    bootout, kickstart = request.param
    folder = tmp_path / "launchd"
    folder.mkdir()
    program = tmp_path / "bin" / "launchctl"
    program.parent.mkdir()
    text = LAUNCHCTL.replace("@FOLDER@", str(folder))
    program.write_text(text.replace("@BOOTOUT@", str(bootout)).replace("@KICKSTART@", str(kickstart)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return Launchd(folder)


def test_what_was_stopped_stays_stopped_until_it_is_started(launchd: Launchd) -> None:
    assert launchd.say("start").exit_code == 0
    assert (launchd.is_kept_alive, launchd.starts_count) == (True, 1)

    stopped = launchd.say("stop")

    assert stopped.exit_code == 0, stopped.output
    assert (launchd.is_kept_alive, launchd.starts_count) == (False, 1), "nothing starts it again"
    again = launchd.say("start")
    assert again.exit_code == 0, again.output
    assert (launchd.is_kept_alive, launchd.starts_count) == (True, 2)
    assert f"bootstrap system /{PROPERTY_LIST}" in launchd.asked


def test_each_may_be_said_twice(launchd: Launchd) -> None:
    codes = [launchd.say(verb).exit_code for verb in ("stop", "start", "start", "stop", "stop")]
    assert codes == [0] * 5
    assert launchd.starts_count == 1
    assert not launchd.is_kept_alive


def test_a_restart_is_one_step_for_what_runs_and_a_start_for_what_does_not(launchd: Launchd) -> None:
    assert launchd.say("restart").exit_code == 0
    assert (launchd.is_kept_alive, launchd.starts_count) == (True, 1)
    assert launchd.say("restart").exit_code == 0
    assert (launchd.is_kept_alive, launchd.starts_count) == (True, 2)
    assert launchd.asked[-1] == f"kickstart -k system/{LABEL}"


def test_what_launchd_refuses_is_told(launchd: Launchd) -> None:
    launchd.set("broken")
    refused = launchd.say("start")
    assert (refused.exit_code, "bad property list" in refused.output) == (4, True)
    launchd.set("loaded")
    launchd.set("privileged")
    refused = launchd.say("stop")
    assert (refused.exit_code, "not privileged" in refused.output) == (4, True)


def test_installing_leaves_the_start_to_start(launchd: Launchd) -> None:
    """An agent that is not to start now, or has no credentials yet, is not put into launchd by the way."""
    system = SYSTEMS["launchd"]
    assert (system.enable, system.disable) == ((), ())
    content = plistlib.loads(system.files(ServicePlan(program="/bin/true"))[0].text.encode())
    assert content["KeepAlive"] == {"PathState": {"/etc/cloud-assistant/config.toml": True}}
