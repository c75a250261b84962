"""The control side of a test: dispatches scripts to agents and reads the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cloud_assistant.broker_config import ids, keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.dispatch import Dispatcher
from cloud_assistant.broker_config.errors import RedisRefused, RedisUnreachable
from cloud_assistant.broker_config.functions.executions import request_stop_command
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.functions.instances import register_instance
from cloud_assistant.broker_config.messages import WorkOrder
from cloud_assistant.broker_config.records import Command, Invocation, ScriptType
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.results import ExecutionRow, read_row
from cloud_assistant.broker_config.security.signing import MasterKeys
from cloud_assistant.broker_config.states import is_final
from cloud_assistant.broker_config.task_message import fill, template
from harness.eventually import eventually
from harness.processes import Program, clean_environment, installed_program
from harness.system import System


@dataclass(frozen=True)
class Execution:
    """One target of an invocation."""

    id: str
    instance_id: str
    done_channel: str


class Operator:
    """Writes invocations as producers do."""

    def __init__(self, redis_url: str, master: MasterKeys | None = None) -> None:
        self.redis = Redis(redis_url, name="operator")
        self.dispatcher = Dispatcher(self.redis, master, queue_count=10_000)

    def close(self) -> None:
        self.redis.close()

    def register(self, *instance_ids: str) -> None:
        for one in instance_ids:
            register_instance(self.redis, one, {"name": f"name of {one}"}, now_ms=now_ms(), must_be_new=False)

    def invoke(
        self,
        script: str | bytes,
        instance_ids: Sequence[str] = ("i-one",),
        *,
        timeout_seconds: int = 60,
        deliver_within_seconds: int = 60,
        script_type: ScriptType = ScriptType.SHELL,
        **order_fields: Any,
    ) -> list[Execution]:
        """Dispatch a script; returns one execution per target."""
        content = script.encode() if isinstance(script, str) else script
        command = Command(
            command_id=ids.new_id("c"),
            name="test",
            type=script_type,
            content=content,
            created_ms=now_ms(),
            kept=False,
        )
        invocation = Invocation(
            invoke_id=ids.new_id("t"),
            command=command,
            created_ms=now_ms(),
            target_count=len(instance_ids),
            done_channel=keys.done_channel(ids.new_token()),
            payload_token=ids.new_token(),
            timeout_seconds=timeout_seconds,
            deliver_within_seconds=deliver_within_seconds,
        )
        order = WorkOrder(
            command_id=command.command_id,
            command_name="test",
            type=script_type,
            content=content,
            timeout_seconds=timeout_seconds,
            **order_fields,
        )
        self.dispatcher.create(invocation, order, instance_ids)
        return [
            Execution(ids.execution_id(invocation.invoke_id, 0, one), one, invocation.done_channel)
            for one in instance_ids
        ]

    def invoke_one(self, script: str | bytes, instance_id: str = "i-one", **options: Any) -> Execution:
        return self.invoke(script, [instance_id], **options)[0]

    def ask(self, *command: str | int) -> Any:
        """Ask Redis; when it is away that is a failed assertion, so that ``eventually`` asks again."""
        try:
            return self.redis.call(*command)
        except (RedisUnreachable, RedisRefused) as exc:
            raise AssertionError(str(exc)) from exc

    def row(self, execution: Execution) -> ExecutionRow:
        row = read_row(execution.id, self.ask("HGETALL", self.row_key(execution)))
        assert row is not None, f"no row of {execution.id}"
        return row

    def row_key(self, execution: Execution) -> str:
        return keys.execution(execution.instance_id, execution.id)

    def wait_for_state(self, execution: Execution, state: str, within_seconds: float = 20) -> ExecutionRow:
        def reached() -> ExecutionRow | None:
            row = self.row(execution)
            assert row.state == state, f"{execution.id} is {row.state} {row.outcome.error_code}"
            return row

        return eventually(reached, within_seconds, f"{execution.id} is {state}")

    def wait(self, execution: Execution, within_seconds: float = 20) -> ExecutionRow:
        """Wait for the final state."""

        def ended() -> ExecutionRow | None:
            row = self.row(execution)
            assert is_final(row.state), f"{execution.id} is {row.state}"
            return row

        return eventually(ended, within_seconds, f"{execution.id} ends")

    def run(self, script: str | bytes, instance_id: str = "i-one", **options: Any) -> ExecutionRow:
        return self.wait(self.invoke_one(script, instance_id, **options))

    def stop(self, execution: Execution) -> None:
        run(self.redis, request_stop_command(execution.instance_id, execution.id, confirm_ms=60_000))

    def push_again(self, execution: Execution, times: int = 1) -> None:
        """Put the message of an execution into its queue once more."""
        message = fill(template("", "test"), execution.id)
        self.redis.call("LPUSH", keys.queue(execution.instance_id), *[message] * times)


def side_effects(path: Path) -> list[str]:
    """Lines that scripts have appended to a file outside of our control."""
    return path.read_text().splitlines() if path.exists() else []


def agent_program(system: System, instance_id: str = "i-one", home: str = "", **environment: str) -> Program:
    """An agent that is not started yet, for starts that do not end in readiness; the system stops it."""
    folder = system.folder / (home or instance_id)
    program = Program(
        [installed_program("assist-agent"), "run"],
        env=clean_environment(
            folder,
            {
                "CLOUD_ASSISTANT_REDIS_URL": system.redis_url,
                "CLOUD_ASSISTANT_HOME": str(folder),
                "CLOUD_ASSISTANT_INSTANCE_ID": instance_id,
                **system.environment,
                **environment,
            },
        ),
        cwd=folder,
        log_path=folder / "agent.log",
        name=f"agent {instance_id} in {folder.name}",
    )
    system.programs.append(program)
    return program
