"""A real server with two registered instances, and a way to make invocations on it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.dispatch import Dispatcher
from cloud_assistant.broker_config.functions.executions import Claimed, NotClaimed, claim_command, claim_reply
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.functions.instances import register_instance
from cloud_assistant.broker_config.ids import execution_id, new_id, new_token
from cloud_assistant.broker_config.messages import WorkOrder
from cloud_assistant.broker_config.records import Command, Invocation, ScriptType
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.results import ExecutionRow, read_row
from cloud_assistant.broker_config.security.signing import MasterKeys
from cloud_assistant.broker_config.timed.timed_invocation import server_ms
from harness.redis_server import RedisServer

from .firing_schedule import Schedule

MASTER = MasterKeys("k1", {"k1": b"m" * 32})


@dataclass
class Ledger:
    """The functions on one server, in the words of these tests."""

    redis: Redis
    queue_count: int = 100

    def dispatch(self, *targets: str, content: bytes = b"echo 123", within_seconds: int = 60) -> Invocation:
        """Make and dispatch a one-off invocation."""
        invocation, order = self.build(len(targets), content, within_seconds)
        Dispatcher(self.redis, MASTER, queue_count=self.queue_count).create(invocation, order, targets)
        return invocation

    def build(self, count: int, content: bytes = b"echo 123", within_seconds: int = 60) -> tuple[Invocation, WorkOrder]:
        command = Command(
            command_id=new_id("c"), name="t", type=ScriptType.SHELL, content=content, created_ms=now_ms(), kept=False
        )
        invocation = Invocation(
            invoke_id=new_id("t"),
            command=command,
            created_ms=now_ms(),
            target_count=count,
            done_channel=keys.done_channel(new_token()),
            payload_token=new_token(),
            deliver_within_seconds=within_seconds,
        )
        order = WorkOrder(
            command_id=command.command_id,
            type=command.type,
            content=content,
            timeout_seconds=invocation.timeout_seconds,
        )
        return invocation, order

    def claim(self, invocation: Invocation, instance_id: str, epoch: str = "e1") -> Claimed | NotClaimed:
        return claim_reply(
            run(
                self.redis,
                claim_command(
                    instance_id,
                    self.execution(invocation, instance_id),
                    epoch=epoch,
                    boot_id="b1",
                    report_margin_ms=60_000,
                ),
            )
        )

    def execution(self, invocation: Invocation, instance_id: str) -> str:
        return execution_id(invocation.invoke_id, 0, instance_id)

    def row(self, invocation: Invocation, instance_id: str) -> ExecutionRow:
        execution = self.execution(invocation, instance_id)
        row = read_row(execution, self.redis.call("HGETALL", keys.execution(instance_id, execution)))
        assert row is not None
        return row

    def looked_at_ms(self, invocation: Invocation, instance_id: str) -> int:
        """When the sweeper looks at an execution."""
        return int(self.redis.call("ZSCORE", keys.DEADLINES, self.execution(invocation, instance_id)))

    def expire_deadline(self, invocation: Invocation, instance_id: str) -> None:
        """Put a deadline into the past, as waiting for it would."""
        execution = self.execution(invocation, instance_id)
        self.redis.call("HSET", keys.execution(instance_id, execution), "deadline_ms", now_ms() - 1)


@pytest.fixture
def ledger(redis_server: RedisServer) -> Iterator[Ledger]:
    redis = Redis(redis_server.url())
    for instance_id in ("i-1", "i-2"):
        register_instance(redis, instance_id, {"name": instance_id}, now_ms=now_ms(), must_be_new=True)
    yield Ledger(redis)
    redis.close()


@pytest.fixture
def key_names(ledger: Ledger) -> Callable[[], set[str]]:
    return lambda: {name.decode() for name in ledger.redis.call("KEYS", "*")}


@pytest.fixture
def schedule(ledger: Ledger) -> Schedule:
    register_instance(ledger.redis, "i-3", {"name": "i-3"}, now_ms=1, must_be_new=True)
    made = Schedule(ledger.redis, due_ms=server_ms(ledger.redis) - 100)
    made.set(status="active", due_ms=made.due_ms, revision="1", due_skip="", next_ms=made.next_ms, next_skip="")
    ledger.redis.call("ZADD", keys.TIMED_DUE, made.due_ms, made.invoke_id)
    return made
