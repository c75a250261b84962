"""Our transport of kombu against a real server and kombu's own producers."""

import json
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from celery import Celery
from integration.queue.conftest import QUEUE, waiting_clients
from kombu.asynchronous import Hub
from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.messaging import Consumer

from cloud_assistant.broker_config.errors import RedisRefused, RedisUnreachable
from cloud_assistant.broker_config.messages import RUN_COMMAND_TASK
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.task_message import fill, template
from cloud_assistant.worker.queue import transport as queue_transport
from cloud_assistant.worker.queue.line import LATE_SECONDS, WAIT_SECONDS, QueueLine
from cloud_assistant.worker.queue.transport import QueueTransport
from harness.eventually import eventually
from harness.redis_server import RedisServer

Open = Callable[..., "Taking"]


class Taking:
    """A consumer of the queue and what it was given."""

    def __init__(self, line: QueueLine, prefetch_count: int = 0) -> None:
        self.messages: list[Any] = []
        self.connection = Connection("queue", transport=QueueTransport, transport_options={"line": line})  # type: ignore[no-untyped-call]
        queue = Queue(QUEUE, Exchange(""), routing_key=QUEUE, no_declare=True)  # type: ignore[no-untyped-call]
        self.consumer = Consumer(self.connection, queue, on_message=self.messages.append, accept=["json"])  # type: ignore[no-untyped-call]
        self.consumer.qos(prefetch_count=prefetch_count)  # type: ignore[no-untyped-call]
        self.consumer.consume()  # type: ignore[no-untyped-call]

    def next(self, timeout_seconds: float = 5) -> Any:
        self.connection.drain_events(timeout=timeout_seconds)  # type: ignore[no-untyped-call]
        return self.messages[-1]

    def watched_by(self, hub: Hub) -> None:
        hub.propagate_errors = self.connection.connection_errors
        self.connection.register_with_event_loop(hub)  # type: ignore[no-untyped-call]


@pytest.fixture
def take(line: QueueLine) -> Iterator[Open]:
    """Consume from the test's own server."""
    opened: list[Taking] = []

    def start(prefetch_count: int = 0) -> Taking:
        opened.append(Taking(line, prefetch_count))
        return opened[-1]

    yield start
    for one in opened:
        one.connection.release()  # type: ignore[no-untyped-call]


@pytest.fixture
def hub() -> Iterator[Hub]:
    """Kombu's event loop."""
    made = Hub()  # type: ignore[no-untyped-call]
    yield made
    made.close()  # type: ignore[no-untyped-call]


def ours(name: str) -> str:
    return fill(template("token", "test"), name)


def test_what_an_ordinary_celery_producer_sends_is_taken(take: Open, redis_server: RedisServer) -> None:
    taking = take()
    with Celery("producer", broker=redis_server.url(), set_as_current=False) as app:
        app.send_task(RUN_COMMAND_TASK, args=["t-1.0@i-one", "token"], queue=QUEUE, ignore_result=True)

    message = taking.next()

    assert message.headers["task"] == RUN_COMMAND_TASK
    assert message.decode()[0] == ["t-1.0@i-one", "token"]


def test_messages_come_in_the_order_in_which_they_were_sent(take: Open, producer: Redis) -> None:
    taking = take()
    names = [f"t-{number}.0@i-one" for number in range(5)]
    for name in names:
        producer.call("LPUSH", QUEUE, ours(name))

    assert [taking.next().headers["id"] for _ in names] == names
    assert producer.call("LLEN", QUEUE) == 0


def test_no_more_is_taken_than_agreed_until_one_is_acknowledged(take: Open, producer: Redis) -> None:
    taking = take(prefetch_count=2)
    for number in range(4):
        producer.call("LPUSH", QUEUE, ours(f"t-{number}.0@i-one"))
    first = taking.next()
    taking.next()
    with pytest.raises(TimeoutError):
        taking.next(0.2)
    assert producer.call("LLEN", QUEUE) == 2
    assert waiting_clients(producer) == []

    first.ack()

    assert taking.next().headers["id"] == "t-2.0@i-one"
    assert producer.call("LLEN", QUEUE) == 1


def test_copies_of_a_message_count_each(take: Open, producer: Redis) -> None:
    taking = take(prefetch_count=2)
    producer.call("LPUSH", QUEUE, *[ours("t-1.0@i-one")] * 3)
    taking.next()
    taking.next()
    with pytest.raises(TimeoutError):
        taking.next(0.2)
    assert producer.call("LLEN", QUEUE) == 1


@pytest.mark.parametrize("damaged", [b"", b"{}", b"\xff\x00", b'{"headers": {}, "properties": []}'])
def test_what_is_no_message_is_dropped_and_the_next_one_is_taken(
    take: Open, producer: Redis, caplog: pytest.LogCaptureFixture, damaged: bytes
) -> None:
    taking = take(prefetch_count=1)
    producer.call("LPUSH", QUEUE, damaged)
    producer.call("LPUSH", QUEUE, ours("t-1.0@i-one"))

    assert taking.next().headers["id"] == "t-1.0@i-one"
    assert caplog.text.count("cannot be read") == 1


def test_an_event_loop_asks_hears_and_acknowledges(take: Open, producer: Redis, hub: Hub) -> None:
    taking = take(prefetch_count=1)
    taking.watched_by(hub)
    for number in range(3):
        producer.call("LPUSH", QUEUE, ours(f"t-{number}.0@i-one"))

    def turned(count: int) -> bool:
        hub.run_once()  # type: ignore[no-untyped-call]
        return len(taking.messages) == count

    for count in (1, 2, 3):
        eventually(partial(turned, count), 5, "the next message")
        taking.messages[-1].ack()
    assert [json.loads(one.body)[0][0] for one in taking.messages] == [f"t-{number}.0@i-one" for number in range(3)]


def test_a_lost_connection_ends_the_turn_of_the_loop(take: Open, hub: Hub, redis_server: RedisServer) -> None:
    taking = take()
    taking.watched_by(hub)
    hub.run_once()  # type: ignore[no-untyped-call]
    redis_server.kill()

    def turn_until_it_ends() -> None:
        for _ in range(10):
            hub.run_once()  # type: ignore[no-untyped-call]

    with pytest.raises(RedisUnreachable):
        turn_until_it_ends()


def test_a_closed_connection_leaves_nothing_in_the_loop(take: Open, hub: Hub, line: QueueLine, producer: Redis) -> None:
    for _ in range(3):
        taking = take()
        taking.watched_by(hub)
        hub.run_once()  # type: ignore[no-untyped-call]
        taking.connection.release()  # type: ignore[no-untyped-call]

    assert hub.on_tick == set()
    assert hub.readers == {}
    assert [one for one in hub.timer.queue if not one.entry.canceled] == []
    eventually(lambda: not waiting_clients(producer), 5, "no connection is left")


def test_a_refusal_to_wait_is_an_error_of_the_connection(make_line: Any, redis_server: RedisServer) -> None:
    redis_server.cli("ACL", "SETUSER", "poor", "on", ">secret", "+client|setname", "~*")
    taking = Taking(make_line(redis_server.url("poor", "secret")))

    with pytest.raises(RedisRefused) as refused:
        taking.next()
    assert isinstance(refused.value, taking.connection.connection_errors)
    taking.connection.release()  # type: ignore[no-untyped-call]


def test_the_address_is_shown_without_its_password(make_line: Any, redis_server: RedisServer) -> None:
    redis_server.cli("ACL", "SETUSER", "one", "on", ">secret", "+@all", "~*")
    taking = Taking(make_line(redis_server.url("one", "secret")))

    shown = taking.connection.as_uri(include_password=True)
    assert "one@127.0.0.1" in shown
    assert "secret" not in shown + repr(taking.connection.info())  # type: ignore[no-untyped-call]
    taking.connection.release()  # type: ignore[no-untyped-call]


def test_what_comes_after_the_last_consumer_has_gone_disturbs_nobody(take: Open, producer: Redis) -> None:
    taking = take()
    with pytest.raises(TimeoutError):
        taking.next(0.1)
    taking.consumer.cancel()  # type: ignore[no-untyped-call]
    producer.call("LPUSH", QUEUE, ours("t-1.0@i-one"))
    with pytest.raises(TimeoutError):
        taking.next(0.5)
    assert taking.messages == []


@pytest.mark.parametrize("has_loop", [True, False])
def test_an_answer_that_is_overdue_ends_the_connection(
    make_line: Any, redis_server: RedisServer, hub: Hub, monkeypatch: pytest.MonkeyPatch, has_loop: bool
) -> None:
    monkeypatch.setattr(queue_transport, "_CHECK_SECONDS", 0.05)
    now = [100.0]
    taking = Taking(make_line(redis_server.url(), now=lambda: now[0]))
    with pytest.raises(TimeoutError):
        taking.next(0.1)
    if has_loop:
        taking.watched_by(hub)
    now[0] += WAIT_SECONDS + LATE_SECONDS

    def turn_until_it_ends() -> None:
        for _ in range(50):
            hub.run_once()  # type: ignore[no-untyped-call]

    with pytest.raises(RedisUnreachable, match="not answered"):
        turn_until_it_ends() if has_loop else taking.next(2)
    taking.connection.release()  # type: ignore[no-untyped-call]


def test_without_a_loop_a_full_consumer_goes_on_soon_after_it_has_room(take: Open, producer: Redis) -> None:
    taking = take(prefetch_count=1)
    producer.call("LPUSH", QUEUE, ours("t-1.0@i-one"), ours("t-2.0@i-one"))
    first = taking.next()
    threading.Timer(0.2, first.ack).start()
    assert taking.next(4).headers["id"] == "t-2.0@i-one"
