"""A long run whose load has died does not pass."""

import pytest
from faults.effort import Effort, failures_of
from faults.watch import Watch

from harness.eventually import eventually


def test_an_effort_that_ends_with_an_error_is_a_failure_of_the_run(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        raise KeyError("t-1")

    efforts = [Effort("asking", fail), Effort("stopping", lambda: None)]
    for one in efforts:
        one.start()
    for one in efforts:
        one.join()

    assert failures_of(efforts) == ["ENDED EARLY: asking: KeyError('t-1')"]
    assert "in fail" in capfd.readouterr().err


def test_a_watch_that_can_no_longer_look_is_a_failure_of_the_run() -> None:
    def fail() -> dict[str, float]:
        raise FileNotFoundError("/proc/1/smaps")

    watch = Watch(fail, every_seconds=0.01)
    watch.start()
    eventually(watch.failures, what="the watch has failed")
    watch.stop()
    assert watch.failures()[0].startswith("ENDED EARLY: watching: FileNotFoundError")
