"""What readers wait for: roll-up and first page of a large invocation, a page of a long history, the news of an end."""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import msgspec
from benchmarks.figures import Figure, Scale, at_most, of_runs, quantile, times_floor
from benchmarks.rig import Rig

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.functions.executions import claim_command, finish
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.functions.invocations import create_invocation_command
from cloud_assistant.broker_config.ids import execution_id, new_id
from cloud_assistant.broker_config.records import encode
from cloud_assistant.broker_config.redis.connection import Argument, Command
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.producer.fleet.targets import Targets
from cloud_assistant.producer.following.waiting import Ended
from cloud_assistant.producer.invocations.describing import InvocationFilter
from cloud_assistant.producer.invocations.describing_results import ResultFilter
from cloud_assistant.producer.paging import PageRequest

INSTANCE = "i-bench"
PAGE_COUNT = 50
CHUNK_COUNT = 500


def figures(scale: Scale, folder: Path) -> list[Figure]:
    """All three."""
    with Rig(folder) as rig:
        rig.assistant.add_instance(INSTANCE)
        return [*follow(rig, scale), *large_invocation(rig, scale), *long_history(rig, scale)]


def large_invocation(rig: Rig, scale: Scale) -> list[Figure]:
    """Roll-up and first page beside a bare pipeline that reads the states."""
    count, redis, assistant = scale.of(10_000, 1_000), rig.assistant.redis, rig.assistant
    fleet = [f"i-fleet-{number}" for number in range(count)]
    for first in range(0, count, CHUNK_COUNT):
        redis.pipeline_or_raise([("ZADD", keys.INSTANCES, 1, one) for one in fleet[first : first + CHUNK_COUNT]])
    invoke_id = assistant.run_command("true", Targets(instance_ids=fleet)).invoke_id
    rows = [keys.execution(one, execution_id(invoke_id, 0, one)) for one in fleet]

    def roll_up() -> None:
        [found] = assistant.describe_invocations(InvocationFilter(invoke_id=invoke_id)).items
        assert sum(found.status.counts.values()) == count

    def first_page() -> None:
        page = assistant.describe_invocation_results(ResultFilter(invoke_id=invoke_id), PageRequest(size=PAGE_COUNT))
        assert len(page.items) == PAGE_COUNT

    def states() -> None:
        for first in range(0, count, CHUNK_COUNT):
            redis.pipeline_or_raise([("HGET", row, "state") for row in rows[first : first + CHUNK_COUNT]])

    rounds = scale.of(11, 2)

    def both() -> None:
        roll_up()
        first_page()

    return [
        of_runs(
            f"roll-up and first page, {count:,} targets",
            "ms",
            _ms(both, rounds),
            _ms(states, rounds),
            goal=at_most(100),
        ),
        of_runs(f"first page alone, {count:,} targets", "ms", _ms(first_page, rounds)),
    ]


def long_history(rig: Rig, scale: Scale) -> list[Figure]:
    """The first page, and one by status, among few and among many invocations; the floor is the page among few."""
    few, many = scale.of(10_000, 100), scale.of(100_000, 500)
    wanted = {"of all": InvocationFilter(), "of those that failed": InvocationFilter(status="Failed")}

    def pages() -> list[Sequence[float]]:
        return [
            _ms(partial(rig.assistant.describe_invocations, one, PageRequest(size=20)), scale.of(31, 3))
            for one in wanted.values()
        ]

    store_finished(rig, few)
    before = pages()
    store_finished(rig, many - few)
    return [
        of_runs(f"page {name}, {many:,} invocations (floor: {few:,})", "ms", ours, base, goal=times_floor(1.5))
        for name, ours, base in zip(wanted, pages(), before, strict=True)
    ]


def store_finished(rig: Rig, count: int) -> None:
    """Store invocations of one target, over long ago, every tenth of which failed."""
    redis = rig.assistant.redis
    made = rig.assistant.run_command("true", Targets(instance_ids=[INSTANCE])).invoke_id
    template = rig.assistant.describe_invocations(InvocationFilter(invoke_id=made)).items[0].stored.record
    commands: list[Command] = []
    for number in range(count):
        invoke_id = new_id("t")
        record = msgspec.structs.replace(template, invoke_id=invoke_id)
        row = keys.execution(INSTANCE, execution_id(invoke_id, 0, INSTANCE))
        state = "Failed" if number % 10 == 0 else "Success"
        commands += [
            create_invocation_command(
                invoke_id,
                record.command.command_id,
                encode(record),
                [INSTANCE],
                created_ms=now_ms(),
                payload_token="",
                payload=b"",
                payload_ttl_ms=0,
                command_must_exist=False,
                timed=False,
            ),
            ("HSET", row, "state", state, "invoke_id", invoke_id, "created_ms", now_ms()),
        ]
        if len(commands) >= CHUNK_COUNT:
            redis.pipeline_or_raise(commands)
            commands = []
    redis.pipeline_or_raise(commands or [("PING",)])


def follow(rig: Rig, scale: Scale) -> list[Figure]:
    """From the moment an end is sent to the ledger until a client that follows has the result in hand."""
    delays = sorted(_delay_ms(rig) for _ in range(scale.of(200, 5)))
    return [
        Figure("follow: an end reaches a waiting client, p50", "ms", median(delays), goal=at_most(5)),
        Figure("follow: an end reaches a waiting client, p99", "ms", quantile(delays, 0.99), goal=at_most(5)),
    ]


def _delay_ms(rig: Rig) -> float:
    redis = rig.assistant.redis
    invoke_id = rig.assistant.run_command("true", Targets(instance_ids=[INSTANCE])).invoke_id
    name = execution_id(invoke_id, 0, INSTANCE)
    run(redis, claim_command(INSTANCE, name, epoch="e", boot_id="b", report_margin_ms=60_000))
    heard_at: list[float] = []
    following = threading.Event()

    def hear() -> None:
        for event in rig.assistant.follow(invoke_id, timeout_seconds=10):
            following.set()
            if isinstance(event, Ended):
                heard_at.append(time.perf_counter())

    client = threading.Thread(target=hear)
    client.start()
    # The first event is the present state; the client has subscribed before it asked for that.
    assert following.wait(5)
    sent_at = time.perf_counter()
    fields: dict[str, Argument] = {"finished_ms": now_ms(), "exit_code": 0, "output": b"123\n"}
    finish(redis, INSTANCE, name, ExecutionState.SUCCESS, fields, live_output_ttl_ms=1000, retention_ms=60_000)
    client.join(10)
    return 1e3 * (heard_at[0] - sent_at)


def _ms(action: Callable[[], object], rounds: int) -> Sequence[float]:
    times = []
    for _ in range(rounds + 1):
        began = time.perf_counter()
        action()
        times.append(1e3 * (time.perf_counter() - began))
    return times[1:]
