"""An ``Assistant`` on a real server, and a stand-in that moves rows as an agent does.

The stand-in exists so that these tests can hold an execution at any point; tests of the whole use real agents.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.executions import (
    claim_command,
    claim_reply,
    finish,
    settle_lost_command,
    settled,
)
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.results import KeptStreams, Outcome
from cloud_assistant.broker_config.settings_table import Settings
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.producer import Assistant
from harness.redis_server import RedisServer


@dataclass
class AgentStandIn:
    """Claims and finishes rows by hand."""

    redis: Redis

    def claim(self, invoke_id: str, instance_id: str) -> None:
        execution = execution_id(invoke_id, 0, instance_id)
        command = claim_command(instance_id, execution, epoch="e", boot_id="b", report_margin_ms=60_000)
        claim_reply(run(self.redis, command))

    def finish(
        self, invoke_id: str, instance_id: str, state: str = "Success", output: bytes = b"123\n", exit_code: int = 0
    ) -> None:
        outcome = Outcome(
            state=ExecutionState(state), finished_ms=1, exit_code=exit_code, output=KeptStreams(data=output)
        )
        finish(
            self.redis,
            instance_id,
            execution_id(invoke_id, 0, instance_id),
            outcome.state,
            outcome.fields(),
            live_output_ttl_ms=1000,
            retention_ms=1000,
        )

    def lose(self, invoke_id: str, instance_id: str) -> None:
        """Write what beat writes of a claimed execution whose agent fell silent."""
        command = settle_lost_command(
            instance_id,
            execution_id(invoke_id, 0, instance_id),
            seen="Running",
            error_code="ClientNotResponse",
            error_info="",
        )
        self.redis.call("HSET", keys.execution(instance_id, execution_id(invoke_id, 0, instance_id)), "deadline_ms", 1)
        assert settled(run(self.redis, command))

    def run(self, invoke_id: str, *instance_ids: str, state: str = "Success", exit_code: int = 0) -> None:
        for one in instance_ids:
            self.claim(invoke_id, one)
            self.finish(invoke_id, one, state, exit_code=exit_code)


@pytest.fixture
def assistant(redis_server: RedisServer) -> Iterator[Assistant]:
    with Assistant(settings=Settings(redis_url=redis_server.url())) as made:
        for name in ("i-1", "i-2", "i-3"):
            made.add_instance(name, tags={"env": "prod" if name != "i-3" else "test"})
        yield made


@pytest.fixture
def agent(assistant: Assistant) -> AgentStandIn:
    return AgentStandIn(assistant.redis)
