"""A waiting client believes a result that comes with its announcement only when that instance has signed it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import WaitTimedOut
from cloud_assistant.broker_config.functions.executions import LivePiece, append_output, claim_command, finish
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.ledger import load_invocation, load_rows
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Argument, Command
from cloud_assistant.broker_config.results import ExecutionRow, KeptStreams, Outcome
from cloud_assistant.broker_config.security.result_signing import FIELD
from cloud_assistant.broker_config.settling import settle_as_announced
from cloud_assistant.broker_config.states import ExecutionState
from cloud_assistant.producer import Assistant, Targets
from cloud_assistant.producer.following.waiting import Ended, Output
from cloud_assistant.worker.trust.key_ring import KeyRing

BOTH = Targets(instance_ids=["i-a", "i-b"])
ONLY_A = Targets(instance_ids=["i-a"])
FORGED = b"all is well\n"


@dataclass
class Agent:
    """What an agent does to the ledger, with the rights and the key of its instance."""

    instance_id: str
    redis: Redis
    keys: KeyRing

    def execution(self, invoke_id: str) -> str:
        return f"{invoke_id}.0@{self.instance_id}"

    def claim(self, invoke_id: str) -> None:
        execution = self.execution(invoke_id)
        run(self.redis, claim_command(self.instance_id, execution, epoch="e", boot_id="b", report_margin_ms=60_000))

    def finish(self, invoke_id: str, output: bytes = b"123\n", *, signed: bool = True) -> None:
        execution = self.execution(invoke_id)
        fields: Mapping[str, Argument] = ended(output).fields()
        if signed:
            fields = self.signed(execution, output)
        finish(
            self.redis, self.instance_id, execution, ExecutionState.SUCCESS, fields,
            live_output_ttl_ms=60_000, retention_ms=60_000,
        )  # fmt: skip

    def run(self, invoke_id: str, output: bytes = b"123\n", *, signed: bool = True) -> None:
        self.claim(invoke_id)
        self.finish(invoke_id, output, signed=signed)

    def signed(self, execution: str, output: bytes) -> Mapping[str, Argument]:
        return self.keys.signed(execution, ExecutionState.SUCCESS, ended(output).fields())


@dataclass
class Scene:
    assistant: Assistant
    a: Agent
    b: Agent
    #: Each round trip of the control side.
    exchanges: list[Sequence[Command]]

    def read(self, invoke_id: str) -> list[ExecutionRow | None]:
        """The rows of both as the ledger has them."""
        return load_rows(
            self.assistant.redis, [(one.instance_id, one.execution(invoke_id)) for one in (self.a, self.b)]
        )

    def channel(self, invoke_id: str) -> str:
        return load_invocation(self.assistant.redis, invoke_id).record.done_channel

    def asked(self) -> list[Argument]:
        return [command[0] for commands in self.exchanges for command in commands]


def ended(output: bytes) -> Outcome:
    return Outcome(
        state=ExecutionState.SUCCESS,
        started_ms=5,
        finished_ms=9,
        exit_code=0,
        output=KeptStreams(data=output, runs=((1, len(output)),)),
    )


@pytest.fixture
def scene(
    assistant: Assistant, tmp_path: Path, connect: Callable[[str], Redis], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    made = []
    for name in ("i-a", "i-b"):
        assistant.add_instance(name)
        credentials = assistant.trust.issue_credentials(name).credentials
        (tmp_path / name).mkdir()
        keys_of_it = KeyRing(tmp_path / name, name, credentials.instance_key)
        made.append(Agent(name, connect(credentials.redis_url), keys_of_it))
    # It signs with the master key that has been made now.
    with Assistant(settings=assistant.settings) as signing:
        scene = Scene(signing, made[0], made[1], [])
        # The first request finds out whose key is which, the first wait subscribes.
        invoke_id = signing.run_command("true", BOTH).invoke_id
        for agent in made:
            agent.run(invoke_id)
        signing.wait(invoke_id, timeout_seconds=10)
        pipeline = signing.redis.pipeline

        def noted(commands: Sequence[Command], **named: float | None) -> list[object]:
            scene.exchanges.append(commands)
            return pipeline(commands, **named)

        monkeypatch.setattr(signing.redis, "pipeline", noted)
        yield scene


def test_signed_results_are_taken_from_the_announcements_and_the_roll_up_is_stored_all_the_same(scene: Scene) -> None:
    invoke_id = scene.assistant.run_command("true", BOTH).invoke_id
    scene.a.run(invoke_id, bytes(range(256)))
    scene.b.run(invoke_id, b"")
    scene.exchanges.clear()
    finished = scene.assistant.wait(invoke_id, timeout_seconds=10)
    assert scene.exchanges == []
    assert finished.results == scene.read(invoke_id)
    assert finished.results[0].outcome.output.data == bytes(range(256))
    assert load_invocation(scene.assistant.redis, invoke_id).settled == {"Success": 2}
    assert scene.assistant.redis.call("ZSCORE", keys.INVOCATIONS_OPEN, invoke_id) is None


def test_a_command_can_be_deleted_as_soon_as_its_last_run_was_waited_for(scene: Scene) -> None:
    invoked = scene.assistant.run_command("true", ONLY_A, keep_command=True)
    scene.a.run(invoked.invoke_id)
    scene.assistant.wait(invoked.invoke_id, timeout_seconds=10)
    described = scene.assistant.describe_invocations().items[0]
    assert described.stored.record.invoke_id == invoked.invoke_id
    assert described.status.state == "Success"
    scene.assistant.delete_command(invoked.command_id)


@pytest.mark.parametrize("why", ["too large", "unsigned"])
def test_what_comes_without_its_row_or_unsigned_is_read(scene: Scene, why: str) -> None:
    invoke_id = scene.assistant.run_command("true", BOTH).invoke_id
    scene.a.run(invoke_id, b"x" * 10_000 if why == "too large" else b"x", signed=why != "unsigned")
    scene.b.run(invoke_id)
    scene.exchanges.clear()
    finished = scene.assistant.wait(invoke_id, timeout_seconds=10)
    # Of the two ends one may be heard before the other: the roll-up goes along with the reading, or behind it.
    assert scene.asked() in (["HGETALL", "TIME"], ["HGETALL", "TIME", "FCALL"])
    assert finished.results == scene.read(invoke_id)
    assert load_invocation(scene.assistant.redis, invoke_id).settled == {"Success": 2}


def test_live_output_is_shown_before_the_announced_end(scene: Scene) -> None:
    invoke_id = scene.assistant.run_command("true", ONLY_A).invoke_id
    scene.a.claim(invoke_id)
    piece = LivePiece(offset_bytes=0, skipped_bytes=0, streams="1:4", data=b"123\n", keep_count=9, ttl_ms=60_000)
    append_output(scene.a.redis, "i-a", scene.a.execution(invoke_id), piece)
    events = scene.assistant.follow(invoke_id, timeout_seconds=10)
    while not isinstance(event := next(events), Output):
        pass
    assert event.data == b"123\n"
    scene.exchanges.clear()
    scene.a.finish(invoke_id)
    [end] = list(events)
    assert isinstance(end, Ended)
    assert end.row == scene.read(invoke_id)[0]
    assert scene.asked()[0] == "FCALL_RO"
    assert scene.assistant.sum_up(invoke_id, [end.row]).status.state == "Success"


def forged(kind: str, scene: Scene, execution: str, before: str) -> tuple[str, Mapping[str, Argument]]:
    """The state and the fields that somebody announces for an execution of A; ``before`` is an earlier one of A."""
    a, b = scene.a.keys, scene.b.keys
    fields = ended(FORGED).fields()
    made = b.signed(execution, "Success", fields)[FIELD]
    in_the_name_of_a = str(made, "ascii").replace(b.key_ids, a.key_ids)  # type: ignore[arg-type]  # it is bytes
    return {
        "without a signature": ("Success", fields),
        "signed with another's key": ("Success", b.signed(execution, "Success", fields)),
        "signed with another's key under the true one's name": ("Success", {**fields, FIELD: in_the_name_of_a}),
        "the result of another execution": ("Success", a.signed(before, "Success", fields)),
        "a changed result": ("Success", {**a.signed(execution, "Success", ended(b"bad\n").fields()), "output": FORGED}),
        "a result with another state": ("Success", {**a.signed(execution, "Failed", fields)}),
        "a result with a field more": ("Success", {**a.signed(execution, "Success", fields), "notes": b'["x"]'}),
        "a damaged signature": ("Success", {**fields, FIELD: b"\xff:\xff"}),
        "a state that is not final": ("Running", a.signed(execution, "Running", fields)),
    }[kind]


KINDS = [
    "without a signature",
    "signed with another's key",
    "signed with another's key under the true one's name",
    "the result of another execution",
    "a changed result",
    "a result with another state",
    "a result with a field more",
    "a damaged signature",
    "a state that is not final",
]


def announcement(execution: str, state: str, fields: Mapping[str, Argument]) -> bytes:
    """What ``finish.lua`` would announce."""
    parts = [part if isinstance(part, bytes) else str(part).encode() for pair in fields.items() for part in pair]
    body = b"\x93" + packed(state.encode()) + b"\x99" + packed(b"") * 9
    body += b"\xdc" + len(parts).to_bytes(2, "big") + b"".join(map(packed, parts))
    return f"end {execution} {state} ".encode() + body


def packed(part: bytes) -> bytes:
    return b"\xda" + len(part).to_bytes(2, "big") + part


@pytest.mark.parametrize("kind", KINDS)
def test_another_target_cannot_make_the_client_believe_a_forged_result(scene: Scene, kind: str) -> None:
    before = scene.assistant.run_command("true", BOTH).invoke_id
    invoke_id = scene.assistant.run_command("true", ONLY_A).invoke_id
    execution = scene.a.execution(invoke_id)
    message = announcement(execution, *forged(kind, scene, execution, scene.a.execution(before)))
    channel = scene.channel(invoke_id)
    scene.b.redis.call("PUBLISH", channel, message)
    scene.a.claim(invoke_id)
    with pytest.raises(WaitTimedOut):
        scene.assistant.wait(invoke_id, timeout_seconds=0.1)
    scene.a.finish(invoke_id, b"true\n")
    scene.b.redis.call("PUBLISH", channel, message)
    [row] = scene.assistant.wait(invoke_id, timeout_seconds=10).results
    assert row == scene.read(invoke_id)[0]
    assert row.outcome.output.data == b"true\n"


def test_the_same_announcement_with_the_true_signature_is_believed(scene: Scene) -> None:
    invoke_id = scene.assistant.run_command("true", ONLY_A).invoke_id
    execution = scene.a.execution(invoke_id)
    signed = scene.a.signed(execution, FORGED)
    scene.b.redis.call("PUBLISH", scene.channel(invoke_id), announcement(execution, "Success", signed))
    [row] = scene.assistant.wait(invoke_id, timeout_seconds=10).results
    assert row.outcome.output.data == FORGED
    # Redis looks at the row itself before it stores the roll-up.
    assert load_invocation(scene.assistant.redis, invoke_id).settled is None


def test_who_has_not_dispatched_it_believes_nothing(scene: Scene) -> None:
    """For he does not know which key the instance holds: an earlier one may be in somebody else's hands."""
    invoke_id = scene.assistant.run_command("true", ONLY_A).invoke_id
    execution = scene.a.execution(invoke_id)
    with Assistant(settings=scene.assistant.settings) as other:
        # It has signed for that instance, and so knows as much as can be known.
        other.run_command("true", ONLY_A)
        events = other.follow(invoke_id, timeout_seconds=1, live=False)
        next(events)
        signed = scene.a.signed(execution, FORGED)
        scene.b.redis.call("PUBLISH", scene.channel(invoke_id), announcement(execution, "Success", signed))
        with pytest.raises(WaitTimedOut):
            list(events)


@pytest.mark.parametrize(
    "row",
    [
        b"x",
        b"\x93\xa7Success\x90\x90",
        b"\xc1",
        b"\x93\xa7Success\x99" + b"\xc2" * 9 + b"\x91\xa1a",
        b"\x93" + b"\x91" * 5_000,
    ],
)
def test_what_is_no_row_is_read_from_the_ledger(scene: Scene, row: bytes) -> None:
    invoke_id = scene.assistant.run_command("true", ONLY_A).invoke_id
    scene.a.run(invoke_id, b"true\n")
    message = f"end {scene.a.execution(invoke_id)} Success ".encode() + row
    scene.b.redis.call("PUBLISH", scene.channel(invoke_id), message)
    assert scene.assistant.wait(invoke_id, timeout_seconds=10).results[0].outcome.output.data == b"true\n"


def test_a_key_that_was_replaced_proves_nothing_any_more(scene: Scene, tmp_path: Path) -> None:
    scene.assistant.trust.issue_credentials("i-a")
    invoke_id = scene.assistant.run_command("true", ONLY_A).invoke_id
    execution = scene.a.execution(invoke_id)
    signed = scene.a.signed(execution, FORGED)
    scene.b.redis.call("PUBLISH", scene.channel(invoke_id), announcement(execution, "Success", signed))
    with pytest.raises(WaitTimedOut):
        scene.assistant.wait(invoke_id, timeout_seconds=0.1)


def test_a_client_that_knows_no_announced_rows_takes_them_for_a_state_that_there_is_not(scene: Scene) -> None:
    invoke_id = scene.assistant.run_command("true", ONLY_A).invoke_id
    listening = scene.assistant.redis.subscribe(scene.channel(invoke_id))
    scene.a.run(invoke_id)
    heard = listening.next(5)
    listening.close()
    assert heard is not None
    # So did the clients before this one read an announcement.
    kind, _, rest = heard[1].decode("utf-8", "replace").partition(" ")
    execution, _, state = rest.partition(" ")
    assert (kind, execution) == ("end", scene.a.execution(invoke_id))
    assert state != "Success"
    stored = load_invocation(scene.assistant.redis, invoke_id)
    assert settle_as_announced(stored, [], [("i-a", execution, state)]) is None, "so the row is read"
