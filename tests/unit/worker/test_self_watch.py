from collections.abc import Iterator

import pytest

from cloud_assistant.worker.self_watch import Advice, SelfWatch, Usage, own_usage


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


@pytest.mark.parametrize("used", [[Usage(10**12, 0)] * 9, [Usage(0, 10.0 * number) for number in range(1, 10)]])
def test_no_limit_means_none(used: list[Usage]) -> None:
    assert set(looks(used, memory_limit_bytes=0, cpu_limit_percent=0)) == {Advice.NOTHING}


def test_this_process_is_measured() -> None:
    used = own_usage()

    assert 1_000_000 < used.memory_bytes < 10_000_000_000
    assert used.processor_seconds > 0
