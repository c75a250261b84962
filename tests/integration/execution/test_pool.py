"""Supervisors are reused, kept waiting, and sent home."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from integration.execution.running import Outcome, Runner, is_alive, script_of, to_the_end

from cloud_assistant.worker.execution.launcher import Launcher
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.prepare import prepare
from harness import proc
from harness.eventually import always, eventually
from harness.needs import skip_without


def test_one_supervisor_runs_script_after_script(runner: Runner) -> None:
    before = runner.only_supervisor()
    for number in range(5):
        assert runner.run(f"echo {number}").stdout == f"{number}\n".encode()
    assert runner.only_supervisor().pid == before.pid


def test_scripts_run_at_the_same_time_and_their_supervisors_wait_for_more(runner: Runner) -> None:
    gate = runner.home / "gate"
    scripts = [script_of(f"while [ ! -e {gate} ]; do sleep 0.02; done; echo {number}") for number in range(5)]
    running = [runner.start(script) for script in scripts]
    assert len(runner.supervisors()) == 5
    gate.touch()
    assert [to_the_end(one).stdout for one in running] == [f"{number}\n".encode() for number in range(5)]
    assert len(runner.supervisors()) == 5
    assert runner.run("echo more").stdout == b"more\n"
    assert len(runner.supervisors()) == 5


def test_many_threads_may_use_one_launcher(runner: Runner) -> None:
    outcomes: dict[int, Outcome] = {}

    def work(number: int) -> None:
        for _ in range(5):
            outcomes[number] = runner.run(f"echo {number}; echo {number} >&2; exit {number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {number: outcome.record.exit_code for number, outcome in outcomes.items()} == {n: n for n in range(8)}
    assert all(outcome.stdout == f"{number}\n".encode() for number, outcome in outcomes.items())


def test_idle_supervisors_go_home_but_one(tmp_path: Path) -> None:
    launcher = Launcher(idle_seconds=0.3)
    launcher.start()
    runner = Runner(launcher, tmp_path)
    gate = tmp_path / "gate"
    running = [runner.start(script_of(f"while [ ! -e {gate} ]; do sleep 0.02; done")) for _ in range(4)]
    assert len(runner.supervisors()) == 4
    gate.touch()
    for one in running:
        to_the_end(one)
    eventually(lambda: len(runner.supervisors()) == 1, what="all but one supervisor have gone home")
    always(lambda: len(runner.supervisors()) == 1, for_seconds=0.6, what="the last one stays")
    assert runner.run("echo again").stdout == b"again\n"
    launcher.close()


def test_no_more_supervisors_wait_than_allowed(tmp_path: Path) -> None:
    launcher = Launcher(max_idle=2)
    launcher.start()
    runner = Runner(launcher, tmp_path)
    gate = tmp_path / "gate"
    running = [runner.start(script_of(f"while [ ! -e {gate} ]; do sleep 0.02; done")) for _ in range(5)]
    gate.touch()
    for one in running:
        to_the_end(one)
    eventually(lambda: len(runner.supervisors()) <= 3, what="those that are not needed have gone home")
    assert len(runner.supervisors()) >= 2
    launcher.close()


def test_closing_leaves_running_scripts_alone(tmp_path: Path) -> None:
    launcher = Launcher()
    launcher.start()
    runner = Runner(launcher, tmp_path)
    running = runner.start(script_of("sleep 0.2; echo done"))
    launcher.close()
    launcher.close()
    assert to_the_end(running).stdout == b"done\n"
    with pytest.raises(NotStarted, match="not started, or closed"):
        runner.run("true")


def test_a_failed_fork_is_a_refusal_that_says_so(runner: Runner) -> None:
    """The fork server is not allowed one process more, as on a machine that is out of pids."""
    with no_more_processes(runner.launcher.fork_server_pid):
        pass  # skips where that cannot be arranged, before there is anything to end
    runner.run("true")
    blocked = runner.start(script_of("sleep 1000"))
    with no_more_processes(runner.launcher.fork_server_pid), pytest.raises(NotStarted, match="could be forked"):
        runner.run("true")
    assert runner.run("echo again").stdout == b"again\n"
    blocked.stop()
    to_the_end(blocked)


@contextmanager
def no_more_processes(pid: int) -> Iterator[None]:
    """Forbid a process to fork; root is above its process limit, so a control group has to do it."""
    group = Path("/sys/fs/cgroup/pids") / f"ca-test-{pid}"
    try:
        group.mkdir()
    except OSError as exc:
        skip_without(f"a writable control group for pids ({exc})", "Run these tests as root with cgroup v1 pids.")
    before = Path("/sys/fs/cgroup/pids", _pids_group_of(pid).lstrip("/"))
    try:
        (group / "pids.max").write_text("1")
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        (before / "cgroup.procs").write_text(str(pid))
        group.rmdir()


def _pids_group_of(pid: int) -> str:
    lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    return next(line.split(":", 2)[2] for line in lines if line.split(":")[1] == "pids")


def test_each_supervisor_has_its_own_session_and_no_agents_descriptor(runner: Runner) -> None:
    runner.run("true")
    supervisor = runner.only_supervisor()
    assert supervisor.session_id == supervisor.pid
    runner.wait_until_calm(supervisor)
    names = proc.descriptors_of(supervisor.pid)
    sockets = [target for target in names.values() if target.startswith("socket:")]
    assert len(sockets) == 1, names
    assert {names["0"], names["1"], names["2"]} == {"/dev/null"}
    assert Path(f"/proc/{supervisor.pid}/cwd").readlink() == Path("/")


def test_descriptors_do_not_leak_however_many_scripts_run(runner: Runner) -> None:
    runner.run("true")
    supervisor = runner.only_supervisor()
    runner.wait_until_calm(supervisor)
    counts = proc.fd_count(supervisor.pid), proc.fd_count(runner.launcher.fork_server_pid)
    for _ in range(20):
        runner.run("echo 1; echo 2 >&2")
    with pytest.raises(NotStarted):
        runner.run("true", working_directory="/does/not/exist")
    runner.wait_until_calm(supervisor)
    assert (proc.fd_count(supervisor.pid), proc.fd_count(runner.launcher.fork_server_pid)) == counts


def test_a_plan_that_is_never_run_can_be_closed(runner: Runner) -> None:
    plan = prepare(script_of("true"), runner.home / "never")
    plan.close()
    plan.close()
    assert is_alive(runner.launcher.fork_server_pid)


def test_supervisors_stay_small(runner: Runner) -> None:
    for _ in range(10):
        runner.run("seq 10000")
    assert proc.uss_bytes(runner.only_supervisor().pid) < 5 << 20
    assert proc.uss_bytes(runner.launcher.fork_server_pid) < 5 << 20
