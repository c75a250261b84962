import threading
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
