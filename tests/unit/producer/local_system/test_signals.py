"""Signals as values."""

import os
import signal
from collections.abc import Iterator

import pytest

from cloud_assistant.broker_config.clock import monotonic_seconds
from cloud_assistant.producer.local_system.signals import SignalInbox


@pytest.fixture(autouse=True)
def quiet_hangup() -> Iterator[None]:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_each_of_the_three_asks_for_the_end_and_cuts_a_wait_short(number: signal.Signals) -> None:
    with SignalInbox() as inbox:
        assert not inbox.asked_to_end
        send(number)
        start = monotonic_seconds()
        inbox.wait(20)
        assert monotonic_seconds() - start < 5
        assert inbox.asked_to_end
        assert not inbox.insisted


def test_a_second_ctrl_c_insists() -> None:
    with SignalInbox() as inbox:
        send(signal.SIGINT)
        send(signal.SIGINT)
        assert inbox.insisted


def test_a_closed_terminal_that_sends_two_kinds_does_not_insist() -> None:
    with SignalInbox() as inbox:
        send(signal.SIGHUP)
        send(signal.SIGTERM)
        assert inbox.asked_to_end
        assert not inbox.insisted


def test_the_end_of_a_child_wakes_and_asks_for_nothing() -> None:
    with SignalInbox() as inbox:
        send(signal.SIGCHLD)
        start = monotonic_seconds()
        inbox.wait(20)
        assert monotonic_seconds() - start < 5
        assert not inbox.asked_to_end


def test_a_hangup_that_was_turned_off_stays_off() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with SignalInbox() as inbox:
        send(signal.SIGHUP)
        assert not inbox.asked_to_end


def test_the_handlers_from_before_are_back_afterwards() -> None:
    before = signal.getsignal(signal.SIGINT)
    with SignalInbox():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
