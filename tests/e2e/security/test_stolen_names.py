"""What somebody wrote into the branch of one instance, with its stolen credentials, does nothing to its machine."""

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults.agents import QUICK

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.messages import StopMessage, encode
from cloud_assistant.broker_config.redis.client import Redis
from harness.eventually import eventually

from .conftest import SecureSystem

ID = "i-one"
WELL_FORMED = f"t-aaaaaaaaaaaaaaaa.0@{ID}"


@pytest.fixture
def credentials(secure: SecureSystem) -> Path:
    return secure.add_instance(ID)


def as_thief(credentials: Path, write: Callable[[Redis], Any]) -> None:
    """Write with what lies on the stolen machine."""
    redis = Redis(tomllib.loads(credentials.read_text())["redis_url"], name="thief")
    try:
        write(redis)
    finally:
        redis.close()


def unfinished(redis: Redis, name: str, state: str, **fields: str | bytes) -> None:
    values = {"state": state, "epoch": "an earlier one", "boot_id": "b", "invoke_id": "t-none", **fields}
    redis.call("HSET", keys.execution(ID, name), *(part for pair in values.items() for part in pair))
    redis.call("ZADD", keys.open_executions(ID), "99999999999999", name)


def stops_waiting(credentials: Path) -> int:
    """How many requests to stop wait; counted as the thief may."""
    counts: list[int] = []
    as_thief(credentials, lambda redis: counts.append(redis.call("LLEN", keys.control(ID))))
    return counts[0]


@pytest.mark.parametrize("state", ["Running", "Stopping"])
def test_no_name_in_its_lists_leads_to_a_folder_of_the_machine(
    secure: SecureSystem, credentials: Path, tmp_path: Path, state: str
) -> None:
    """A row without a script is settled, and with it goes what the folder of that name holds."""
    agent = secure.start_agent(ID, credentials=credentials, environment=QUICK)
    precious = tmp_path / "precious" / "file"
    precious.parent.mkdir()
    precious.write_text("precious")
    spool = next(agent.home.glob("**/spool"))
    names = [str(precious.parent), os.path.relpath(precious.parent, spool)]

    def write(redis: Redis) -> None:
        for name in names:
            unfinished(redis, name, state)
            redis.call("LPUSH", keys.control(ID), encode(StopMessage(stop=name)))
            redis.call("HSET", keys.boot_bound(ID), name, "{}")

    as_thief(credentials, write)
    eventually(lambda: stops_waiting(credentials) == 0, 20, "the agent has taken the requests to stop")
    secure.assist("run", "true", "--instance", ID).must_succeed()
    agent.stop()
    again = secure.start_agent(ID, credentials=credentials, environment=QUICK)
    secure.assist("run", "true", "--instance", ID).must_succeed()
    assert precious.read_text() == "precious"
    assert [one.name for one in precious.parent.iterdir()] == ["file"]
    assert "Traceback" not in again.log_path.read_text()


def test_junk_in_its_lists_keeps_its_agent_neither_from_starting_nor_from_stopping_scripts(
    secure: SecureSystem, credentials: Path
) -> None:
    agent = secure.start_agent(ID, credentials=credentials, environment=QUICK)

    def write(redis: Redis) -> None:
        redis.call("ZADD", keys.open_executions(ID), "-inf", b"\xff")
        unfinished(redis, WELL_FORMED, "Running", epoch=b"\xff", key_id=b"\xff")
        redis.call("HSET", keys.info(ID), "machine_id", b"\xff", "boot_id", b"\xff", "hostname", b"\xff")
        for name in (b"\xff", b"t-bbbbbbbbbbbbbbbb", b"t-cccccccccccccccc"):
            redis.call("HSET", keys.boot_bound(ID), name, b'{"created_ms":"x"' if name.startswith(b"t-b") else b"{}")

    as_thief(credentials, write)
    started = secure.assist("run", "sleep 60", "--instance", ID, "--no-wait").must_succeed().stdout.strip()

    def state() -> str:
        shown = secure.assist("invocation", "results", started, "--output", "json").json
        return str(shown["InvocationResults"][0]["InvocationStatus"])

    eventually(lambda: state() == "Running", 20, "the script runs")
    secure.assist("invocation", "stop", started)
    eventually(lambda: state() == "Terminated", 20, "the script is stopped")
    agent.stop()
    again = secure.start_agent(ID, credentials=credentials, environment=QUICK)
    assert secure.assist("run", "echo one", "--instance", ID).must_succeed().stdout == "one\n"
    assert "Traceback" not in again.log_path.read_text()
