"""Who listens hears what is announced, whatever becomes of the connection and of others who listen beside him."""

from collections.abc import Iterator

import pytest

from cloud_assistant.broker_config import redis_client
from cloud_assistant.broker_config.clock import monotonic_seconds
from cloud_assistant.broker_config.functions.executions import LivePiece, append_output
from cloud_assistant.broker_config.redis_client import Redis
from cloud_assistant.broker_config.settings_table import Settings
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.announcements import Announcement, Box
from cloud_assistant.producer.targets import Targets
from cloud_assistant.producer.waiting import Ended, Output
from harness.redis_server import RedisServer
from harness.tcp_proxy import TcpProxy

from .conftest import AgentStandIn

ON_1 = Targets(instance_ids=["i-1"])
#: Well below the interval of the looks that would find what no announcement told.
SOON_SECONDS = 1.5


@pytest.fixture
def other(redis_server: RedisServer) -> Iterator[Assistant]:
    """The one of another process."""
    with Assistant(settings=Settings(redis_url=redis_server.url())) as made:
        yield made


def test_a_subscription_that_broke_as_another_wait_ended_fails_no_later_one(
    assistant: Assistant, other: Assistant, agent: AgentStandIn
) -> None:
    foreign = other.run_command("true", ON_1).invoke_id
    heard, own = (assistant.run_command("true", ON_1).invoke_id for _ in range(2))
    for invoke_id in (heard, own, foreign):
        agent.run(invoke_id, "i-1")
    assistant.wait(heard, timeout_seconds=10)
    own_later = assistant.run_command("true", ON_1).invoke_id
    assert assistant.redis.call("CLIENT", "KILL", "TYPE", "pubsub") == 1
    # It is found by the first look, and nobody reads: that the connection is gone is noticed as its channel is left.
    assert assistant.wait(foreign, timeout_seconds=10).status.state == "Success"
    agent.run(own_later, "i-1")
    began = monotonic_seconds()
    for invoke_id in (own_later, own):
        assert assistant.wait(invoke_id, timeout_seconds=10).status.state == "Success"
    assert monotonic_seconds() - began < SOON_SECONDS


def test_who_begins_to_listen_beside_others_takes_nothing_from_them(
    assistant: Assistant, other: Assistant, agent: AgentStandIn
) -> None:
    foreign = other.run_command("true", ON_1).invoke_id
    events = assistant.follow(foreign, timeout_seconds=20, live=False)
    next(events)
    for _ in range(2):
        assistant.listen_soon(live=False)
    own = assistant.run_command("true", ON_1).invoke_id
    for invoke_id in (foreign, own):
        agent.run(invoke_id, "i-1")
    began = monotonic_seconds()
    assert any(isinstance(event, Ended) for event in events)
    assert assistant.wait(own, timeout_seconds=10).status.state == "Success"
    assert monotonic_seconds() - began < SOON_SECONDS


def shown(agent: AgentStandIn, invoke_id: str, data: bytes) -> None:
    piece = LivePiece(offset_bytes=0, skipped_bytes=0, streams="", data=data, keep_count=9, ttl_ms=60_000)
    assert append_output(agent.redis, "i-1", f"{invoke_id}.0@i-1", piece)


def test_a_line_that_went_silent_is_noticed_and_nobody_stays_deaf(
    redis_server: RedisServer, agent: AgentStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_client, "_SILENT_SECONDS", 0.2)
    monkeypatch.setattr(redis_client, "_LATE_SECONDS", 0.2)
    with TcpProxy(redis_server.port) as line, Assistant(f"redis://127.0.0.1:{line.port}/0") as assistant:
        invoke_id = assistant.run_command("make", ON_1).invoke_id
        agent.claim(invoke_id, "i-1")
        events = assistant.follow(invoke_id, timeout_seconds=20)
        shown(agent, invoke_id, b"begun\n")
        assert next(event.data for event in events if isinstance(event, Output)) == b"begun\n"
        # A firewall has forgotten the connection: no byte comes through it any more, nor its end.
        line.half_open(serve_new_connections=True)
        assistant.redis.close()
        shown(agent, invoke_id, b"a question for whoever looks on\n")
        assert next(event.data for event in events if isinstance(event, Output)) == b"a question for whoever looks on\n"
        agent.finish(invoke_id, "i-1")
        began = monotonic_seconds()
        assert [type(event) for event in events] == [Ended]
        assert monotonic_seconds() - began < SOON_SECONDS


def test_a_line_on_which_nothing_is_said_is_kept(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_client, "_SILENT_SECONDS", 0.05)
    monkeypatch.setattr(redis_client, "_LATE_SECONDS", 0.05)
    redis = Redis(redis_server.url())
    listening = redis.subscribe("channel")
    for _ in range(10):
        assert listening.next(0.06) is None
    redis.call("PUBLISH", "channel", "word")
    assert listening.next(5) == ("channel", b"word")
    listening.close()
    redis.close()


def test_what_somebody_read_who_was_interrupted_is_not_lost_to_others(
    assistant: Assistant, agent: AgentStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = assistant.run_command("true", ON_1).invoke_id
    agent.run(first, "i-1")
    assistant.wait(first, timeout_seconds=10)
    second, third = (assistant.run_command("true", ON_1).invoke_id for _ in range(2))
    put = Box.put

    def interrupted(box: Box, one: Announcement) -> None:
        monkeypatch.setattr(Box, "put", put)
        raise KeyboardInterrupt

    monkeypatch.setattr(Box, "put", interrupted)
    agent.run(second, "i-1")
    with pytest.raises(KeyboardInterrupt):
        assistant.wait(third, timeout_seconds=10)
    began = monotonic_seconds()
    assert assistant.wait(second, timeout_seconds=10).status.state == "Success"
    assert monotonic_seconds() - began < SOON_SECONDS
