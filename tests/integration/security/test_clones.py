"""One identity on two machines at a time: found, visible, and given no work until somebody has looked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import RedisUnreachable, Refused
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Argument
from cloud_assistant.producer import Assistant
from cloud_assistant.worker.executor import Facts
from cloud_assistant.worker.heartbeat import Heartbeat
from cloud_assistant.worker.identity import Identity
from cloud_assistant.worker.trust.refusal_report import CLONE, SECOND_AGENT
from harness.redis_server import RedisServer


@pytest.fixture
def agent(assistant: Assistant, connect: Callable[[str], Redis]) -> Redis:
    assistant.add_instance("i-one")
    return connect(assistant.trust.issue_credentials("i-one").credentials.redis_url)


def machine(
    agent: Redis, home: Path, *, boot: str, machine_id: str = "m1", epoch: str = "", has_identity: bool = True
) -> Heartbeat:
    home.mkdir(exist_ok=True)
    identity = Identity(
        instance_id="i-one",
        epoch=epoch or f"epoch-{boot}",
        boot_id=boot,
        machine_id=machine_id,
        started_ms=1,
        agent_version="0",
    )
    return Heartbeat(
        redis=agent,
        identity=identity,
        home=home,
        ttl_seconds=75,
        slots=1,
        facts=Facts(),
        load=dict,
        has_identity=has_identity,
    )


def reported(redis: Redis) -> list[str]:
    entries = redis.call("XRANGE", keys.refusals("i-one"), "-", "+")
    return [dict(zip(fields[::2], fields[1::2], strict=True))[b"code"].decode() for _, fields in entries]


@pytest.mark.parametrize(("boot", "machine_id"), [("b2", "m2"), ("b2", "m1"), ("b1", "m2")])
def test_a_copied_disk_that_starts_beside_the_original_puts_both_into_quarantine(
    assistant: Assistant, agent: Redis, redis: Redis, tmp_path: Path, boot: str, machine_id: str
) -> None:
    original = machine(agent, tmp_path / "home", boot="b1")
    original.first()
    # The copy has the same home: it takes the original for an earlier run of itself.
    copy = machine(agent, tmp_path / "home", boot=boot, machine_id=machine_id, epoch="of the copy")
    copy.first()
    assert assistant.describe_instances().items[0].quarantined == ""

    original.again()
    copy.again()

    shown = assistant.describe_instances().items[0].quarantined
    assert "b1 of machine m1" in shown
    assert f"{boot} of machine {machine_id}" in shown
    assert original.facts.quarantine
    assert copy.facts.quarantine
    assert reported(redis) == [CLONE]

    assistant.trust.release("i-one")
    copy.again()
    assert not copy.facts.quarantine


def test_two_machines_are_put_into_quarantine_although_redis_goes_away_just_as_they_are_found(
    assistant: Assistant, agent: Redis, redis_server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Dying(Redis):
        """Is killed when it is asked for the quarantine."""

        def call(self, *command: Argument, timeout_seconds: float | None = None) -> Any:
            if command[0] == "HSETNX":
                redis_server.kill()
            return super().call(*command, timeout_seconds=timeout_seconds)

    original = machine(agent, tmp_path / "home", boot="b1")
    original.first()
    machine(agent, tmp_path / "home", boot="b2", machine_id="m2").first()
    original.redis = Dying(agent.url)
    with pytest.raises(RedisUnreachable):
        original.again()
    original.redis = agent
    redis_server.start()

    original.again()

    assert "b2 of machine m2" in assistant.describe_instances().items[0].quarantined
    original.again()
    assert caplog.text.count("another agent uses the id of this instance") == 2, "once for each try"


def test_a_machine_that_restarts_is_no_clone(agent: Redis, assistant: Assistant, redis: Redis, tmp_path: Path) -> None:
    machine(agent, tmp_path / "home", boot="b1").first()
    restarted = machine(agent, tmp_path / "home", boot="b2")
    restarted.first()
    restarted.again()
    assert assistant.describe_instances().items[0].quarantined == ""
    assert reported(redis) == []


def test_two_agents_of_one_machine_are_a_mistake_and_no_clone(
    agent: Redis, assistant: Assistant, tmp_path: Path
) -> None:
    first = machine(agent, tmp_path / "home", boot="b1", epoch="e1")
    first.first()
    machine(agent, tmp_path / "home", boot="b1", epoch="e2").first()
    first.again()
    assert assistant.describe_instances().items[0].quarantined == ""


def test_stolen_credentials_on_another_machine_are_turned_away_and_reported(
    agent: Redis, redis: Redis, tmp_path: Path
) -> None:
    machine(agent, tmp_path / "home", boot="b1").first()
    with pytest.raises(Refused, match="another agent runs as i-one"):
        machine(agent, tmp_path / "thief", boot="b9", machine_id="m9").first()
    assert reported(redis) == [SECOND_AGENT]


def test_without_credentials_a_second_agent_is_nothing_to_report(agent: Redis, redis: Redis, tmp_path: Path) -> None:
    machine(agent, tmp_path / "home", boot="b1", has_identity=False).first()
    with pytest.raises(Refused):
        machine(agent, tmp_path / "other", boot="b9", has_identity=False).first()
    assert reported(redis) == []


def test_without_credentials_two_machines_with_one_id_are_a_mistake_and_no_clone(
    agent: Redis, assistant: Assistant, redis: Redis, tmp_path: Path
) -> None:
    first = machine(agent, tmp_path / "home", boot="b1", has_identity=False)
    first.first()
    machine(agent, tmp_path / "home", boot="b2", machine_id="m2", has_identity=False).first()
    first.again()
    assert reported(redis) == []
    assert assistant.describe_instances().items[0].quarantined == ""
