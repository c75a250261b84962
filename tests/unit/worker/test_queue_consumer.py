"""How often an agent tries to reach its queue, and what it says of it."""

import logging
import time

import pytest
from celery.exceptions import InvalidTaskError

from cloud_assistant.broker_config.errors import RedisRefused, RedisUnreachable
from cloud_assistant.broker_config.messages import RUN_COMMAND_TASK
from cloud_assistant.broker_config.redis_url import parse_url
from cloud_assistant.worker.backoff import Backoff
from cloud_assistant.worker.queue_consumer import QueueConsumer
from cloud_assistant.worker.queue_line import QueueLine


@pytest.fixture
def consumer() -> QueueConsumer:
    """What a lost connection needs of it; the whole one is made by Celery's worker."""
    made: QueueConsumer = QueueConsumer.__new__(QueueConsumer)
    made.line = QueueLine(parse_url("redis://127.0.0.1:1/0"), name="a test")
    made._backoff = Backoff()
    made._is_told_lost = False
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


class Message:
    """As the transport hands it on."""

    def __init__(self, task: str) -> None:
        self.headers = {"task": task}
        self.acknowledged_count = 0

    def ack(self) -> None:
        self.acknowledged_count += 1


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
