import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from cloud_assistant.broker_config.clock import monotonic_seconds
from cloud_assistant.worker.in_hand import InHand


class Script:
    def __init__(self) -> None:
        self.stop_count = 0

    def stop(self) -> None:
        self.stop_count += 1


def test_an_execution_is_in_one_hand_only() -> None:
    table = InHand()

    assert table.enter("a")
    assert not table.enter("a")
    table.leave("a")
    assert table.enter("a")


def test_a_running_script_is_stopped_at_once() -> None:
    table, script = InHand(), Script()
    table.enter("a")
    table.attach("a", script)

    assert table.stop("a")
    assert script.stop_count == 1


def test_a_stop_that_comes_before_the_start_is_kept() -> None:
    table, script = InHand(), Script()
    table.enter("a")

    assert table.stop("a")
    assert table.stop_wanted("a")
    table.attach("a", script)
    assert script.stop_count == 1


def test_what_is_not_in_hand_cannot_be_stopped() -> None:
    assert not InHand().stop("a")


def test_only_started_scripts_count_as_running() -> None:
    table = InHand()
    table.enter("a")
    table.enter("b")
    table.attach("b", Script())

    assert (len(table), table.running_count) == (2, 1)


def test_who_waits_for_the_start_of_everything_is_told_how_much_has_not() -> None:
    table = InHand()
    assert table.wait_until_started(5) == 0
    for name in ("a", "b", "c"):
        table.enter(name)
    assert table.wait_until_started(0) == 3

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(table.wait_until_started, 5)
        table.attach("a", Script())
        table.attach("b", Script())
        table.leave("c")
        assert waiting.result() == 0


@pytest.mark.parametrize("begins", [False, True], ids=["it is let go of", "it begins"])
def test_who_waits_for_what_has_not_begun_is_told_at_once(begins: bool) -> None:
    table, began_seconds = InHand(), monotonic_seconds()
    table.enter("t-1")
    go_on = partial(table.attach, "t-1", Script()) if begins else partial(table.leave, "t-1")
    threading.Timer(0.05, go_on).start()
    assert table.wait_until_started(10) == 0
    assert monotonic_seconds() - began_seconds < 8
