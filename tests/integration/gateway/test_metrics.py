"""What the metrics count, and that a scrape stays bounded."""

from pathlib import Path

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.functions.executions import claim_command, claim_reply, finish
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.redis.connection import Command as RedisCommand
from cloud_assistant.broker_config.results import Outcome
from cloud_assistant.broker_config.settings_table import Settings
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.producer import Assistant, metrics
from cloud_assistant.producer.beat_presence import beat_marks
from cloud_assistant.producer.fleet.targets import Targets
from harness.eventually import eventually
from harness.redis_server import RedisServer
from harness.system import System


def figure(text: str, name: str) -> float:
    (line,) = [line for line in text.splitlines() if line.startswith(f"cloud_assistant_{name} ")]
    return float(line.rpartition(" ")[2])


def claim_of(execution: str) -> RedisCommand:
    return claim_command("i-one", execution, epoch="e", boot_id="b", report_margin_ms=1000)


def run_to_its_end(assistant: Assistant, state: ExecutionState, code: str) -> str:
    invoked = assistant.run_command("true", Targets(instance_ids=["i-one"]))
    execution = execution_id(invoked.invoke_id, 0, "i-one")
    claimed_ms = claim_reply(run(assistant.redis, claim_of(execution))).claimed_ms  # type: ignore[union-attr]  # nobody else claims
    outcome = Outcome(state=state, started_ms=claimed_ms, finished_ms=claimed_ms + 40, error_code=code)
    finish(assistant.redis, "i-one", execution, state, outcome.fields(), live_output_ttl_ms=1000, retention_ms=60_000)
    return execution


def test_executions_are_counted_once_by_state_and_code(redis_server: RedisServer, tmp_path: Path) -> None:
    with Assistant(settings=Settings(redis_url=redis_server.url(), home=str(tmp_path))) as assistant:
        assistant.add_instance("i-one")
        found = metrics.Metrics(assistant.redis)
        waiting = assistant.run_command("true", Targets(instance_ids=["i-one"]))
        run_to_its_end(assistant, ExecutionState.SUCCESS, "")
        run_to_its_end(assistant, ExecutionState.FAILED, "ExitCodeNonzero")
        run_to_its_end(assistant, ExecutionState.ERROR, "of a later version")
        for _ in range(2):
            text = found.rendered()[0].decode()
            assert figure(text, 'executions_total{error_code="",state="Success"}') == 1
            assert figure(text, 'executions_total{error_code="ExitCodeNonzero",state="Failed"}') == 1
            assert figure(text, 'executions_total{error_code="other",state="Error"}') == 1
            assert figure(text, 'executions_open{state="Pending"}') == 1
            assert figure(text, "running_seconds_count") == 3
            assert figure(text, 'running_seconds_bucket{le="0.05"}') == 3
            assert figure(text, "waiting_seconds_count") == 3
            assert figure(text, "oldest_waiting_seconds") > 0
        assert (figure(text, "instances_registered"), figure(text, "instances_online")) == (1, 0)
        assistant.stop_invocation(waiting.invoke_id)
        text = found.rendered()[0].decode()
        assert figure(text, 'executions_total{error_code="",state="Cancelled"}') == 1
        assert figure(text, 'executions_open{state="Pending"}') == 0
        assert figure(text, "oldest_waiting_seconds") == 0
        assert figure(text, "running_seconds_count") == 3, "it never ran"
        invoked = assistant.run_command("true", Targets(instance_ids=["i-one"]))
        run(assistant.redis, claim_of(execution_id(invoked.invoke_id, 0, "i-one")))
        text = found.rendered()[0].decode()
        assert figure(text, 'executions_open{state="Running"}') == 1
        assert figure(text, "oldest_waiting_seconds") == 0, "it was taken"


def test_what_is_read_last_stays_where_redis_is_gone(redis_server: RedisServer, tmp_path: Path) -> None:
    with Assistant(settings=Settings(redis_url=redis_server.url(), home=str(tmp_path))) as assistant:
        assistant.add_instance("i-one")
        found = metrics.Metrics(assistant.redis)
        run_to_its_end(assistant, ExecutionState.SUCCESS, "")
        assert figure(found.rendered()[0].decode(), "redis_up") == 1
        redis_server.kill()
        text = found.rendered()[0].decode()
        assert (figure(text, "redis_up"), figure(text, "running_seconds_count")) == (0, 1)


def test_what_is_strange_in_one_row_leaves_the_others(redis_server: RedisServer, tmp_path: Path) -> None:
    with Assistant(settings=Settings(redis_url=redis_server.url(), home=str(tmp_path))) as assistant:
        assistant.add_instance("i-one")
        strange, of_a_clock_ahead, _ = [run_to_its_end(assistant, ExecutionState.SUCCESS, "") for _ in range(3)]
        assistant.redis.call("SET", keys.execution("i-one", strange), "no row")
        assistant.redis.call("HSET", keys.execution("i-one", of_a_clock_ahead), "created_ms", now_ms() + 3_600_000)
        text = metrics.Metrics(assistant.redis).rendered()[0].decode()
        assert (figure(text, "redis_up"), figure(text, "running_seconds_count")) == (1, 2)
        assert figure(text, "waiting_seconds_sum") >= 0


def test_too_many_executions_are_said_and_not_looked_at(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "OPEN_COUNT", 2)
    with Assistant(settings=Settings(redis_url=redis_server.url(), home=str(tmp_path))) as assistant:
        assistant.add_instance("i-one")
        found = metrics.Metrics(assistant.redis)
        made = [assistant.run_command("true", Targets(instance_ids=["i-one"])).invoke_id for _ in range(5)]
        for _ in range(2):
            text = found.rendered()[0].decode()
            assert figure(text, "executions_unobserved") == 3
            assert figure(text, 'executions_open{state="Pending"}') == 2
        assistant.redis.call("ZREM", keys.DEADLINES, *(execution_id(one, 0, "i-one") for one in made[:4]))
        assert figure(found.rendered()[0].decode(), "executions_unobserved") == 0


def test_what_others_keep_from_being_looked_at_for_a_while_is_not_counted_again(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "OPEN_COUNT", 2)
    with Assistant(settings=Settings(redis_url=redis_server.url(), home=str(tmp_path))) as assistant:
        assistant.add_instance("i-one")
        found = metrics.Metrics(assistant.redis)
        ended = [run_to_its_end(assistant, ExecutionState.SUCCESS, "") for _ in range(2)]
        found.rendered()
        soon = [run_to_its_end(assistant, ExecutionState.FAILED, "ExitCodeNonzero") for _ in range(2)]
        assistant.redis.call("ZADD", keys.DEADLINES, "XX", *(part for one in soon for part in (1, one)))
        text = found.rendered()[0].decode()
        assert figure(text, 'executions_total{error_code="ExitCodeNonzero",state="Failed"}') == 2
        # A beat has seen those, and one of the others.
        assistant.redis.call("ZREM", keys.DEADLINES, *soon, ended[0])
        text = found.rendered()[0].decode()
        assert figure(text, 'executions_total{error_code="",state="Success"}') == 2
        assert figure(text, "running_seconds_count") == 4
        assert figure(text, "waiting_seconds_count") == 4
        # Nothing of those that are gone is kept: they would be counted anew, both as claimed and as ended.
        assistant.redis.call("ZADD", keys.DEADLINES, 1, soon[0])
        text = found.rendered()[0].decode()
        assert (figure(text, "running_seconds_count"), figure(text, "waiting_seconds_count")) == (5, 5)


def test_it_is_seen_whether_a_beat_is_at_work(system: System) -> None:
    with Assistant(system.redis_url) as assistant:
        found = metrics.Metrics(assistant.redis)
        assert figure(found.rendered()[0].decode(), "beat_up") == 0
        for mark in beat_marks():
            assistant.redis.call("SET", mark, "beat", "PX", 60_000)
        assert figure(found.rendered()[0].decode(), "beat_up") == 1
        assistant.redis.call("DEL", *beat_marks())
        beat = system.start_beat()
        eventually(lambda: figure(found.rendered()[0].decode(), "beat_up") == 1, what="the beat is seen")
        beat.sigkill()
        eventually(lambda: figure(found.rendered()[0].decode(), "beat_up") == 0, what="it is seen to be gone")
