"""Scripts as another user: the kernel's own view of who runs, and where they may go."""

import grp
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.execution.running import Runner, is_alive, script_of, to_the_end

from cloud_assistant.worker import execution
from cloud_assistant.worker.execution.not_started import NotStarted
from harness import reaper
from harness.needs import skip_without

WHOEVER = "nobody"


@pytest.fixture(autouse=True)
def _root_only(runner: Runner) -> None:
    if os.geteuid() != 0:
        skip_without("the right to become another user", "Run these tests as root in a container.")


@pytest.fixture
def open_home(runner: Runner) -> Iterator[Path]:
    """A home that other users may pass through, as an installed agent has it.

    Not below pytest's own folder, which every other run of pytest closes to other users again.
    """
    with tempfile.TemporaryDirectory(prefix="ca-test-") as name:
        home = Path(name)
        home.chmod(0o711)
        reaper.watch_folder(home)
        runner.home = home
        yield home


def test_a_script_runs_as_another_user_with_that_users_groups(runner: Runner, open_home: Path) -> None:
    user = pwd.getpwnam("www-data")
    outcome = runner.run(
        "id -u; id -g; id -G; echo $HOME $USER $LOGNAME; grep Groups /proc/self/status; stat -c '%U %a' $0",
        username="www-data",
        working_directory="/",
    )
    uid, gid, groups, names, status, owner = outcome.stdout.decode().splitlines()
    assert (int(uid), int(gid)) == (user.pw_uid, user.pw_gid)
    expected = {group.gr_gid for group in grp.getgrall() if "www-data" in group.gr_mem} | {user.pw_gid}
    assert {int(number) for number in groups.split()} == expected
    assert names == f"{user.pw_dir} www-data www-data"
    assert {int(number) for number in status.split()[1:]} == expected, "none of root's groups is left"
    assert owner == "www-data 500"


def test_supplementary_groups_are_set(runner: Runner, tmp_path: Path) -> None:
    name = "ca-test-user"
    if not Path("/usr/sbin/groupadd").exists():
        skip_without("groupadd", "Install the passwd package (shadow-utils).")
    subprocess.run(["/usr/sbin/groupadd", "-f", "ca-test-group"], check=True)
    subprocess.run(["/usr/sbin/useradd", "-M", "-G", "ca-test-group", name], check=True)
    try:
        outcome = runner.run("id -nG", username=name)
        assert "ca-test-group" in outcome.stdout.decode().split()
        assert any("does not exist" in note for note in outcome.record.notes), "it has no home"
    finally:
        subprocess.run(["/usr/sbin/userdel", name], check=True)
        subprocess.run(["/usr/sbin/groupdel", "ca-test-group"], check=True)


def test_root_may_be_named(runner: Runner) -> None:
    assert runner.run("id -un", username="root").stdout == b"root\n"


def test_a_home_that_other_users_cannot_reach_is_no_obstacle(runner: Runner) -> None:
    """The whole way to the script is closed to everybody but root; the script is handed over as a descriptor."""
    runner.home.chmod(0o700)
    outcome = runner.run("#!/bin/sh -e\nid -un; cat $0 | head -1; exec 3>&-; echo still reading", username=WHOEVER)
    assert outcome.stdout == b"nobody\n#!/bin/sh -e\nstill reading\n"


def test_another_users_script_cannot_touch_the_records(runner: Runner, open_home: Path) -> None:
    outcome = runner.run(
        "cd $(dirname $0); ls; cat started.json; touch new; rm started.json; ln -s /etc/passwd exit.json.new; true",
        username=WHOEVER,
        working_directory="/",
    )
    assert outcome.stdout == b""
    assert outcome.stderr.count(b"ermission denied") == 5


def test_a_script_of_another_user_ends_with_all_its_processes(runner: Runner, open_home: Path) -> None:
    script = script_of("(setsid sleep 1000 &); echo $$; sleep 1000", username=WHOEVER, timeout_seconds=0.3)
    outcome = to_the_end(runner.start(script))
    assert (outcome.record.reason, outcome.record.survivors) == ("timeout", 0)
    assert not is_alive(int(outcome.stdout))


def test_a_directory_closed_to_the_user_is_refused_although_root_may_enter(runner: Runner, open_home: Path) -> None:
    closed = open_home / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(NotStarted) as refused:
        runner.run("true", username=WHOEVER, working_directory=str(closed))
    assert refused.value.error_code == "DirectoryNotExists"
    assert WHOEVER in refused.value.error_info


def test_an_interpreter_closed_to_the_user_is_named(runner: Runner, open_home: Path) -> None:
    interpreter = open_home / "interpreter"
    interpreter.write_text("#!/bin/sh\n")
    interpreter.chmod(0o700)
    with pytest.raises(NotStarted) as refused:
        runner.run(f"#!{interpreter}\n", username=WHOEVER, working_directory="/")
    assert refused.value.error_code == "ExecutionException"
    assert str(interpreter) in refused.value.error_info


def test_a_supervisor_is_root_again_after_another_users_script(runner: Runner, open_home: Path) -> None:
    runner.run("true", username=WHOEVER, working_directory="/")
    outcome = runner.run("id -u; id -G")
    assert outcome.stdout.decode().split()[0] == "0"
    assert outcome.stdout.decode().splitlines()[1].split() == [str(gid) for gid in [0, *os.getgroups()] if True][:1]


def test_an_ordinary_user_runs_scripts_and_may_not_become_another(open_home: Path) -> None:
    """The agent of this test is a process of its own that has given root up."""
    open_home.chmod(0o777)
    python = readable_python()
    package = open_home / "cloud_assistant" / "worker"
    package.mkdir(parents=True)
    shutil.copytree(Path(execution.__file__).parent, package / "execution", ignore=shutil.ignore_patterns("*.pyc"))
    agent = subprocess.run(
        [python, str(Path(__file__).parent / "agents" / "ordinary_user.py"), str(open_home)],
        capture_output=True,
        text=True,
        check=False,
        user=WHOEVER,
        group=pwd.getpwnam(WHOEVER).pw_gid,
        extra_groups=[],
        timeout=30,
        env={"PYTHONPATH": str(open_home), "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert agent.returncode == 0, agent.stderr
    assert agent.stdout.splitlines() == [
        "nobody exited 0 timeout 0",
        "ExecutionException: user 'root' exists, but the agent runs as uid 65534 and only root may become another"
        " user; run the agent as root, or leave the user name empty",
        "DirectoryNotExists",
    ]


def readable_python() -> str:
    """An interpreter that every user may run; the tests' own is often inside somebody's home."""
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            version = subprocess.run(
                [candidate, "-c", "import sys; print(sys.version_info >= (3, 11))"],
                capture_output=True,
                check=False,
                user=WHOEVER,
                cwd="/",
            )
        except OSError:
            continue
        if version.stdout == b"True\n":
            return candidate
    return skip_without("a Python 3.11 that every user may run", "Install one in /usr/bin.")
