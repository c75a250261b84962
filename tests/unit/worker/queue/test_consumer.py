"""How often an agent tries to reach its queue, and what it says of it."""

import logging
import threading
import time
from collections.abc import Callable

import pytest
from celery.exceptions import InvalidTaskError
from celery.worker.consumer import Consumer
from kombu.exceptions import OperationalError

from cloud_assistant.broker_config.errors import RedisRefused, RedisUnreachable
from cloud_assistant.broker_config.messages import RUN_COMMAND_TASK
from cloud_assistant.broker_config.redis.url import parse_url
from cloud_assistant.worker.backoff import Backoff
from cloud_assistant.worker.queue.consumer import QueueConsumer
from cloud_assistant.worker.queue.line import QueueLine


@pytest.fixture
def consumer() -> QueueConsumer:
    """What a lost connection needs of it; the whole one is made by Celery's worker."""
    made: QueueConsumer = QueueConsumer.__new__(QueueConsumer)
    made.line = QueueLine(parse_url("redis://127.0.0.1:1/0"), name="a test")
    made._backoff = Backoff()
    made._is_told_lost = made._is_told_away = False
    return made


def test_a_queue_that_lets_us_sign_in_and_not_wait_is_tried_less_and_less_often(
    consumer: QueueConsumer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="cloud_assistant.queue")
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    for _ in range(8):
        consumer.on_connection_error_before_connected(RedisRefused("NOPERM no right to wait"))
    assert len(slept) == 8
    assert slept[0] <= 0.1
    assert slept[-1] >= 2.5
    assert len(caplog.messages) == 1

    # One that has served us is asked again at once.
    consumer.line.has_answered = True
    consumer.on_connection_error_before_connected(RedisUnreachable("away"))
    assert len(slept) == 8
    assert len(caplog.messages) == 2
    consumer.line.has_answered = False
    consumer.on_connection_error_before_connected(RedisUnreachable("away"))
    assert slept[-1] <= 0.1, "the troubles of before are forgotten"
    assert len(caplog.messages) == 2


def test_a_loss_in_the_middle_of_work_is_told_and_what_celery_does_is_done(
    consumer: QueueConsumer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="cloud_assistant.queue")
    closed: list[BaseException] = []
    monkeypatch.setattr(Consumer, "on_connection_error_after_connected", lambda _, exc: closed.append(exc))
    consumer.line.has_answered = True
    consumer.on_connection_error_after_connected(RedisUnreachable("away"))
    assert caplog.messages == ["connection of the queue was lost: away"]
    assert len(closed) == 1


class Away:
    """A connection that can be made after so many tries."""

    def __init__(self, failures_count: int) -> None:
        self.failures_count = failures_count

    def ensure_connection(self, *, max_retries: int) -> None:
        assert max_retries == 0, "waiting is ours"
        if self.failures_count:
            self.failures_count -= 1
            raise OperationalError("away")


def test_a_queue_that_is_away_for_long_is_told_once_and_so_is_its_return(
    consumer: QueueConsumer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="cloud_assistant.queue")
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    away = "queue cannot be reached; trying again until it can: away"
    for failures_count, told in ((0, []), (8, [away, "queue is reached again"]), (0, [])) * 2:
        caplog.clear()
        slept.clear()
        connection = Away(failures_count)
        assert consumer.ensure_connected(connection) is connection
        assert caplog.messages == told
        assert len(slept) == failures_count
        assert not slept or slept[-1] >= 2.5, "less and less often"


def test_a_consumer_that_leaves_connects_no_more(consumer: QueueConsumer, monkeypatch: pytest.MonkeyPatch) -> None:
    rests_count = 0

    def rest(_: float) -> None:
        nonlocal rests_count
        rests_count += 1
        consumer.line.has_left = rests_count < 3

    monkeypatch.setattr(time, "sleep", rest)
    consumer.line.has_left = True
    consumer.ensure_connected(Away(0))
    assert rests_count == 3


class Message:
    """As the transport hands it on."""

    def __init__(self, task: str) -> None:
        self.headers = {"task": task}
        self.acknowledged_count = 0

    def ack(self) -> None:
        self.acknowledged_count += 1

    def ack_log_error(self, *_: object) -> None:
        self.ack()


def test_only_our_own_task_is_taken_whatever_its_arguments(
    consumer: QueueConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    taken: list[Message] = []
    consumer.strategies = {RUN_COMMAND_TASK: lambda message, *_: taken.append(message)}
    on_message = consumer.create_task_handler()
    messages = [Message(task) for task in ("celery.chord", RUN_COMMAND_TASK)]
    for message in messages:
        on_message(message)
    assert taken == messages[1:]
    assert [one.acknowledged_count for one in messages] == [1, 0]
    assert "no task of ours: 'celery.chord'" in caplog.text


def test_a_message_that_its_strategy_refuses_is_dropped_and_ends_nothing(
    consumer: QueueConsumer, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise InvalidTaskError("arguments must be " + "x" * 1000)

    consumer.strategies = {RUN_COMMAND_TASK: refuse}
    message = Message(RUN_COMMAND_TASK)
    consumer.create_task_handler()(message)
    assert message.acknowledged_count == 1
    [line] = caplog.messages
    assert "dropped a message: arguments must be" in line
    assert len(line) < 300


def test_a_message_is_acknowledged_at_once_by_the_loops_own_thread_and_handed_to_it_by_others(
    consumer: QueueConsumer,
) -> None:
    taken: list[Callable[[], None]] = []
    handed_on: list[object] = []
    consumer.strategies = {RUN_COMMAND_TASK: lambda _message, _body, ack, *_: taken.append(ack)}
    consumer.call_soon_ack = lambda *given: handed_on.append(given)
    message = Message(RUN_COMMAND_TASK)
    consumer.create_task_handler()(message)
    taken[0]()
    assert (message.acknowledged_count, handed_on) == (1, [])
    other = threading.Thread(target=taken[0])
    other.start()
    other.join()
    assert (message.acknowledged_count, len(handed_on)) == (1, 1)
