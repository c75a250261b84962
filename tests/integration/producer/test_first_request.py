"""What the first request of a process costs: each round trip to a distant Redis is time that somebody waits."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import monotonic_seconds
from cloud_assistant.broker_config.errors import RedisRefused
from cloud_assistant.broker_config.ledger import load_invocation
from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Command, RedisConnection
from cloud_assistant.broker_config.security.signing import new_master_keys, write_master_keys
from cloud_assistant.broker_config.settings_table import SecuritySettings
from cloud_assistant.producer import Assistant, RunOptions
from cloud_assistant.producer.fleet.targets import Targets
from cloud_assistant.producer.following.waiting import Ended, Event, Progress
from harness.redis_server import RedisServer

from .conftest import AgentStandIn

ON_1 = Targets(instance_ids=["i-1"])
ON_ALL = Targets(everything=True)
#: Well below the interval of the looks that would find what no announcement told.
SOON_SECONDS = 1.5


@pytest.fixture
def fresh(assistant: Assistant, tmp_path: Path) -> Iterator[Assistant]:
    """One that signs, and has asked Redis for nothing yet; ``i-1`` holds a key of its own."""
    key_file, master = tmp_path / "master-key.json", new_master_keys()
    write_master_keys(key_file, master)
    assistant.redis.call("HSET", keys.KEY_IDS, "i-1", f"{master.current}.7")
    settings = replace(assistant.settings, security=SecuritySettings(master_key_file=str(key_file)))
    with Assistant(settings=settings) as made:
        yield made


@pytest.fixture
def exchanges(fresh: Assistant, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The round trips of all its connections: the commands of each."""
    made: list[list[str]] = []
    exchange = RedisConnection.exchange

    def counted(
        self: RedisConnection, commands: Sequence[Command], timeout_seconds: float | None = None
    ) -> list[object]:
        made.append(
            [str(one[1]).rpartition("_")[0] if str(one[0]).startswith("FCALL") else str(one[0]) for one in commands]
        )
        return exchange(self, commands, timeout_seconds)

    monkeypatch.setattr(RedisConnection, "exchange", counted)
    return made


def followed(assistant: Assistant, invoke_id: str, *, live: bool = True) -> list[Event]:
    """Follow an invocation that has ended, and see that no look after seconds was needed."""
    began = monotonic_seconds()
    events = list(assistant.follow(invoke_id, timeout_seconds=10, live=live))
    assert monotonic_seconds() - began < SOON_SECONDS
    return events


def test_all_that_it_has_to_know_is_asked_along_with_the_greeting(fresh: Assistant, exchanges: list[list[str]]) -> None:
    fresh.run_command("echo 123", ON_1)
    assert exchanges == [
        ["CLIENT", "HMGET", "HMGET"],
        ["ca_create_invocation", "ca_create_executions"],
    ]
    fresh.run_command("echo 123", ON_1)
    assert exchanges[2:] == [["ca_create_invocation", "ca_create_executions"]]


def test_who_listens_soon_asks_for_nothing_after_the_dispatch(
    fresh: Assistant, agent: AgentStandIn, exchanges: list[list[str]]
) -> None:
    fresh.listen_soon(live=True)
    invoked = fresh.run_command("echo 123", ON_1)
    assert sorted(exchanges[:2]) == [["CLIENT", "HMGET", "HMGET"], ["CLIENT", "SUBSCRIBE"]]
    agent.run(invoked.invoke_id, "i-1")
    exchanges.clear()
    first, last = followed(fresh, invoked.invoke_id)
    assert first == Progress("i-1", "Pending")
    assert isinstance(last, Ended)
    assert exchanges == [["HGETALL", "TIME", "ca_settle_invocation"], ["ca_read_output"]]
    finished = fresh.sum_up(invoked.invoke_id, [last.row])
    assert finished.status.state == "Success"
    assert len(exchanges) == 2, "nothing is stored twice"
    assert load_invocation(fresh.redis, invoked.invoke_id).settled == {"Success": 1}


def test_who_follows_output_that_was_not_expected_begins_with_a_look(fresh: Assistant, agent: AgentStandIn) -> None:
    fresh.listen_soon(live=False)
    invoked = fresh.run_command("echo 123", ON_1)
    agent.claim(invoked.invoke_id, "i-1")
    events = fresh.follow(invoked.invoke_id, timeout_seconds=10, live=True)
    assert next(events) == Progress("i-1", "Running")
    agent.finish(invoked.invoke_id, "i-1")
    assert [type(one) for one in events] == [Ended]


def test_those_that_wait_for_their_turn_are_told_as_scheduled(fresh: Assistant, agent: AgentStandIn) -> None:
    fresh.listen_soon(live=False)
    invoked = fresh.run_command("echo 123", ON_ALL, RunOptions(at_once="2"))
    agent.run(invoked.invoke_id, "i-1", "i-2")
    fresh.stop_invocation(invoked.invoke_id, ["i-3"])
    events = followed(fresh, invoked.invoke_id, live=False)
    assert events[:3] == [Progress("i-1", "Pending"), Progress("i-2", "Pending"), Progress("i-3", "Scheduled")]
    rows = [one.row for one in events if isinstance(one, Ended)]
    assert [row.instance_id for row in fresh.sum_up(invoked.invoke_id, rows[::-1]).results] == ["i-1", "i-2", "i-3"]


def test_a_server_that_lets_nobody_listen_is_told_by_whoever_waits(redis_server: RedisServer, fresh: Assistant) -> None:
    fresh.redis.call("ACL", "SETUSER", "deaf", "on", ">deaf", "~*", "+@all", "resetchannels")
    url = f"redis://deaf:deaf@127.0.0.1:{redis_server.port}/0"
    with Assistant(settings=replace(fresh.settings, redis_url=url)) as deaf:
        deaf.listen_soon(live=True)
        invoked = deaf.run_command("echo 123", ON_1)
        with pytest.raises(RedisRefused, match="NOPERM"):
            deaf.wait(invoked.invoke_id, timeout_seconds=1)


def test_a_timed_invocation_asks_ahead_as_well(fresh: Assistant, exchanges: list[list[str]]) -> None:
    schedule = Schedule(repeat_mode=RepeatMode.PERIOD, frequency="0 0 4 * * *")
    fresh.run_command("echo 123", ON_1, RunOptions(schedule=schedule))
    assert exchanges[0] == ["CLIENT", "HMGET", "HMGET"]


def test_what_changes_something_never_goes_along_with_the_greeting(
    redis_server: RedisServer, exchanges: list[list[str]]
) -> None:
    # A server that refuses the database would run it on another one.
    elsewhere = Redis(f"redis://127.0.0.1:{redis_server.port}/99")
    with pytest.raises(RedisRefused, match="out of range"):
        elsewhere.call("SET", "k", "v")
    assert exchanges == [["SELECT", "CLIENT"]]
    with pytest.raises(RedisRefused, match="out of range"):
        elsewhere.call("GET", "k")
