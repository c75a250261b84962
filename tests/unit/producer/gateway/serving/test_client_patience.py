"""A client that keeps to the least rate is waited for, one that does not is given up in time."""

import pytest

from cloud_assistant.producer.gateway.serving.client_patience import (
    LEAST_BYTES_PER_SECOND,
    STALLED_SECONDS,
    ClientPatience,
)

CHUNK_BYTES = 128 * 1024


def seconds_until_given_up(bytes_per_second: float, most_seconds: int) -> float:
    """Have a client that always has something to take, at a steady rate; one look a second."""
    patience = ClientPatience()
    patience.begin(0, 0)
    for now in range(1, most_seconds):
        if patience.look(int(bytes_per_second * now), now) <= 0:
            return now
    return most_seconds


def test_who_takes_nothing_is_given_up_after_the_time_for_a_pause() -> None:
    assert seconds_until_given_up(0, 1000) == STALLED_SECONDS


@pytest.mark.parametrize("bytes_per_second", [LEAST_BYTES_PER_SECOND, 20_000, 10**9])
def test_who_keeps_to_the_least_rate_is_waited_for(bytes_per_second: int) -> None:
    assert seconds_until_given_up(bytes_per_second, 10_000) == 10_000


def test_who_stays_below_the_least_rate_is_given_up_however_steadily_it_takes() -> None:
    assert seconds_until_given_up(LEAST_BYTES_PER_SECOND / 2, 10_000) == pytest.approx(2 * STALLED_SECONDS, abs=2)


def test_a_pause_is_made_good_by_what_is_taken_after_it() -> None:
    patience = ClientPatience()
    patience.begin(0, 0)
    assert patience.look(0, STALLED_SECONDS - 1) == 1
    assert patience.look(CHUNK_BYTES, STALLED_SECONDS - 1) == pytest.approx(1 + CHUNK_BYTES / LEAST_BYTES_PER_SECOND)


def test_who_takes_much_at_once_and_then_pauses_is_judged_by_the_average() -> None:
    patience = ClientPatience()
    taken_bytes = 0
    for now in range(0, 3000, 30):
        # The first two pieces go without waiting, the third one waits for half a minute.
        taken_bytes += 2 * CHUNK_BYTES
        patience.begin(taken_bytes, now)
        taken_bytes += CHUNK_BYTES
        assert patience.look(taken_bytes, now + 30) > 0


def test_much_that_is_taken_at_once_saves_up_no_more_than_one_pause() -> None:
    patience = ClientPatience()
    patience.begin(0, 0)
    assert patience.look(10**9, 1) == STALLED_SECONDS


def test_time_passes_only_while_something_waits() -> None:
    patience = ClientPatience()
    patience.begin(0, 0)
    assert patience.look(10, 30) == pytest.approx(STALLED_SECONDS - 30, abs=0.01)
    assert patience.begin(10, 1000) == pytest.approx(STALLED_SECONDS - 30, abs=0.01)
