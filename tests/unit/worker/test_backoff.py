import random

from cloud_assistant.worker.backoff import Backoff


def test_waits_double_up_to_a_limit_and_begin_anew() -> None:
    backoff = Backoff(first_seconds=1)
    waits = [backoff.next_seconds() for _ in range(5)]

    for wait, most in zip(waits, (1, 2, 4, 5, 5), strict=True):
        assert most / 2 <= wait <= most
    backoff.reset()
    assert 0.5 <= backoff.next_seconds() <= 1


def test_no_two_agents_return_in_step() -> None:
    assert len({Backoff().next_seconds() for _ in range(10)}) > 1


def test_numbers_that_others_draw_from_their_seed_stay_the_same() -> None:
    before = random.getstate()

    Backoff().next_seconds()

    assert random.getstate() == before
