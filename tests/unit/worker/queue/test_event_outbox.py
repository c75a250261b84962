"""The events of an agent, read by Celery's own receiver from a real server."""

import base64
import json
import os
import threading
from typing import Any

import pytest
from celery import Celery

from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.worker.queue.event_outbox import EventOutbox
from harness.eventually import eventually
from harness.redis_server import RedisServer


def test_celery_receives_what_the_outbox_sends(redis_server: RedisServer) -> None:
    received: list[dict[str, Any]] = []
    app = Celery(broker=redis_server.url(), set_as_current=False)
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": received.append})
        thread = threading.Thread(target=lambda: receiver.capture(limit=3, timeout=20, wakeup=False))
        thread.start()
        eventually(lambda: redis_server.cli("PUBSUB", "NUMPAT"), 10, "the receiver listens")
        clock = iter(range(1, 100))
        redis = Redis(redis_server.url())
        outbox = EventOutbox(redis, "i-one", version="1.2", tick=lambda: next(clock))
        redis.call(*outbox.worker_event("worker-online", interval_seconds=40, active_count=2))
        outbox.start()
        outbox.send("task-received", uuid="t-1", name="n", args="", kwargs="")
        outbox.send("task-succeeded", uuid="t-1", result="None", runtime=0.1)
        thread.join(20)
        redis.close()

    assert [event["type"] for event in received] == ["worker-online", "task-received", "task-succeeded"]
    assert received[0]["hostname"] == "i-one"
    assert (received[0]["freq"], received[0]["active"], received[0]["sw_ver"]) == (40, 2, "1.2")
    assert [event["clock"] for event in received] == sorted(event["clock"] for event in received)


def test_what_comes_while_the_box_is_emptied_is_sent_next(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url())
    outbox = EventOutbox(redis, "i-one", version="1", tick=lambda: 1)
    flush, flushed_count = outbox.flush, 0

    def flush_slowly() -> None:
        nonlocal flushed_count
        flush()
        flushed_count += 1
        if flushed_count == 1:
            outbox.send("task-received", uuid="t-2")

    outbox.flush = flush_slowly  # type: ignore[method-assign]
    outbox.send("task-received", uuid="t-1")
    outbox.start()
    eventually(lambda: flushed_count == 2, 5)
    assert outbox.emptied() is None
    redis.close()


def test_of_an_outage_no_more_events_are_kept_than_a_viewer_could_read() -> None:
    outbox = EventOutbox(Redis("redis://127.0.0.1:1/0"), "i-one", version="1", tick=lambda: 1)
    for number in range(6000):
        outbox.send("task-received", uuid=f"t-{number}")
    command = outbox.emptied()
    assert command is not None
    assert isinstance(command[2], bytes)
    events = json.loads(base64.b64decode(json.loads(command[2])["body"]))
    assert (len(events), events[-1]["uuid"]) == (5000, "t-5999")


def test_events_are_dropped_when_redis_is_away(redis_server: RedisServer) -> None:
    redis_server.kill()
    outbox = EventOutbox(Redis(redis_server.url()), "i-one", version="1", tick=lambda: 1)
    outbox.send("task-received", uuid="t-1")

    outbox.flush()
    redis_server.start()
    outbox.flush()

    assert redis_server.cli("INFO", "commandstats").get("cmdstat_publish") is None


def test_a_load_that_the_system_does_not_tell_keeps_no_agent_from_its_work(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError("Load averages are unobtainable")

    monkeypatch.setattr(os, "getloadavg", refuse)
    outbox = EventOutbox(Redis(redis_server.url()), "i-one", version="1", tick=lambda: 1)
    _, _, message = outbox.worker_event("worker-online", interval_seconds=40, active_count=0)
    assert isinstance(message, bytes)
    body = json.loads(base64.b64decode(json.loads(message)["body"]))
    assert body["loadavg"] == [0.0, 0.0, 0.0]
