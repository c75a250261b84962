import queue
import threading
from collections.abc import Callable
from functools import partial

import pytest

from cloud_assistant.worker.slots import Slots
from harness.eventually import eventually


def test_no_more_than_the_given_number_run_at_once() -> None:
    slots, gate = Slots(3), threading.Event()
    lock, running, most = threading.Lock(), 0, 0

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        gate.wait(5)
        with lock:
            running -= 1

    for _ in range(10):
        slots.submit(work)
    eventually(lambda: running == 3, 5)

    assert (slots.free_count, slots.waiting_count) == (0, 7)
    gate.set()
    eventually(lambda: slots.free_count == 3 and running == 0, 5)
    assert most == 3


def test_one_thread_serves_executions_that_come_one_by_one() -> None:
    slots = Slots(10)
    seen: list[int] = []
    for _ in range(5):
        before = len(seen)
        slots.submit(lambda: seen.append(threading.get_ident()))
        eventually(partial(lambda count: len(seen) > count and slots.free_count == 10, before), 5)

    assert len(set(seen)) == 1


def test_a_slot_survives_what_fails_in_it(caplog: pytest.LogCaptureFixture) -> None:
    slots, done = Slots(1), threading.Event()

    def fail() -> None:
        raise RuntimeError("planned")

    slots.submit(fail)
    slots.submit(done.set)

    assert done.wait(5)
    assert "planned" in caplog.text


class _SlowToWake(queue.SimpleQueue[Callable[[], None]]):
    """Holds a thread that takes its next piece of work for a while, as a busy interpreter does."""

    woken, may_go_on = threading.Event(), threading.Event()

    def get(self, block: bool = True, timeout: float | None = None) -> Callable[[], None]:
        work = super().get(block, timeout)
        self.woken.set()
        self.may_go_on.wait(20)
        return work


def test_work_does_not_wait_behind_a_thread_that_is_just_waking_for_other_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "SimpleQueue", _SlowToWake)
    slots, first, second = Slots(2), threading.Event(), threading.Event()
    slots.submit(lambda: None)
    eventually(lambda: slots.free_count == 2, 5)

    # The idle thread takes the first piece, and has not come further when the second is submitted.
    slots.submit(first.set)
    assert _SlowToWake.woken.wait(5)
    slots.submit(second.set)

    try:
        assert second.wait(5)
        assert not first.is_set()
    finally:
        _SlowToWake.may_go_on.set()
    assert first.wait(5)


def test_the_thread_that_worked_last_is_given_the_next() -> None:
    slots, gates = Slots(3), [threading.Event() for _ in range(3)]
    threads: list[int] = []

    def work(gate: threading.Event) -> None:
        gate.wait(5)
        threads.append(threading.get_ident())

    for gate in gates:
        slots.submit(partial(work, gate))
    for count, gate in enumerate((gates[1], gates[2], gates[0]), 1):
        gate.set()
        eventually(partial(lambda count: slots.free_count == count, count), 5)

    for _ in range(4):
        slots.submit(partial(work, gates[0]))
        eventually(lambda: slots.free_count == 3, 5)

    assert threads[3:] == [threads[2]] * 4


def test_what_waits_is_dropped_and_a_free_slot_still_works() -> None:
    slots, gate, done = Slots(2), threading.Event(), threading.Event()
    late: list[int] = []

    def occupy() -> None:
        gate.wait(5)

    for _ in range(2):
        slots.submit(occupy)
    slots.submit(lambda: late.append(1))

    slots.drop_waiting()
    slots.submit(lambda: late.append(2))
    gate.set()
    eventually(lambda: slots.free_count == 2, 5)
    slots.submit(done.set)

    assert done.wait(5)
    assert (late, slots.waiting_count) == ([], 0)


def refuse_threads(_: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


def test_work_for_which_no_thread_can_be_started_waits_and_costs_no_slot(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    slots, gate, done = Slots(2), threading.Event(), threading.Event()

    def occupy() -> None:
        gate.wait(5)

    slots.submit(occupy)
    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", refuse_threads)
        slots.submit(done.set)
    assert (slots.free_count, slots.waiting_count, slots.has_room) == (1, 1, False)
    assert "can't start new thread" in caplog.text
    gate.set()
    assert done.wait(5)
    both = threading.Barrier(2)

    def meet() -> None:
        both.wait(5)

    for _ in range(2):
        slots.submit(meet)
    eventually(lambda: slots.free_count == 2, 5)
    assert not both.broken


def test_slots_of_which_not_one_thread_can_be_started_are_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    slots = Slots(2)
    with monkeypatch.context() as crowded:
        crowded.setattr(threading.Thread, "start", refuse_threads)
        with pytest.raises(RuntimeError, match="new thread"):
            slots.start()
    slots.start()
    eventually(lambda: slots.free_count == 2, 5)
