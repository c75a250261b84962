import os
import signal

import pytest

from cloud_assistant.worker.execution.cgroup import ScriptGroup
from cloud_assistant.worker.execution.proc_table import ProcessEntry
from cloud_assistant.worker.execution.supervisor import tree as tree_module
from cloud_assistant.worker.execution.supervisor.tree import ScriptTree


class RecordingGroup(ScriptGroup):
    """A control group that only says what was asked of it."""

    __slots__ = ("asked",)

    def __init__(self, asked: list[object]) -> None:
        super().__init__("/outside", "/inside")
        self.asked = asked

    def freeze(self) -> bool:
        self.asked.append("freeze")
        return True

    def thaw(self) -> None:
        self.asked.append("thaw")

    def kill(self) -> None:
        self.asked.append("kill")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """A script of two processes: a child of this process, and a stranger in its group."""
    log: list[object] = []
    own = ProcessEntry(os.getpid(), 1, 1, 1)
    table = [own, ProcessEntry(100_001, own.pid, 5, 5), ProcessEntry(100_002, 1, 6, 6), ProcessEntry(100_003, 1, 7, 7)]
    monkeypatch.setattr(tree_module, "living", lambda: table)
    monkeypatch.setattr(tree_module, "members_of", lambda path: [own.pid, 100_002])
    monkeypatch.setattr(tree_module, "send_signal", lambda entry, number: log.append((entry.pid, number)))
    return log


def test_everybody_is_asked_to_end_while_nobody_can_fork(asked: list[object]) -> None:
    tree = ScriptTree(100_001, RecordingGroup(asked), is_subreaper=True)
    assert tree.ask_all_to_end() == 2
    assert (asked[0], asked[-1]) == ("freeze", "thaw")
    assert set(asked[1:-1]) == {(100_001, signal.SIGTERM), (100_002, signal.SIGTERM)}


def test_the_group_is_killed_at_once_and_then_whoever_is_not_in_it(asked: list[object]) -> None:
    ScriptTree(100_001, RecordingGroup(asked), is_subreaper=True).kill_all()
    assert asked[0] == "kill"
    assert set(asked[1:]) == {(100_001, signal.SIGKILL), (100_002, signal.SIGKILL)}


def test_without_a_group_descendants_are_the_whole_tree(asked: list[object]) -> None:
    tree = ScriptTree(100_001, None, is_subreaper=True)
    assert [entry.pid for entry in tree.members()] == [100_001]
    tree.kill_all()
    assert asked == [(100_001, signal.SIGKILL)]


def test_reaping_never_goes_on_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a fork storm, whose orphans come faster than they are buried."""
    monkeypatch.setattr(os, "waitpid", lambda pid, options: (12345, 0))
    tree = ScriptTree(1, None, is_subreaper=True)
    tree.reap()
    assert tree.may_have_more_to_reap
    assert tree.main_status is None

    monkeypatch.setattr(os, "waitpid", lambda pid, options: (0, 0))
    tree.reap()
    assert not tree.may_have_more_to_reap, "whoever lives is waited for in peace"


def test_no_child_left_proves_that_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = iter([(42, 256), (43, 0)])

    def waitpid(pid: int, options: int) -> tuple[int, int]:
        found = next(ended, None)
        if found is None:
            raise ChildProcessError
        return found

    monkeypatch.setattr(os, "waitpid", waitpid)
    tree = ScriptTree(42, None, is_subreaper=True)
    tree.reap()
    assert (tree.main_status, tree.is_empty(), tree.left_count()) == (256, True, 0)
    assert tree.signal_main(signal.SIGTERM) == 0
