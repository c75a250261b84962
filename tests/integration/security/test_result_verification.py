"""Results are attributable: what an agent signed is told from what somebody wrote."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.error_codes import ErrorCode
from cloud_assistant.broker_config.functions.executions import claim_command, finish
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.results import KeptStreams, Outcome
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.producer import Assistant, Targets
from cloud_assistant.producer.invocations.invoking import RunOptions
from cloud_assistant.producer.security.result_verification import BAD, Verdict
from cloud_assistant.worker.trust.key_ring import KeyRing

OUTPUT = KeptStreams(data=b"one\ntwo\n", runs=((1, 4), (2, 4)), dropped_bytes=7, gap_at=4)
OUTCOMES = (
    Outcome(state=ExecutionState.SUCCESS, started_ms=5, finished_ms=9, exit_code=0, output=OUTPUT),
    Outcome(
        state=ExecutionState.TERMINATED,
        started_ms=5,
        finished_ms=9,
        signal=15,
        survivors=0,
        left_running=2,
        steps=[{"what": "TERM", "at_ms": 7}],
        notes=["a note"],
    ),
    Outcome(state=ExecutionState.INVALID, finished_ms=9, error_code="AccountNotExists", error_info="no user x"),
)


@dataclass
class Scene:
    assistant: Assistant
    keys: KeyRing

    def executed(self, outcome: Outcome, *, signed: bool = True) -> str:
        """Run an invocation to its end as an agent does; answer its id."""
        invoked = self.assistant.run_command("true", Targets(instance_ids=["i-one"]))
        execution = f"{invoked.invoke_id}.0@i-one"
        run(self.assistant.redis, claim_command("i-one", execution, epoch="e", boot_id="b", report_margin_ms=1000))
        fields: Mapping[str, object] = outcome.fields()
        if signed:
            fields = self.keys.signed(execution, outcome.state, outcome.fields())
        finish(
            self.assistant.redis,
            "i-one",
            execution,
            outcome.state,
            fields,  # type: ignore[arg-type]
            live_output_ttl_ms=1000,
            retention_ms=1000,
        )
        return invoked.invoke_id

    def verdict(self, invoke_id: str) -> Verdict:
        return self.assistant.trust.verify_results(invoke_id)[0].verdict

    def change(self, invoke_id: str, *command: str) -> None:
        self.assistant.redis.call(command[0], keys.execution("i-one", f"{invoke_id}.0@i-one"), *command[1:])


@pytest.fixture
def scene(assistant: Assistant, tmp_path: Path) -> Scene:
    assistant.add_instance("i-one")
    credentials = assistant.trust.issue_credentials("i-one").credentials
    home = tmp_path / "agent"
    home.mkdir()
    return Scene(assistant, KeyRing(home, "i-one", credentials.instance_key))


def test_of_a_schedule_the_latest_result_of_each_target_is_verified(scene: Scene) -> None:
    """They do not march in step: one was left out at the last due time, or its machine has not started since."""
    scene.assistant.add_instance("i-two")
    options = RunOptions(schedule=Schedule(repeat_mode=RepeatMode.PERIOD, frequency="0 0 0 1 1 ?"))
    invoke_id = scene.assistant.run_command("true", Targets(instance_ids=["i-one", "i-two"]), options).invoke_id
    redis, outcome = scene.assistant.redis, OUTCOMES[0]
    forged = execution_id(invoke_id, 1_000, "i-one")
    fields = {**scene.keys.signed(forged, outcome.state, outcome.fields()), "output": "all is well\n"}
    redis.call("HSET", keys.execution("i-one", forged), "state", outcome.state, *chain.from_iterable(fields.items()))
    redis.call("HSET", keys.timed_latest(invoke_id), "i-one", 1_000)
    redis.call("HSET", keys.timed(invoke_id), "last_due_ms", 2_000)
    found = scene.assistant.trust.verify_results(invoke_id)
    assert [one.verdict for one in found] == [Verdict.CHANGED, Verdict.UNFINISHED]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda one: one.state.value)
def test_what_the_agent_signed_is_valid(scene: Scene, outcome: Outcome) -> None:
    assert scene.verdict(scene.executed(outcome)) is Verdict.VALID


CHANGES: dict[str, tuple[str, ...]] = {
    "the state": ("HSET", "state", "Failed"),
    "the output": ("HSET", "output", "all is well\n"),
    "the streams": ("HSET", "streams", "2:8"),
    "the exit code": ("HSET", "exit_code", "1"),
    "the end": ("HSET", "finished_ms", "10"),
    "the start": ("HSET", "started_ms", "4"),
    "what is missing": ("HDEL", "dropped_bytes"),
    "an added reason": ("HSET", "error_info", "x"),
    "an added note": ("HSET", "notes", '["x"]'),
    "a damaged signature": ("HSET", "result_mac", "k1:00"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_result_is_found(scene: Scene, name: str) -> None:
    invoke_id = scene.executed(OUTCOMES[0])
    scene.change(invoke_id, *CHANGES[name])
    assert scene.verdict(invoke_id) in (Verdict.CHANGED, Verdict.KEY_UNKNOWN)


def test_a_result_of_another_execution_is_found(scene: Scene, redis: Redis) -> None:
    good, bad = scene.executed(OUTCOMES[0]), scene.executed(OUTCOMES[2])
    row = redis.call("HGETALL", keys.execution("i-one", f"{good}.0@i-one"))
    scene.change(bad, "HSET", *row)
    assert scene.verdict(bad) is Verdict.CHANGED


def test_a_result_signed_by_nobody_is_found_even_when_the_signature_was_taken_away(scene: Scene) -> None:
    assert scene.verdict(scene.executed(OUTCOMES[0], signed=False)) is Verdict.UNSIGNED
    invoke_id = scene.executed(OUTCOMES[0])
    scene.change(invoke_id, "HDEL", "result_mac")
    assert scene.verdict(invoke_id) is Verdict.UNSIGNED


@pytest.mark.parametrize(
    ("state", "code", "verdict"),
    [
        (ExecutionState.ABORTED, "ClientNotRunning", Verdict.NO_RESULT),
        (ExecutionState.CANCELLED, "", Verdict.NO_RESULT),
        (ExecutionState.INVALID, ErrorCode.INSTANCE_QUARANTINED, Verdict.NO_RESULT),
        (ExecutionState.ERROR, ErrorCode.INSTANCE_RELEASED, Verdict.NO_RESULT),
        (ExecutionState.INVALID, "AccountNotExists", Verdict.UNSIGNED),
        (ExecutionState.ERROR, "", Verdict.UNSIGNED),
        (ExecutionState.FAILED, ErrorCode.INSTANCE_RELEASED, Verdict.UNSIGNED),
        (ExecutionState.SUCCESS, "", Verdict.UNSIGNED),
    ],
)
def test_without_a_signature_only_ends_that_the_control_side_writes_are_none_of_an_agent(
    scene: Scene, state: str, code: str, verdict: Verdict
) -> None:
    invoke_id = scene.executed(OUTCOMES[0], signed=False)
    scene.change(invoke_id, "HSET", "state", state, "error_code", code)
    assert scene.verdict(invoke_id) is verdict


def test_what_a_key_signed_that_nobody_knows_is_as_bad_as_a_change(scene: Scene) -> None:
    invoke_id = scene.executed(OUTCOMES[0])
    scene.change(invoke_id, "HSET", "result_mac", "k9:00")
    assert scene.verdict(invoke_id) is Verdict.KEY_UNKNOWN
    assert {Verdict.KEY_UNKNOWN, Verdict.CHANGED, Verdict.UNSIGNED} == BAD


def test_another_instance_cannot_sign_for_this_one(
    scene: Scene, assistant: Assistant, tmp_path: Path, connect: Callable[[str], Redis]
) -> None:
    assistant.add_instance("i-two")
    other = assistant.trust.issue_credentials("i-two").credentials
    (tmp_path / "other").mkdir()
    thief = Scene(assistant, KeyRing(tmp_path / "other", "i-two", other.instance_key))
    assert scene.verdict(thief.executed(OUTCOMES[0])) is Verdict.CHANGED


def test_an_end_that_the_control_side_wrote_is_told_apart(scene: Scene, assistant: Assistant) -> None:
    invoked = assistant.run_command("true", Targets(instance_ids=["i-one"]))
    assert scene.verdict(invoked.invoke_id) is Verdict.UNFINISHED
    assistant.stop_invocation(invoked.invoke_id)
    assert scene.verdict(invoked.invoke_id) is Verdict.NO_RESULT
