"""Promise 6 with real agents: what stolen credentials of one instance can do with its old messages, and by noise."""

import tomllib
from pathlib import Path

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.task_message import fill, template
from harness.eventually import eventually
from harness.redis_server import RedisServer

from .conftest import SecureSystem

pytestmark = pytest.mark.slow

JUNK_COUNT = 20_000
NOISE_BYTES = 1_000
#: What a row holds that was not claimed yet.
ROW = (
    *("invoke_id", "command_id", "firing_ms", "attempt", "created_ms", "timeout_seconds"),
    *("envelope", "mac", "key_id", "payload", "done"),
)


def thief_of(credentials: Path) -> Redis:
    """A connection with what lies on the stolen machine."""
    return Redis(tomllib.loads(credentials.read_text())["redis_url"], name="thief")


def test_an_old_message_of_its_own_runs_nothing_again_under_any_name(
    secure: SecureSystem, redis_server: RedisServer, tmp_path: Path
) -> None:
    credentials = secure.add_instance("i-one")
    ran = tmp_path / "ran"
    started = (
        secure.assist("run", f"echo ran >> {ran}", "--instance", "i-one", "--no-wait").must_succeed().stdout.strip()
    )
    thief = thief_of(credentials)
    old = execution_id(started, 0, "i-one")
    values = thief.call("HMGET", keys.execution("i-one", old), *ROW)
    fields = [part for pair in zip(ROW, values, strict=True) if pair[1] is not None for part in pair]
    agent = secure.start_agent("i-one", credentials=credentials)
    eventually(ran.exists, 10, "it runs once")
    secure.assist("run", "true", "--instance", "i-one").must_succeed()

    others = (execution_id("t-other000000000000000000000", 0, "i-one"), execution_id(started, 5, "i-one"))
    for name in (old, *others, old.replace(".0@", ".00@")):
        thief.call("HSET", keys.execution("i-one", name), *fields)
        thief.call("HSET", keys.execution("i-one", name), "state", "Pending", "deadline_ms", "99999999999999")
        thief.call("ZADD", keys.open_executions("i-one"), "99999999999999", name)
        for _ in range(3):
            thief.call("LPUSH", keys.queue("i-one"), fill(template("", "thief"), name))
    thief.close()
    eventually(lambda: redis_server.cli("LLEN", keys.queue("i-one")) == 0, 20, "the agent has taken them")
    secure.assist("run", "true", "--instance", "i-one").must_succeed()
    assert ran.read_text() == "ran\n"
    assert agent.is_running


def test_noise_on_one_instance_leaves_the_others_and_its_own_agent_working(
    secure: SecureSystem, redis_server: RedisServer
) -> None:
    credentials = secure.add_instance("i-one")
    agent = secure.start_agent("i-one", credentials=credentials)
    secure.start_instance("i-two")
    before_bytes = agent.rss_bytes
    thief = thief_of(credentials)
    junk = fill(template("", "thief"), execution_id("t-noise000000000000000000000", 0, "i-one"))
    for _ in range(JUNK_COUNT // 1000):
        thief.call("LPUSH", keys.queue("i-one"), *[junk] * 1000)
        thief.pipeline([("PUBLISH", "/0.celeryev/task.multi", "x" * NOISE_BYTES)] * 100)
        thief.pipeline([("XADD", keys.refusals("i-one"), "*", "code", "x" * 10)] * 100)
    thief.close()

    assert secure.assist("run", "echo two", "--instance", "i-two").must_succeed().stdout == "two\n"
    eventually(lambda: redis_server.cli("LLEN", keys.queue("i-one")) == 0, 60, "the agent has read all of it")
    assert secure.assist("run", "echo one", "--instance", "i-one").must_succeed().stdout == "one\n"
    assert agent.is_running
    assert agent.rss_bytes - before_bytes < 64 * 1024 * 1024
    # It cannot make the log of the machine grow without bound either.
    assert sum(one.stat().st_size for one in (agent.home / "log").iterdir()) < 32 * 1024 * 1024
    # And it is shown the door.
    secure.assist("instance", "remove", "i-one").must_succeed()
    agent.wait_for_line("WRONGPASS|NOAUTH|invalid username-password")


def test_a_full_queue_takes_no_more_work_and_says_so(secure: SecureSystem, redis_server: RedisServer) -> None:
    credentials = secure.add_instance("i-one")
    thief = thief_of(credentials)
    thief.call("LPUSH", keys.queue("i-one"), *["x"] * 50)
    thief.close()
    outcome = secure.assist(
        "run", "true", "--instance", "i-one", "--output", "json",
        environment={"CLOUD_ASSISTANT_LIMITS_QUEUE_COUNT": "50"},
    )  # fmt: skip
    assert outcome.json["InvocationResults"][0]["ErrorCode"] == "TaskConcurrencyLimit"
    assert redis_server.cli("LLEN", keys.queue("i-one")) == 50
