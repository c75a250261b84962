"""Redis' clock between two readings, whatever the local wall clock does."""

import pytest

from cloud_assistant.beat import server_clock
from cloud_assistant.beat.server_clock import ServerClock


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(server_clock, "monotonic_seconds", lambda: now[0])
    return now


def reply(seconds: float) -> list[bytes]:
    whole = int(seconds)
    return [str(whole).encode(), str(round((seconds - whole) * 1e6)).encode()]


def test_it_runs_on_between_readings_and_is_never_ahead(monotonic: list[float]) -> None:
    clock = ServerClock()
    assert not clock.is_known
    clock.note(reply(5000.0), 99.9, 100.0)
    assert clock.is_known
    # Redis read its clock somewhere between 99.9 and 100.0: the later moment is the safe one.
    assert clock.now_ms() == 5_000_000
    monotonic[0] = 101.5
    assert clock.now_ms() == 5_001_500
    assert clock.seconds_until(5_002_000) == pytest.approx(0.5)
    assert clock.seconds_until(5_000_000) == 0


def test_a_quick_reading_narrows_what_a_slow_one_left_open(monotonic: list[float]) -> None:
    clock = ServerClock()
    clock.note(reply(5000.0), 99.0, 100.0)
    clock.note(reply(5000.5), 100.0, 100.001)
    assert clock.now_ms() == pytest.approx(5_000_499, abs=2)
    # A slow reading after it does not widen it again.
    clock.note(reply(5000.8), 100.0, 100.9)
    assert clock.now_ms() == pytest.approx(5_000_499, abs=2)


def test_what_was_known_long_ago_is_trusted_less(monotonic: list[float]) -> None:
    clock = ServerClock()
    clock.note(reply(5000.0), 99.9, 100.0)
    # Redis' clock has fallen behind by 0.15 s in a thousand, which this slow reading leaves open.
    monotonic[0] = 1100.0
    clock.note(reply(5999.85), 1099.8, 1100.0)
    assert clock.now_ms() == pytest.approx(5_999_850, abs=1)


@pytest.mark.parametrize("step", [3600.0, 0.5, -0.5, -3600.0])
def test_a_step_of_redis_own_clock_is_followed_at_once(monotonic: list[float], step: float) -> None:
    clock = ServerClock()
    clock.note(reply(5000.0), 99.99, 100.0)
    monotonic[0] = 101.0
    # Never ahead: what is known anew is as old as the reading may be.
    clock.note(reply(5001.0 + step), 100.9, 101.0)
    assert clock.now_ms() == pytest.approx(5_001_000 + step * 1000, abs=2)
