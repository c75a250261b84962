"""How a script is ended that must end, with a tree that says what was done to it and a clock that is set by hand."""

import signal

import pytest

from cloud_assistant.worker.execution.proc_table import ProcessEntry
from cloud_assistant.worker.execution.supervisor import termination
from cloud_assistant.worker.execution.supervisor.clocks import RunClock
from cloud_assistant.worker.execution.supervisor.termination import Termination
from cloud_assistant.worker.execution.supervisor.tree import ScriptTree


class SetClock(RunClock):
    """Stands where it was put."""

    __slots__ = ("elapsed",)

    def __init__(self) -> None:
        super().__init__()
        self.started_ms, self.elapsed = 1_000_000, 5.0

    def elapsed_seconds(self) -> float:
        return self.elapsed


class StubbornTree(ScriptTree):
    """A main process and a child of it, which end when ``kills_needed`` kills were tried."""

    def __init__(self, kills_needed: int) -> None:
        super().__init__(100_001, None, is_subreaper=True)
        self.asked: list[object] = []
        self._kills_needed = kills_needed

    def reap(self) -> None:
        if self.is_empty():
            self.main_status = signal.SIGKILL

    def is_empty(self) -> bool:
        return len([one for one in self.asked if one in ("kill all", signal.SIGKILL)]) >= self._kills_needed

    def members(self) -> list[ProcessEntry]:
        return [] if self.is_empty() else [ProcessEntry(pid, 1, 1, 1) for pid in (100_001, 100_002)]

    def ask_all_to_end(self) -> int:
        self.asked.append("ask all")
        return 2

    def kill_all(self) -> None:
        self.asked.append("kill all")

    def signal_main(self, number: int) -> int:
        self.asked.append(number)
        return 1


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process runs on as it does."""
    monkeypatch.setattr(termination, "_raise_priority", lambda: None)
    monkeypatch.setattr(termination, "_lower_priority", lambda: None)


def steps_of(ending: Termination) -> list[tuple[str, int, int]]:
    return [(step.what, step.at_ms - 1_000_000, step.process_count) for step in ending.steps]


def test_a_tree_is_asked_and_after_its_grace_killed_and_each_step_is_told() -> None:
    tree, clock = StubbornTree(2), SetClock()
    ending = Termination("stopped", tree, clock, kills_tree=True, grace_seconds=3)
    assert (tree.asked, ending.due_at) == (["ask all"], 8)
    clock.elapsed = 7.9
    ending.advance()
    assert tree.asked == ["ask all"]
    clock.elapsed = 8
    ending.advance()
    assert (tree.asked, ending.is_done) == (["ask all", "kill all"], False)
    assert 8 < ending.due_at < 8.01, "a killed tree is gone soon"
    clock.elapsed = ending.due_at
    ending.advance()
    ending.advance()
    assert (ending.is_done, ending.survivors) == (True, 0)
    assert steps_of(ending) == [
        ("stop requested", 5000, 2),
        ("SIGTERM to the process tree", 5000, 2),
        ("SIGKILL to the process tree", 8000, 2),
        ("verified", 8002, 0),
    ]


def test_what_cannot_be_killed_is_tried_less_and_less_often_and_told_as_a_survivor() -> None:
    tree, clock = StubbornTree(1_000_000), SetClock()
    ending = Termination("timeout", tree, clock, kills_tree=True, grace_seconds=1)
    clock.elapsed = ending.due_at
    looks = []
    while not ending.is_done:
        ending.advance()
        looks.append(ending.due_at - clock.elapsed)
        clock.elapsed = max(clock.elapsed, ending.due_at)
    assert looks[0] < looks[1]
    assert max(looks) <= 0.1
    assert 100 < tree.asked.count("kill all") < 130
    assert ending.survivors == 2
    assert steps_of(ending)[0] == ("timeout", 5000, 2)
    assert steps_of(ending)[-1][::2] == ("verified", 2)
    assert 16_000 <= steps_of(ending)[-1][1] <= 16_100


def test_a_tree_is_killed_however_long_the_machine_slept_after_it_was_asked() -> None:
    """The clock runs on in that time, and so does the grace; nothing was tried yet that one could give up."""
    tree, clock = StubbornTree(2), SetClock()
    ending = Termination("stopped", tree, clock, kills_tree=True, grace_seconds=3)
    clock.elapsed += 3600
    ending.advance()
    assert (tree.asked, ending.is_done) == (["ask all", "kill all"], False)
    clock.elapsed = ending.due_at
    ending.advance()
    ending.advance()
    assert (ending.is_done, ending.survivors) == (True, 0)


def test_of_a_script_whose_tree_is_to_live_the_main_process_alone_is_ended() -> None:
    tree, clock = StubbornTree(1), SetClock()
    ending = Termination("stopped", tree, clock, kills_tree=False, grace_seconds=0)
    ending.advance()
    ending.advance()
    assert tree.asked == [signal.SIGTERM, signal.SIGKILL]
    assert (ending.is_done, ending.survivors) == (True, 0)
    assert [(what, count) for what, _, count in steps_of(ending)] == [
        ("stop requested", 1),
        ("SIGTERM to the main process", 1),
        ("SIGKILL to the main process", 1),
        ("verified", 0),
    ]


def test_who_is_to_live_is_not_waited_for() -> None:
    class Leaving(StubbornTree):
        def is_empty(self) -> bool:
            return False

        def signal_main(self, number: int) -> int:
            self.main_status = number
            return 1

    ending = Termination("stopped", Leaving(0), SetClock(), kills_tree=False, grace_seconds=9)
    ending.advance()
    assert (ending.is_done, ending.survivors) == (True, 0)
    assert steps_of(ending)[-1][::2] == ("verified", 2)


def test_a_main_process_that_withstands_is_the_one_survivor() -> None:
    tree, clock = StubbornTree(1_000_000), SetClock()
    ending = Termination("stopped", tree, clock, kills_tree=False, grace_seconds=0)
    while not ending.is_done:
        ending.advance()
        clock.elapsed = max(clock.elapsed, ending.due_at)
    assert ending.survivors == 1
