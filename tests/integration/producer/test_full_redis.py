"""A Redis that takes no writes keeps nobody from what can be read: who has the results, or lists them, gets them."""

from collections.abc import Iterator

import pytest

from cloud_assistant.broker_config.errors import RedisRefused
from cloud_assistant.broker_config.ledger import load_invocation, load_rows
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.fleet.targets import Targets
from harness.redis_server import RedisServer

from .conftest import AgentStandIn

REFUSING = {
    "full": ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
    "a replica": ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
}


@pytest.fixture(params=REFUSING)
def ended(request: pytest.FixtureRequest, assistant: Assistant, agent: AgentStandIn) -> Iterator[str]:
    """An invocation whose execution has ended, and nobody has stored that it is over; nobody can any more."""
    invoked = assistant.run_command("true", Targets(instance_ids=["i-1"]), keep_command=True)
    agent.run(invoked.invoke_id, "i-1")
    refuse, accept = REFUSING[request.param]
    assistant.redis.call(*refuse.split())
    yield invoked.invoke_id
    assistant.redis.call(*accept.split())
    assert load_invocation(assistant.redis, invoked.invoke_id).settled is None
    assert assistant.describe_invocations().items[0].status.state == "Success"
    assert load_invocation(assistant.redis, invoked.invoke_id).settled == {"Success": 1}


def test_who_waited_gets_the_results(assistant: Assistant, ended: str) -> None:
    finished = assistant.wait(ended, timeout_seconds=10)
    assert (finished.status.state, len(finished.results)) == ("Success", 1)


def test_it_is_listed_as_it_is(assistant: Assistant, ended: str) -> None:
    (listed,) = assistant.describe_invocations(with_rows=True).items
    assert (listed.stored.record.invoke_id, listed.status.state) == (ended, "Success")


@pytest.mark.usefixtures("ended")
def test_who_wants_a_command_deleted_is_told_why_it_cannot_be(assistant: Assistant) -> None:
    (command,) = assistant.describe_commands().items
    with pytest.raises(RedisRefused):
        assistant.delete_command(command.command.command_id)


def test_who_waited_gets_the_results_also_when_redis_went_away_with_the_last_of_them(
    redis_server: RedisServer, assistant: Assistant, agent: AgentStandIn
) -> None:
    invoke_id = assistant.run_command("true", Targets(instance_ids=["i-1"])).invoke_id
    agent.run(invoke_id, "i-1")
    rows = [row for row in load_rows(assistant.redis, [("i-1", f"{invoke_id}.0@i-1")]) if row]
    redis_server.kill()
    assert assistant.sum_up(invoke_id, rows).status.state == "Success"
