"""Timed invocations on a real server, and a stand-in that moves rows as an agent does.

The stand-in exists so that these tests can hold an execution at any point; tests of the whole use real agents.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.executions import Claimed, NotClaimed, claim_command, claim_reply, finish
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.results import ExecutionRow, KeptStreams, Outcome, read_row
from cloud_assistant.broker_config.settings_table import BeatSettings, Settings
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.broker_config.timed.firing_rows import Firing, latest_firings
from cloud_assistant.broker_config.timed.timed_invocation import Timed, load_timed, server_ms
from cloud_assistant.producer import Assistant, RunOptions, Targets
from harness.eventually import eventually
from harness.processes import Program
from harness.redis_server import RedisServer
from harness.system import System

EVERY_SECOND = "* * * * * *"


@dataclass
class Timing:
    """Timed invocations, the beats that fire them, and what came of it."""

    assistant: Assistant
    system: System

    @property
    def redis(self) -> Redis:
        return self.assistant.redis

    # Asking

    def invoke(
        self,
        *targets: str,
        frequency: str = EVERY_SECOND,
        deliver_within_seconds: int = 0,
        timeout_seconds: int = 10,
        repeat_mode: RepeatMode = RepeatMode.PERIOD,
        script: str = "echo 123",
        **schedule: str | float,
    ) -> str:
        """Make a timed invocation, for i-1 unless said otherwise."""
        invoked = self.assistant.run_command(
            script,
            Targets(instance_ids=targets or ["i-1"]),
            RunOptions(
                timeout_seconds=timeout_seconds,
                deliver_within_seconds=deliver_within_seconds,
                schedule=Schedule(repeat_mode=repeat_mode, frequency=frequency, **schedule),  # type: ignore[arg-type]
            ),
        )
        return invoked.invoke_id

    def start_beat(self, name: str = "beat", **environment: str) -> Program:
        return self.system.start_beat(name, environment=environment)

    # Looking

    def timed(self, invoke_id: str) -> Timed:
        return load_timed(self.redis, invoke_id)

    def firings(self, invoke_id: str) -> list[Firing]:
        """Every row, the earliest due time first."""
        return latest_firings(self.redis, invoke_id, 0, 100_000)[::-1]

    def wait_for_firings(self, invoke_id: str, count: int, within_seconds: float = 20) -> list[Firing]:
        """Wait until so many rows are there and none of them is still being dispatched."""

        def enough() -> list[Firing] | None:
            found = self.firings(invoke_id)
            decided = [one for one in found if one.status != "dispatching"]
            return found if len(decided) >= count and len(decided) == len(found) else None

        return eventually(enough, within_seconds, f"{count} rows of {invoke_id}")

    def row(self, invoke_id: str, firing: Firing | int, instance_id: str = "i-1") -> ExecutionRow | None:
        due_ms = firing if isinstance(firing, int) else firing.due_ms
        execution = execution_id(invoke_id, due_ms, instance_id)
        return read_row(execution, self.redis.call("HGETALL", keys.execution(instance_id, execution)))

    def state(self, invoke_id: str, firing: Firing | int, instance_id: str = "i-1") -> str:
        row = self.row(invoke_id, firing, instance_id)
        return row.state if row else ""

    def server_ms(self) -> int:
        return server_ms(self.redis)

    # Doing what an agent does

    def claim(self, invoke_id: str, firing: Firing | int, instance_id: str = "i-1") -> Claimed | NotClaimed:
        due_ms = firing if isinstance(firing, int) else firing.due_ms
        execution = execution_id(invoke_id, due_ms, instance_id)
        command = claim_command(instance_id, execution, epoch="e", boot_id="b", report_margin_ms=60_000)
        return claim_reply(run(self.redis, command))

    def finish(self, invoke_id: str, firing: Firing | int, instance_id: str = "i-1", state: str = "Success") -> None:
        due_ms = firing if isinstance(firing, int) else firing.due_ms
        outcome = Outcome(
            state=ExecutionState(state), finished_ms=self.server_ms(), exit_code=0, output=KeptStreams(data=b"123\n")
        )
        finish(
            self.redis,
            instance_id,
            execution_id(invoke_id, due_ms, instance_id),
            outcome.state,
            outcome.fields(),
            live_output_ttl_ms=1000,
            retention_ms=60_000,
        )

    # Doing what time does

    def set_back(self, invoke_id: str, due_ms: int) -> None:
        """Leave a schedule as it is when no beat has decided about anything since ``due_ms``, which must be due."""
        self.redis.pipeline_or_raise(
            [
                ("HSET", keys.timed(invoke_id), "due_ms", due_ms, "due_skip", ""),
                ("HDEL", keys.timed(invoke_id), "next_ms", "next_skip"),
                ("ZADD", keys.TIMED_DUE, due_ms, invoke_id),
            ]
        )


@pytest.fixture
def settings(redis_server: RedisServer) -> Settings:
    return replace(Settings(redis_url=redis_server.url()), beat=BeatSettings(minimum_interval_seconds=1))


@pytest.fixture
def timing(system: System, settings: Settings) -> Iterator[Timing]:
    with Assistant(settings=settings) as assistant:
        for name in ("i-1", "i-2", "i-3"):
            assistant.add_instance(name)
        yield Timing(assistant, system)


def due_seconds(firings: Sequence[Firing]) -> list[int]:
    """The due times in whole seconds, which is what the schedules of these tests have."""
    return [one.due_ms // 1000 for one in firings]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path
