import os
import signal
import subprocess
import sys

import pytest

from cloud_assistant.worker.execution.proc_table import (
    ProcessEntry,
    boot_id,
    carries_variable,
    entry_if_known,
    entry_of,
    is_same_process,
    living,
    send_signal,
    with_descendants,
)
from harness.descriptors import no_descriptor_left
from harness.eventually import eventually


def test_this_process_is_among_the_living() -> None:
    own = entry_of(os.getpid())
    assert own is not None
    assert own.parent_pid == os.getppid()
    assert own.session_id == os.getsid(0)
    assert own in living()
    assert is_same_process(own.pid, own.start_ticks)
    assert not is_same_process(own.pid, own.start_ticks - 1)
    assert not is_same_process(own.pid, 0)


def test_for_want_of_a_descriptor_nobody_is_said_to_be_gone() -> None:
    with no_descriptor_left():
        assert entry_of(os.getpid()) is None
        with pytest.raises(OSError, match="Too many open files"):
            entry_if_known(os.getpid())
    assert entry_if_known(2**22 + 1) is None


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    eventually(lambda: entry_of(child.pid) is None, what="the child has ended")
    assert child.wait() == 0


def test_a_name_with_brackets_and_blanks_is_read_well() -> None:
    code = "import ctypes, sys; ctypes.CDLL(None).prctl(15, b') R 1 (x', 0, 0, 0); print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        entry = entry_of(child.pid)
        assert entry is not None
        assert entry.parent_pid == os.getpid()
        child.communicate()


def test_descendants_of_several_roots_are_found_once() -> None:
    table = [ProcessEntry(pid, parent, 0, 1) for pid, parent in [(1, 0), (2, 1), (3, 2), (4, 2), (5, 1), (6, 5)]]
    assert {entry.pid for entry in with_descendants([2, 3], table)} == {2, 3, 4}
    assert {entry.pid for entry in with_descendants([99], table)} == set()
    orphans = [ProcessEntry(7, 99, 0, 1)]
    assert {entry.pid for entry in with_descendants([99], orphans)} == {7}


def test_a_signal_reaches_the_process_it_is_meant_for_and_no_other() -> None:
    with subprocess.Popen(["sleep", "1000"]) as child:
        entry = entry_of(child.pid)
        assert entry is not None
        stranger = entry._replace(start_ticks=entry.start_ticks - 1)
        assert not send_signal(stranger, signal.SIGKILL)
        assert child.poll() is None
        assert send_signal(entry, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    assert not send_signal(entry, signal.SIGKILL)


def test_the_environment_a_process_was_started_with_is_read_by_whole_variables() -> None:
    with subprocess.Popen(["sleep", "1000"], env={"CA_EXECUTION_ID": "x-12", "PATH": os.defpath}) as child:
        eventually(lambda: carries_variable(child.pid, b"CA_EXECUTION_ID=x-12"))
        assert not carries_variable(child.pid, b"CA_EXECUTION_ID=x-1")
        child.kill()
    assert not carries_variable(child.pid, b"CA_EXECUTION_ID=x-12")


def test_the_boot_has_a_name() -> None:
    assert len(boot_id()) == 36


def test_a_machine_out_of_descriptors_sees_nobody_rather_than_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(path: str, flags: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "open", none_left)
    assert entry_of(os.getpid()) is None
