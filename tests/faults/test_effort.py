"""A long run whose load has died does not pass."""

import pytest
from faults.effort import Effort, failures_of


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
