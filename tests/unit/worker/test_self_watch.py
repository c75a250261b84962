import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_assistant.worker.self_watch import Advice, SelfWatch, Usage, own_usage, step_back


def looks(used: list[Usage], *, memory_limit_bytes: int = 100, cpu_limit_percent: int = 50) -> list[Advice]:
    """What each look says, ten seconds apart, when the process has used this by then."""
    measured: Iterator[Usage] = iter([Usage(0, 0.0), *used])
    seconds = iter(range(0, 10 * (len(used) + 1), 10))
    watch = SelfWatch(
        memory_limit_bytes=memory_limit_bytes,
        cpu_limit_percent=cpu_limit_percent,
        measure=lambda: next(measured),
        clock=lambda: float(next(seconds)),
    )
    return [watch.look() for _ in used]


def test_memory_over_the_limit_for_three_looks_asks_for_a_restart() -> None:
    assert looks([Usage(101, 0)] * 3) == [Advice.NOTHING, Advice.NOTHING, Advice.RESTART]


def test_a_burst_of_memory_is_forgiven() -> None:
    assert looks([Usage(101, 0), Usage(101, 0), Usage(99, 0), Usage(101, 0)]) == [Advice.NOTHING] * 4


def test_a_busy_agent_steps_back_once() -> None:
    busy = [Usage(1, 6.0 * number) for number in range(1, 10)]

    assert looks(busy) == [Advice.NOTHING] * 5 + [Advice.STEP_BACK] + [Advice.NOTHING] * 3


def test_a_burst_of_work_is_forgiven() -> None:
    """Five looks at more than half a processor, one at none, and five more."""
    seconds = [*range(6, 36, 6), 30, *range(36, 66, 6)]

    assert looks([Usage(1, float(one)) for one in seconds]) == [Advice.NOTHING] * 11


@pytest.mark.parametrize("used", [[Usage(10**12, 0)] * 9, [Usage(0, 10.0 * number) for number in range(1, 10)]])
def test_no_limit_means_none(used: list[Usage]) -> None:
    assert set(looks(used, memory_limit_bytes=0, cpu_limit_percent=0)) == {Advice.NOTHING}


def test_this_process_is_measured() -> None:
    used = own_usage()

    [resident] = re.findall(r"^VmRSS:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert used.memory_bytes == pytest.approx(int(resident) * 1024, rel=0.1)
    assert used.processor_seconds == pytest.approx(time.process_time(), rel=0.1)


def test_all_of_the_process_steps_back_and_what_cannot_be_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lowered: list[int] = []
    goes_on = threading.Event()
    thread = threading.Thread(target=goes_on.wait)
    thread.start()

    def set_priority(_which: int, who: int, niceness: int) -> None:
        assert niceness > 0
        lowered.append(who)

    def refuse(*_: int) -> None:
        raise PermissionError("no")

    try:
        monkeypatch.setattr(os, "setpriority", set_priority)
        step_back()
        assert {threading.get_native_id(), thread.native_id} <= set(lowered)
        assert caplog.messages == []
        monkeypatch.setattr(os, "setpriority", refuse)
        step_back()
        assert caplog.messages == ["cannot step back: no"]
    finally:
        goes_on.set()
        thread.join()
