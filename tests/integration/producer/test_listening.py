"""Who listens hears what is announced, whatever becomes of the connection and of others who listen beside him."""

from collections.abc import Iterator

import pytest

from cloud_assistant.broker_config.clock import monotonic_seconds
from cloud_assistant.broker_config.settings_table import Settings
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.targets import Targets
from cloud_assistant.producer.waiting import Ended
from harness.redis_server import RedisServer

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
