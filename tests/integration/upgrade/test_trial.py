"""A version on trial is judged by its heartbeat and by a self-test that it claims, runs and reports."""

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.error_codes import ErrorCode
from cloud_assistant.broker_config.functions.executions import Claimed, claim_command, claim_reply, finish
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.messages import WorkOrder, decode_order
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.results import KeptStreams, Outcome
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.worker.trust.instance_key import InstanceKeys
from cloud_assistant.worker.upgrade.trial import MOST_HELD_UP_SECONDS, Trial, Verdict
from harness.eventually import eventually
from harness.redis_server import RedisServer

ID = "i-one"
KEYS = InstanceKeys({"k1": b"k" * 32}, "k1")


def trial(redis: Redis, probation_seconds: float = 60.0) -> Trial:
    return Trial(
        redis=redis,
        instance_id=ID,
        instance_keys=KEYS,
        version="2.0",
        earlier_epochs=["before", "just before"],
        probation_seconds=probation_seconds,
    )


def beat(redis: Redis, version: str = "2.0", epoch: str = "now", running_count: int = 0) -> None:
    fields: dict[str, str | int] = {
        "agent_version": version,
        "epoch": epoch,
        # The clock was put back meanwhile.
        "started_ms": 1,
        "running_count": running_count,
        "slots": 1,
    }
    redis.call("HSET", keys.info(ID), *(part for pair in fields.items() for part in pair))


def self_test(redis: Redis) -> str:
    """The id of the self-test that waits in the ledger."""
    (row,) = redis.call("KEYS", keys.execution(ID, "*").replace("[", "\\["))
    return str(row.decode().partition(":exec:")[2])


def perform(
    redis: Redis, state: ExecutionState, output: bytes | None = None, *, error_code: str = "", exit_code: int = 0
) -> None:
    """Claim the self-test and report how it went."""
    execution = self_test(redis)
    command = claim_command(ID, execution, epoch="e", boot_id="b", report_margin_ms=1000)
    claimed = claim_reply(run(redis, command))
    assert isinstance(claimed, Claimed)
    assert KEYS.accepts("", ID, claimed.envelope, claimed.mac)
    order = decode_order(claimed.payload)
    assert isinstance(order, WorkOrder)
    proof = order.content.removeprefix(b"echo ") + b"\n"
    done = Outcome(
        state=state,
        finished_ms=1,
        exit_code=exit_code,
        error_code=error_code,
        output=KeptStreams(data=proof if output is None else output),
    )
    finish(redis, ID, execution, state, done.fields(), live_output_ttl_ms=1, retention_ms=1000)


def test_a_version_that_runs_the_self_test_passes(redis: Redis) -> None:
    tried = trial(redis)
    assert tried.look() is Verdict.OPEN
    beat(redis)
    assert tried.look() is Verdict.OPEN
    assert redis.call("LLEN", keys.queue(ID)) == 1
    perform(redis, ExecutionState.SUCCESS)
    assert tried.look() is Verdict.PASSED


def test_the_heartbeat_of_the_old_version_counts_for_nothing(redis: Redis) -> None:
    tried = trial(redis, probation_seconds=0.1)
    beat(redis, version="1.0")
    eventually(lambda: tried.look() is Verdict.FAILED, within_seconds=10)
    assert "no heartbeat" in tried.reason


def test_a_heartbeat_from_before_the_trial_counts_for_nothing(redis: Redis) -> None:
    tried = trial(redis, probation_seconds=0.1)
    beat(redis, epoch="just before")
    eventually(lambda: tried.look() is Verdict.FAILED, within_seconds=10)
    assert "no heartbeat" in tried.reason
    assert redis.call("KEYS", keys.execution(ID, "*").replace("[", "\\[")) == [], "nothing is tried with it"


def test_a_version_has_its_whole_time_however_often_it_is_looked_at(
    redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed_seconds = [0.0]
    monkeypatch.setattr("cloud_assistant.worker.upgrade.trial.monotonic_seconds", lambda: passed_seconds[0])
    tried = trial(redis, probation_seconds=10.0)
    tried._looked_seconds = 0.0
    looks = []
    for _ in range(10):
        passed_seconds[0] += 1.0
        looks.append(tried.look())
    assert looks == [*[Verdict.OPEN] * 9, Verdict.FAILED]


def test_a_redis_that_refuses_to_serve_decides_nothing(redis: Redis) -> None:
    tried = trial(redis, probation_seconds=0.05)
    redis.call("SET", keys.info(ID), "x")
    assert {tried.look() for _ in range(50)} == {Verdict.OPEN}
    assert "Redis does not serve" in tried.reason


def test_a_version_that_takes_no_work_fails(redis: Redis) -> None:
    tried = trial(redis, probation_seconds=0.3)
    beat(redis)
    eventually(lambda: tried.look() is Verdict.FAILED, within_seconds=10)
    assert "self-test was not done" in tried.reason


@pytest.mark.parametrize(
    ("state", "output", "exit_code"),
    [
        (ExecutionState.FAILED, None, 0),
        (ExecutionState.SUCCESS, b"something else\n", 0),
        (ExecutionState.SUCCESS, None, 1),
    ],
)
def test_a_self_test_with_another_result_fails(
    redis: Redis, state: ExecutionState, output: bytes | None, exit_code: int
) -> None:
    tried = trial(redis)
    beat(redis)
    tried.look()
    perform(redis, state, output, exit_code=exit_code)
    assert tried.look() is Verdict.FAILED


@pytest.mark.parametrize("code", [ErrorCode.REFUSED_BY_LOCAL_POLICY, ErrorCode.INSTANCE_QUARANTINED])
def test_a_version_that_refuses_the_self_test_because_it_must_passes(redis: Redis, code: ErrorCode) -> None:
    tried = trial(redis)
    beat(redis)
    tried.look()
    perform(redis, ExecutionState.INVALID, b"", error_code=code)
    assert tried.look() is Verdict.PASSED


def test_a_machine_whose_slots_are_all_taken_gets_more_time(redis: Redis) -> None:
    tried = trial(redis, probation_seconds=0.05)
    beat(redis, running_count=1)
    looks = [tried.look() for _ in range(200)]
    assert set(looks) == {Verdict.OPEN}
    beat(redis)
    eventually(lambda: tried.look() is Verdict.FAILED, within_seconds=10)


def test_slots_that_are_never_free_leave_it_undecided_in_the_end(redis: Redis) -> None:
    tried = trial(redis)
    beat(redis, running_count=1)
    assert tried.look() is Verdict.OPEN
    tried._held_up_seconds = MOST_HELD_UP_SECONDS
    eventually(lambda: tried.look() is Verdict.UNDECIDED, within_seconds=10)


def test_while_redis_is_away_nothing_is_decided(redis_server: RedisServer, redis: Redis) -> None:
    tried = trial(redis, probation_seconds=0.05)
    redis_server.stop()
    assert {tried.look() for _ in range(50)} == {Verdict.OPEN}
    assert "Redis does not serve" in tried.reason


def test_a_self_test_waits_for_a_slot_as_long_as_its_trial_does(redis: Redis) -> None:
    tried = trial(redis, probation_seconds=60.0)
    beat(redis, running_count=1)
    tried.look()
    row = keys.execution(ID, self_test(redis))
    longest_ms = int((60.0 + MOST_HELD_UP_SECONDS) * 1000)
    assert redis.call("PTTL", row) > longest_ms
    assert int(redis.call("HGET", row, "deadline_ms")) - now_ms() > longest_ms


def test_a_redis_that_comes_back_empty_does_not_make_a_version_fail(redis: Redis) -> None:
    tried = trial(redis)
    beat(redis)
    tried.look()
    redis.call("FLUSHDB")
    beat(redis)
    assert [tried.look(), tried.look()] == [Verdict.OPEN, Verdict.OPEN]
    perform(redis, ExecutionState.SUCCESS)
    assert tried.look() is Verdict.PASSED
