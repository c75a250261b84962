import contextlib
import os
from pathlib import Path

import pytest

from cloud_assistant.worker.execution.channel import Channel, Kind
from harness.descriptors import no_descriptor_left


def test_messages_arrive_whole_and_in_order(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    ours.send(Kind.STOP)
    ours.send(Kind.PLAN, b"body")
    assert theirs.receive() == (Kind.STOP, b"", [])
    assert theirs.receive() == (Kind.PLAN, b"body", [])


def test_a_message_of_any_size_arrives(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    for size in (48 * 1024, 48 * 1024 + 1, 5_000_000):
        body = os.urandom(size)
        ours.send(Kind.ENDED, body)
        assert theirs.receive() == (Kind.ENDED, body, [])


def test_a_descriptor_travels_beside_a_small_and_a_large_body(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    for body in (b"small", b"x" * 100_000):
        reader, writer = os.pipe()
        ours.send(Kind.PLAN, body, (reader,))
        os.close(reader)
        message = theirs.receive()
        assert message is not None
        assert message.body == body
        [received] = message.fds
        os.write(writer, b"through")
        assert os.read(received, 10) == b"through"
        assert not os.get_inheritable(received)
        os.close(received)
        os.close(writer)


def test_no_descriptor_is_left_open(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        ours.send(Kind.ENDED, b"x" * 100_000)
        theirs.receive()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("room_count", [0, 1])
def test_a_message_for_which_no_descriptor_is_left_is_an_error_and_leaves_none_open(
    ends: tuple[Channel, Channel], room_count: int
) -> None:
    """Else one descriptor would be taken for the other, and what it holds for the body."""
    ours, theirs = ends
    reader, writer = os.pipe()
    before = len(list(Path("/proc/self/fd").iterdir()))
    ours.send(Kind.PLAN, b"x" * 100_000, (reader,))
    with pytest.raises(OSError, match="Too many open files"), no_descriptor_left(room_count):
        theirs.receive()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    os.close(reader)
    os.close(writer)
    ours.send(Kind.STOP)
    assert theirs.receive() == (Kind.STOP, b"", [])


def test_sending_to_somebody_who_does_not_read_fails_at_once_and_sends_nothing(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    sent_count = 0
    with contextlib.suppress(BlockingIOError):
        for sent_count in range(10_000):  # noqa: B007 - how often it worked before it failed
            ours.send(Kind.OUTPUT, b"x" * 8192, wait=False)
    assert 0 < sent_count < 9_999
    for _ in range(sent_count):
        message = theirs.receive(wait=False)
        assert message is not None
        assert len(message.body) == 8192
    with pytest.raises(BlockingIOError):
        theirs.receive(wait=False)


def test_the_end_of_the_other_side_comes_after_its_last_words(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    ours.send(Kind.ENDED, b"bye")
    theirs.send(Kind.STOP)
    ours.close()  # with the stop unread, which the kernel reports to the other side as a reset
    assert theirs.receive() == (Kind.ENDED, b"bye", [])
    assert theirs.receive() is None
    with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe, both mean gone
        theirs.send(Kind.STOP)
