"""Timeout and stop: the whole tree ends, and the record proves it."""

import os
import re
import signal
from pathlib import Path

from integration.execution.running import (
    Outcome,
    Runner,
    is_alive,
    kill_all_of,
    processes_of,
    script_of,
    to_the_end,
)

from cloud_assistant.worker.execution.cgroup import own_group
from cloud_assistant.worker.execution.events import Started
from cloud_assistant.worker.execution.script import Script
from harness.eventually import eventually

#: Three generations, each in its own session, none of which minds SIGTERM.
STUBBORN = """
trap '' TERM
forever='while :; do sleep 1000; done'
setsid sh -c "trap '' TERM; (setsid sh -c 'trap : TERM; $forever' &) ; $forever" &
echo ready
while :; do sleep 1000; done
"""


def wait_for_tree(script: Script, count: int) -> list[int]:
    return eventually(
        lambda: pids if len(pids := processes_of(script)) >= count else None, what=f"{count} processes of the script"
    )


def assert_ended(outcome: Outcome, script: Script, reason: str) -> None:
    assert outcome.record.reason == reason
    assert outcome.record.survivors == 0
    assert outcome.record.left_running == 0
    assert processes_of(script) == []
    last = outcome.record.steps[-1]
    assert (last.what, last.process_count) == ("verified", 0)


def test_a_stubborn_tree_ends_at_its_timeout(runner: Runner) -> None:
    script = script_of(STUBBORN, timeout_seconds=2.0)
    running = runner.start(script)
    tree = wait_for_tree(script, 6)
    outcome = to_the_end(running)
    assert_ended(outcome, script, "timeout")
    assert not any(is_alive(pid) for pid in tree)
    assert outcome.record.error_code == "ExecutionTimeout"
    assert outcome.record.signal == signal.SIGKILL
    assert outcome.stdout == b"ready\n"
    assert [step.what for step in outcome.record.steps] == [
        "timeout",
        "SIGTERM to the process tree",
        "SIGKILL to the process tree",
        "verified",
    ]
    counts = [step.process_count for step in outcome.record.steps]
    assert counts[0] == counts[1] >= 6
    times = [step.at_ms for step in outcome.record.steps]
    assert times == sorted(times)
    assert 2.0 <= (outcome.record.finished_ms - outcome.record.started_ms) / 1000 < 20


def test_a_stubborn_tree_ends_when_stopped(runner: Runner) -> None:
    script = script_of(STUBBORN)
    running = runner.start(script)
    wait_for_tree(script, 6)
    running.stop()
    outcome = to_the_end(running)
    assert_ended(outcome, script, "stopped")
    assert outcome.record.steps[0].what == "stop requested"


def test_a_tree_without_a_control_group_ends_as_well(runner: Runner) -> None:
    """The supervisor is moved out of its group behind its back: the walk alone has to do."""
    script = script_of(STUBBORN, timeout_seconds=2.0)
    runner.run("true")
    supervisor = runner.only_supervisor()
    inside = _group_of(supervisor.pid)
    if inside:
        own = own_group()
        assert own is not None
        Path(own, "cgroup.procs").write_text(str(supervisor.pid))
    running = runner.start(script)
    tree = wait_for_tree(script, 6)
    assert all(not _group_of(pid) for pid in tree)
    assert_ended(to_the_end(running), script, "timeout")


def _group_of(pid: int) -> str:
    found = re.search(r"^0::.*(cloud-assistant-script-.*)$", Path(f"/proc/{pid}/cgroup").read_text(), re.MULTILINE)
    return found.group(1) if found else ""


def test_a_polite_script_may_tidy_up_before_its_end(runner: Runner) -> None:
    script = script_of("trap 'echo tidied; exit 5' TERM; echo ready; sleep 1000 & wait", grace_seconds=20)
    running = runner.start(script)
    wait_for_tree(script, 2)
    running.stop()
    outcome = to_the_end(running)
    assert_ended(outcome, script, "stopped")
    assert (outcome.record.exit_code, outcome.stdout) == (5, b"ready\ntidied\n")
    assert "SIGKILL to the process tree" not in [step.what for step in outcome.record.steps]


def test_processes_forked_while_the_tree_is_asked_to_end_are_killed(runner: Runner) -> None:
    script = script_of(
        "trap '(setsid sh -c \"trap : TERM; while :; do sleep 1000; done\" &); sleep 1000' TERM\nsleep 1000 & wait"
    )
    running = runner.start(script)
    wait_for_tree(script, 2)
    running.stop()
    assert_ended(to_the_end(running), script, "stopped")


def test_a_fork_storm_ends(runner: Runner) -> None:
    script = script_of(
        # Eight loops that fork all the time, half of the children in sessions of their own: a storm that cannot grow,
        # whatever becomes of it. (`ulimit -u` would not bound it: dash does not know that option and goes on.)
        f"loop() {{ while [ -e {runner.home} ]; do (setsid sleep 0.05 &); sleep 0.005 & wait; done; }}\n"
        "trap : TERM; for _ in 1 2 3 4 5 6 7 8; do loop & done; wait; wait; sleep 1000",
        timeout_seconds=1.0,
    )
    running = runner.start(script)
    assert_ended(to_the_end(running), script, "timeout")


def test_only_the_main_process_ends_when_asked_for(runner: Runner) -> None:
    script = script_of("sleep 1000 & echo $!; wait", termination_mode="Process")
    running = runner.start(script)
    wait_for_tree(script, 2)
    running.stop()
    outcome = to_the_end(running)
    assert outcome.record.reason == "stopped"
    assert outcome.record.signal == signal.SIGTERM
    assert (outcome.record.survivors, outcome.record.left_running) == (0, 1)
    assert outcome.record.error_info == "the script was stopped on request"
    assert is_alive(int(outcome.stdout))
    kill_all_of(script)


def test_a_stopped_process_ends_too(runner: Runner) -> None:
    script = script_of("kill -STOP $$")
    running = runner.start(script)
    running.stop()
    assert_ended(to_the_end(running), script, "stopped")


def test_stop_after_the_end_does_nothing_to_the_next_script(runner: Runner) -> None:
    first = runner.start(script_of("true"))
    to_the_end(first)
    second = runner.start(script_of("sleep 0.2; echo done"))
    first.stop()
    assert to_the_end(second).stdout == b"done\n"


def test_a_stop_that_comes_as_the_script_ends_does_not_reach_the_next(runner: Runner) -> None:
    """The first agent-side object has not read the end yet, so its stop really travels."""
    for _ in range(20):
        first = runner.start(script_of("true"))
        first.stop()
        assert to_the_end(first).record.reason in ("exited", "stopped")
        assert runner.run("echo done").stdout == b"done\n"


def test_a_background_process_does_not_hold_up_the_end_and_lives_on(runner: Runner) -> None:
    script = script_of("(while :; do echo tick; sleep 0.05; done) & echo $!; exit 4")
    outcome = to_the_end(runner.start(script))
    assert (outcome.record.exit_code, outcome.record.reason) == (4, "exited")
    assert outcome.record.finished_ms - outcome.record.started_ms < 10_000
    assert outcome.record.left_running >= 1
    assert outcome.record.survivors == 0
    assert any("go on running" in note for note in outcome.record.notes)
    pid = int(outcome.stdout.split()[0])
    # It has written to a pipe that nobody reports any more, and lives: twenty lines later.
    before = _written_bytes(pid)
    eventually(lambda: _written_bytes(pid) > before + 100, what="the background process goes on writing")
    kill_all_of(script)


def _written_bytes(pid: int) -> int:
    assert is_alive(pid), "the background process was killed"
    found = re.search(r"^wchar: (\d+)", Path(f"/proc/{pid}/io").read_text(), re.MULTILINE)
    assert found
    return int(found.group(1))


def test_a_supervisor_with_leftovers_retires(runner: Runner) -> None:
    before = runner.only_supervisor()
    script = script_of("sleep 1000 >/dev/null 2>&1 &")
    outcome = to_the_end(runner.start(script))
    assert outcome.record.left_running == 1
    eventually(lambda: not is_alive(before.pid), what="the supervisor has ended")
    [leftover] = processes_of(script)
    assert is_alive(leftover)
    assert runner.run("echo next").stdout == b"next\n"
    kill_all_of(script)


def test_late_output_of_a_short_lived_background_process_is_read(runner: Runner) -> None:
    outcome = runner.run("(sleep 1; echo late) & echo early", drain_seconds=5)
    assert outcome.stdout == b"early\nlate\n"
    assert outcome.record.left_running == 0
    assert outcome.record.finished_ms - outcome.record.started_ms < 900, "the end is that of the main process"


def test_a_process_that_is_just_ending_does_not_go_on_running(runner: Runner) -> None:
    """It is given a tenth of a second. A busy machine may take that for itself; then a later one has to be in time."""
    busy = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"

    def left_running() -> int:
        outcome = runner.run(f"(sleep 0.1; exec >&- 2>&-; {busy}) & echo early", drain_seconds=5)
        assert outcome.stdout == b"early\n"
        return outcome.record.left_running

    assert any(left_running() == 0 for _ in range(20))


def test_the_started_event_names_the_main_process(runner: Runner) -> None:
    for content in ("echo $$", "sleep 0.05; echo $$"):
        outcome = runner.run(content)
        [started] = [event for event in outcome.events if isinstance(event, Started)]
        assert started.pid == int(outcome.stdout) == outcome.record.pid


def test_nothing_of_a_script_is_a_zombie_for_long(runner: Runner) -> None:
    """The supervisor is everybody's last parent: it has to bury what double-forks."""
    script = script_of("for i in 1 2 3 4 5 6 7 8 9; do (true &); done; sleep 0.3; ps -o stat= --ppid $PPID")
    outcome = to_the_end(runner.start(script))
    assert b"Z" not in outcome.stdout


def test_after_a_script_that_had_to_be_ended_the_next_has_no_more_of_the_processor(runner: Runner) -> None:
    """Its supervisor goes before others while it ends one, where it may."""
    running = runner.start(script_of("sleep 1000"))
    running.stop()
    to_the_end(running)
    assert runner.run("cut -d' ' -f41 /proc/self/stat").stdout == b"%d\n" % os.SCHED_OTHER
