"""What a killed run has left behind."""

import signal
import subprocess

import pytest

from cloud_assistant.producer.local_system import leftovers
from cloud_assistant.producer.local_system.home_lock import RunningChild, UpNote
from cloud_assistant.producer.local_system.leftovers import end_leftovers, leftovers_of
from cloud_assistant.producer.local_system.process_identity import identity_of


def test_programs_of_an_earlier_run_are_ended() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as left:
        child = RunningChild("Redis", left.pid, identity_of(left.pid))
        assert leftovers_of(UpNote(pid=1, children=[child])) == [child]
        end_leftovers([child])
        assert left.wait(5) < 0


def test_one_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_GRACE_SECONDS", 0.1)
    deaf = "trap '' TERM; echo up; while :; do sleep 1; done"
    with subprocess.Popen(["/bin/sh", "-c", deaf], stdout=subprocess.PIPE) as left:
        assert left.stdout
        left.stdout.readline()
        end_leftovers([RunningChild("Redis", left.pid, identity_of(left.pid))])
        assert left.wait(5) == -signal.SIGKILL


def test_a_later_process_with_the_same_pid_is_left_alone() -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as other:
        child = RunningChild("Redis", other.pid, "another time")
        assert leftovers_of(UpNote(pid=1, children=[child])) == []
        assert other.poll() is None
        other.kill()


def test_nothing_left_behind_is_nothing_to_do() -> None:
    assert leftovers_of(None) == []
    assert leftovers_of(UpNote(pid=1, children=[RunningChild("beat", 2**22 + 1, "1")])) == []
