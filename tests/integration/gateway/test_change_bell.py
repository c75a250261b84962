"""Whoever waits hears of a change at once, and nothing is left when nobody waits."""

import threading
from collections.abc import Callable
from pathlib import Path

from cloud_assistant.broker_config.redis.client import Redis, Subscription
from cloud_assistant.producer.gateway.change_bell import ChangeBell, Ear
from harness.eventually import always, eventually
from harness.redis_server import RedisServer


def bells() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name == "gateway-bell"]


def test_a_ring_reaches_those_whom_it_concerns(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url())
    bell = ChangeBell(redis)
    heard: list[str] = []
    ears = [
        bell.listen("ca:done:one", "t-one", lambda: heard.append("one")),
        bell.listen("ca:done:one", "t-other", lambda: heard.append("other")),
        bell.listen("ca:done:two", "t-two", lambda: heard.append("two")),
    ]
    # The first ring of all says that listening has begun: what came before it was heard by nobody.
    eventually(lambda: {"one", "other", "two"} <= set(heard))
    heard.clear()
    eventually(lambda: redis.call("PUBLISH", "ca:done:two", b"end t-two.0@i-one Success"))
    eventually(lambda: heard == ["two"])
    redis.call("PUBLISH", "ca:done:one", b"state t-one.0@i-one Running")
    eventually(lambda: heard == ["two", "one"])
    redis.call("PUBLISH", "ca:done:one", b"\xff\xfe")
    always(lambda: heard == ["two", "one"], 0.2)
    for ear in ears:
        bell.leave(ear)
        bell.leave(ear)
    eventually(lambda: not bells(), what="the end of the thread")
    redis.close()


def test_a_channel_is_listened_to_exactly_while_somebody_waits_for_it(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url())
    bell = ChangeBell(redis)
    heard: list[str] = []

    def channels() -> set[bytes]:
        return set(redis.call("PUBSUB", "CHANNELS", "ca:done:*"))

    kept = bell.listen("ca:done:kept", "t-kept", lambda: heard.append("kept"))
    eventually(lambda: heard == ["kept"])
    late = bell.listen("ca:done:late", "t-late", lambda: heard.append("late"))
    eventually(lambda: channels() == {b"ca:done:kept", b"ca:done:late"})
    redis.call("PUBLISH", "ca:done:late", b"end t-late.0@i-one Success")
    eventually(lambda: heard == ["kept", "late"])
    bell.leave(late)
    eventually(lambda: channels() == {b"ca:done:kept"})
    bell.leave(kept)
    eventually(lambda: not bells(), what="the end of the thread")
    redis.close()


class SlowRedis(Redis):
    """Redis over a line so slow that something happens while a subscription is on its way."""

    def __init__(self, url: str, meanwhile: Callable[[], object]) -> None:
        super().__init__(url)
        self.meanwhile = meanwhile

    def subscribe(self, *channels: str) -> Subscription:
        subscription = super().subscribe(*channels)
        self.meanwhile()
        return subscription


def test_who_comes_while_a_subscription_is_on_its_way_is_heard_too(redis_server: RedisServer) -> None:
    redis = SlowRedis(redis_server.url(), lambda: ears.append(bell.listen("ca:done:late", "t-late", late.release)))
    bell = ChangeBell(redis)
    late = threading.Semaphore(0)
    ears: list[Ear] = [bell.listen("ca:done:one", "t-one", lambda: None)]
    assert late.acquire(timeout=10), "the ring that says that listening has begun"
    eventually(lambda: redis.call("PUBLISH", "ca:done:late", b"end t-late.0@i-one Success"), what="somebody listens")
    assert late.acquire(timeout=10)
    for ear in ears:
        bell.leave(ear)
    eventually(lambda: not bells(), what="the end of the thread")
    redis.close()


def test_a_lost_connection_is_renewed_and_everybody_rung(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        redis = Redis(server.url())
        bell = ChangeBell(redis)
        heard: list[int] = []
        ear = bell.listen("ca:done:one", "t-one", lambda: heard.append(1))
        eventually(lambda: heard)
        heard.clear()
        server.restart()
        eventually(lambda: heard, within_seconds=15)
        bell.leave(ear)
        eventually(lambda: not bells())
        redis.close()
