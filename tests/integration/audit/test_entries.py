"""What is entered: every change and refusal, by whom, in one chain however many write; and never what must not be."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from integration.audit.conftest import Entry

from cloud_assistant.beat import audit_keeping
from cloud_assistant.beat.audit_keeping import AuditKeeper
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.audit.anchor import anchor_path, read_anchor
from cloud_assistant.broker_config.audit.chain import AuditChain
from cloud_assistant.broker_config.audit.entry import AuditEntry, Outcome, Who, decode_entry
from cloud_assistant.broker_config.audit.refusals_of_agents import take_over
from cloud_assistant.broker_config.errors import CloudAssistantError
from cloud_assistant.broker_config.functions.audit import append_audit_command
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Argument
from cloud_assistant.broker_config.security.master_key import find_master_keys
from cloud_assistant.broker_config.security.signing import digest
from cloud_assistant.broker_config.settings_table import Settings
from cloud_assistant.producer import Assistant, Targets
from cloud_assistant.producer.invocations.invoking import RunOptions
from cloud_assistant.producer.security.access_keys import AccessKeys
from cloud_assistant.producer.security.audit_verification import verify_audit
from cloud_assistant.worker.trust.refusal_report import report

Entered = Callable[[], list[AuditEntry]]

WRITER = """
import sys
from cloud_assistant.broker_config.audit.chain import AuditChain
from cloud_assistant.broker_config.audit.entry import AuditEntry, Outcome, Who
from cloud_assistant.broker_config.security.master_key import load_master_keys
from cloud_assistant.broker_config.redis.client import Redis
from pathlib import Path
redis = Redis(sys.argv[1])
master = load_master_keys(Path(sys.argv[2]))
chain = AuditChain(redis, lambda: master)
for number in range(100):
    who = Who(kind="local", name=sys.argv[3])
    chain.append([AuditEntry(at_ms=1, who=who, action="Test", outcome=Outcome.DONE, what=str(number))])
"""


@pytest.fixture
def entered(entries: Callable[[], list[Entry]]) -> Entered:
    return lambda: [decode_entry(fields[3]) for _, fields in entries()]


def chain_of(redis: Redis, settings: Settings) -> AuditChain:
    return AuditChain(redis, lambda: find_master_keys(settings))


def test_ten_writers_at_once_make_one_chain(redis: Redis, settings: Settings, entered: Entered) -> None:
    key_file = f"{settings.home}/master-key.json"
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, settings.redis_url, key_file, f"w{one}"], cwd=settings.home)
        for one in range(10)
    ]
    assert [one.wait(120) for one in writers] == [0] * 10
    found = verify_audit(redis, find_master_keys(settings))
    assert (found.problem, found.count) == ("", 1000)
    by_writer: dict[str, list[str]] = {}
    for entry in entered():
        by_writer.setdefault(entry.who.name, []).append(entry.what)
    # Each once, and each writer's in its own order.
    assert by_writer == {f"w{one}": [str(number) for number in range(100)] for one in range(10)}


def test_a_writer_that_always_loses_is_given_a_turn(redis: Redis, settings: Settings, entered: Entered) -> None:
    slow, quick = chain_of(redis, settings), chain_of(redis, settings)
    entry = AuditEntry(at_ms=1, who=_who("quick"), action="Test", outcome=Outcome.DONE)
    late = AuditEntry(at_ms=1, who=_who("slow"), action="Test", outcome=Outcome.DONE)
    tries = []

    def overtaken(audit: list[Argument]) -> list[Any]:
        tries.append(audit[3])
        if len(tries) <= 4:
            quick.append([entry])
        answer: list[Any] = run(redis, append_audit_command(audit))
        return answer

    slow.enter([late], overtaken)
    assert tries == [0, 0, 0, 1, 1]
    assert entered()[-1].who.name == "slow"


def _who(name: str) -> Who:
    return Who(kind="local", name=name)


def test_a_run_is_one_entry_with_the_digest_of_its_content_and_its_targets(
    assistant: Assistant, entered: Entered
) -> None:
    assistant.add_instance("i-1", tags={"env": "test"})
    invoked = assistant.run_command("echo secret", Targets(instance_ids=["i-1"]), RunOptions(username="deploy"))
    [run] = [one for one in entered() if one.action == "RunCommand"]
    assert (run.outcome, run.what, run.digest) == ("done", invoked.invoke_id, digest(b"echo secret"))
    assert run.facts["Instances"] == "i-1"
    assert run.facts["InstanceCount"] == "1"
    assert run.facts["UserName"] == "deploy"
    assert (run.who.kind, bool(run.who.name), bool(run.who.source)) == ("local", True, True)


def test_a_refused_run_is_one_entry_with_the_reason(assistant: Assistant, entered: Entered) -> None:
    with pytest.raises(CloudAssistantError):
        assistant.run_command("true", Targets(instance_ids=["i-none"]))
    with pytest.raises(CloudAssistantError):
        assistant.invoke_command("c-none", Targets(instance_ids=["i-none"]))
    assert [(one.action, one.outcome, one.code) for one in entered()] == [
        ("RunCommand", "refused", "InvalidInstance.NotFound"),
        ("InvokeCommand", "refused", "InvalidCmdId.NotFound"),
    ]


def test_every_changing_verb_leaves_its_entries(assistant: Assistant, redis: Redis, entered: Entered) -> None:
    assistant.add_instance("i-1")
    assistant.modify_instance("i-1", name="one", tags={"env": "test"})
    command_id = assistant.create_command(name="x", type="RunShellScript", content="true")
    assistant.modify_command(command_id, name="y")
    invoked = assistant.invoke_command(command_id, Targets(instance_ids=["i-1"]))
    assistant.stop_invocation(invoked.invoke_id)
    assistant.delete_command(command_id)
    keys_ = AccessKeys(redis, assistant.trust.master, assistant.auditing)
    access_key_id, _ = keys_.create("ci", "viewer")
    keys_.set_active(access_key_id, active=False)
    keys_.set_active(access_key_id, active=True)
    keys_.update(access_key_id, role="operator")
    keys_.delete(access_key_id)
    assistant.trust.quarantine("i-1", "test")
    assistant.trust.release("i-1")
    assistant.trust.renew_rights(["i-1"])
    assistant.trust.renew_program_rights()
    assistant.remove_instance("i-1")
    assistant.trust.rotate_master_key()
    ended = [one.action for one in entered() if one.outcome == Outcome.DONE]
    assert ended == [
        *("AddInstance", "ModifyInstance", "CreateCommand", "ModifyCommand", "InvokeCommand", "StopInvocation"),
        *("DeleteCommand", "CreateAccessKey", "DisableAccessKey", "EnableAccessKey", "UpdateAccessKey"),
        *("DeleteAccessKey", "QuarantineInstance", "ReleaseInstance", "RenewRights", "RenewProgramRights"),
        *("DeregisterInstance", "RotateMasterKey"),
    ]
    begun = {one.change: one.action for one in entered() if one.outcome == Outcome.BEGUN}
    assert {one.change: one.action for one in entered() if one.change and one.outcome == Outcome.DONE} == begun


def test_no_content_no_parameter_and_no_secret_is_ever_entered(
    assistant: Assistant, redis: Redis, entries: Callable[[], list[Entry]]
) -> None:
    assistant.add_instance("i-1")
    command_id = assistant.create_command(
        name="x", type="RunShellScript", content="echo CANARY-1 {{who}}", enable_parameter=True
    )
    options = RunOptions(parameters={"who": "CANARY-2"})
    assistant.invoke_command(command_id, Targets(instance_ids=["i-1"]), options)
    with pytest.raises(CloudAssistantError):
        assistant.run_command("echo CANARY-3", Targets(instance_ids=["i-none"]))
    _, secret = AccessKeys(redis, assistant.trust.master).create("ci")
    everything = b"".join(b"".join(fields) for _, fields in entries())
    assert b"CANARY" not in everything
    assert secret.encode() not in everything


def test_what_agents_refused_is_taken_over_once_by_however_many(
    assistant: Assistant, redis: Redis, settings: Settings, entered: Entered
) -> None:
    assistant.add_instance("i-1")
    assistant.add_instance("i-2")
    report(redis, "i-1", "SignatureInvalid", "forged", execution_id="t-1.0@i-1")
    chains = [chain_of(redis, settings) for _ in range(3)]
    counts = [take_over(redis, chain, ["i-1", "i-2"]).total() for chain in (*chains, *chains)]
    assert sum(counts) == 1
    [refused] = [one for one in entered() if one.who.kind == "agent"]
    assert (refused.who.name, refused.code, refused.what) == ("i-1", "SignatureInvalid", "t-1.0@i-1")
    assert refused.facts == {"Info": "forged"}
    report(redis, "i-1", "SignatureInvalid", "forged", execution_id="t-1.0@i-1")
    assert take_over(redis, chains[0], ["i-1", "i-2"]) == {"i-1": 1}


def test_a_report_that_another_takes_over_at_the_same_time_is_not_entered_twice(
    assistant: Assistant, redis: Redis, settings: Settings, entered: Entered
) -> None:
    assistant.add_instance("i-1")
    redis.call("XADD", keys.refusals("i-1"), "5-1", "code", "SignatureInvalid")
    entry = AuditEntry(at_ms=1, who=_who("a"), action="RunExecution", outcome=Outcome.REFUSED)
    first, second = chain_of(redis, settings), chain_of(redis, settings)
    assert first.append([entry], [("i-1", "", "5-1")])
    assert not second.append([entry], [("i-1", "", "5-1")])
    assert not second.append([entry], [("i-2", "", "5-1"), ("i-1", "", "5-1")])
    assert sum(one.action == "RunExecution" for one in entered()) == 1


def test_a_flood_of_an_agent_is_counted_and_not_entered_one_by_one(
    assistant: Assistant, redis: Redis, settings: Settings, entered: Entered
) -> None:
    assistant.add_instance("i-1")
    redis.pipeline([("XADD", keys.refusals("i-1"), "*", "code", "SignatureInvalid")] * 500)
    assert take_over(redis, chain_of(redis, settings), ["i-1"]) == {"i-1": 500}
    refused = [one for one in entered() if one.who.kind == "agent"]
    assert len(refused) == 21
    assert refused[-1].facts == {"SignatureInvalid": "480"}


def test_an_agent_that_reports_without_end_is_heard_out_once_an_hour(
    assistant: Assistant, redis: Redis, settings: Settings, entered: Entered, monkeypatch: pytest.MonkeyPatch
) -> None:
    assistant.add_instance("i-1")
    assistant.add_instance("i-2")
    now = [1_000.0]
    monkeypatch.setattr(audit_keeping, "monotonic_seconds", lambda: now[0])
    keeper = AuditKeeper(redis, chain_of(redis, settings), settings)

    def entries_after(seconds: float) -> Counter[str]:
        now[0] += seconds
        redis.pipeline([("XADD", keys.refusals("i-1"), "*", "code", "SignatureInvalid")] * 19)
        report(redis, "i-2", "SignatureInvalid", "forged", execution_id="t-1.0@i-2")
        keeper.work()
        return Counter(one.who.name for one in entered() if one.who.kind == "agent")

    assert entries_after(0) == {"i-1": 19, "i-2": 1}
    assert entries_after(5) == {"i-1": 38, "i-2": 2}
    assert entries_after(5) == {"i-1": 38, "i-2": 3}
    # What it had to say meanwhile is counted.
    assert entries_after(3_600) == {"i-1": 38 + 21, "i-2": 4}


def test_what_is_removed_for_its_age_is_stated_and_the_rest_stays_verifiable(
    assistant: Assistant, redis: Redis, settings: Settings
) -> None:
    for number in range(20):
        assistant.add_instance(f"i-{number}")
    small = replace(settings, limits=replace(settings.limits, audit_count=10))
    AuditKeeper(redis, chain_of(redis, settings), small).work()
    found = verify_audit(redis, find_master_keys(settings))
    assert (found.problem, found.first_number, found.last_number) == ("", 31, 41)
    # A second turn, after more.
    for number in range(20, 30):
        assistant.add_instance(f"i-{number}")
    AuditKeeper(redis, chain_of(redis, settings), small).work()
    assert verify_audit(redis, find_master_keys(settings)).problem == ""
    # The first that stays was changed: the statement says what it follows.
    [(place, fields), *others] = redis.call("XRANGE", keys.AUDIT, "-", "+")
    first_number = int(fields[1])
    for changed in (fields[3] + b" ", fields[3]):
        redis.call("DEL", keys.AUDIT)
        for one, words in [(place, [*fields[:3], changed, *fields[4:]]), *others]:
            redis.call("XADD", keys.AUDIT, one, *words)
        found = verify_audit(redis, find_master_keys(settings))
        assert found.bad_number == (0 if changed == fields[3] else first_number)
    # One entry more than was stated.
    first = redis.call("XRANGE", keys.AUDIT, "-", "+", "COUNT", 1)[0][0]
    redis.call("XDEL", keys.AUDIT, first)
    assert "the beginning is missing" in verify_audit(redis, find_master_keys(settings)).problem


@pytest.mark.parametrize("junk", [("x", "y"), ("number", b"\xff", "mac", "m"), ("number", "9" * 5_000, "mac", "m")])
def test_what_is_no_entry_does_not_keep_the_audit_from_being_shortened(
    assistant: Assistant, redis: Redis, settings: Settings, junk: Sequence[str | bytes]
) -> None:
    for number in range(20):
        if number == 15:
            redis.call("XADD", keys.AUDIT, "*", *junk)
        assistant.add_instance(f"i-{number}")
    small = replace(settings, limits=replace(settings.limits, audit_count=10))
    keeper = AuditKeeper(redis, chain_of(redis, settings), small)
    keeper.work()
    left = redis.call("XRANGE", keys.AUDIT, "-", "+")
    assert left[0][1] == [part.encode() if isinstance(part, str) else part for part in junk]
    assert [int(fields[1]) for _, fields in left[1:]] == list(range(31, 42))
    assert decode_entry(left[-1][1][3]).facts["Through"] == "30"
    assert "is not an entry" in verify_audit(redis, find_master_keys(settings)).problem
    # It goes with those of its age.
    keeper.work()
    assert verify_audit(redis, find_master_keys(settings)).problem == ""


def test_a_few_entries_beyond_the_limit_are_not_removed_one_by_one(
    assistant: Assistant, redis: Redis, settings: Settings
) -> None:
    for number in range(10):
        assistant.add_instance(f"i-{number}")
    for limit, numbers in ((19, range(1, 21)), (18, range(3, 22))):
        small = replace(settings, limits=replace(settings.limits, audit_count=limit))
        AuditKeeper(redis, chain_of(redis, settings), small).work()
        # The statement is one more: with one for each that goes there would soon be nothing else.
        assert [int(fields[1]) for _, fields in redis.call("XRANGE", keys.AUDIT, "-", "+")] == list(numbers)


def test_of_many_entries_a_turn_removes_some_and_the_next_goes_on(
    assistant: Assistant, redis: Redis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_keeping, "_REMOVED_PER_TURN_COUNT", 7)
    monkeypatch.setattr(audit_keeping, "_PIECE_COUNT", 3)
    for number in range(10):
        assistant.add_instance(f"i-{number}")
    keeper = AuditKeeper(
        redis, chain_of(redis, settings), replace(settings, limits=replace(settings.limits, audit_count=10))
    )
    firsts = []
    for _ in range(3):
        keeper.work()
        found = verify_audit(redis, find_master_keys(settings))
        assert found.problem == ""
        firsts.append(found.first_number)
    # Then it is one more than the limit, the statement, and that may be.
    assert firsts == [8, 12, 12]


class _Measured(Redis):
    """Notes how many parts the longest reply had."""

    longest = 0

    def call(self, *command: Argument, timeout_seconds: float | None = None) -> Any:
        reply = super().call(*command, timeout_seconds=timeout_seconds)
        self.longest = max(self.longest, len(reply) if isinstance(reply, list) else 0)
        return reply


def test_the_audit_is_shortened_without_reading_all_that_stays(redis: Redis, settings: Settings) -> None:
    entry = AuditEntry(at_ms=1, who=Who(kind="beat"), action="Sample", outcome=Outcome.DONE)
    chain = chain_of(redis, settings)
    for _ in range(35):
        chain.append([entry] * 100)
    small = replace(settings, limits=replace(settings.limits, audit_count=3_000))
    measured = _Measured(settings.redis_url)
    AuditKeeper(measured, chain, small).work()
    measured.close()
    assert measured.longest <= 1_000
    found = verify_audit(redis, find_master_keys(settings))
    assert (found.problem, found.first_number, found.last_number) == ("", 501, 3_501)


def test_the_keeper_notes_the_end_outside_of_redis_and_does_not_take_the_note_back(
    assistant: Assistant, redis: Redis, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assistant.add_instance("i-1")
    keeper = AuditKeeper(redis, chain_of(redis, settings), settings)
    keeper.work()
    path = anchor_path(settings)
    assert path is not None
    noted = read_anchor(path)
    assert noted is not None
    assert noted.number == 2
    [first, last] = redis.call("XRANGE", keys.AUDIT, "-", "+")
    redis.call("XDEL", keys.AUDIT, last[0])
    redis.call("HSET", keys.AUDIT_HEAD, "number", 1, "mac", first[1][5])
    for _ in range(2):
        keeper.work()
    assert read_anchor(path) == noted
    assert caplog.text.count("is not what it was") == 1
    # What others enter after the cut makes it long again, and not right.
    with Assistant(settings=settings) as later:
        later.add_instance("i-2")
    keeper.work()
    assert read_anchor(path) == noted


def test_without_a_key_the_keeper_removes_nothing_and_says_so_once(
    assistant: Assistant, redis: Redis, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(10):
        assistant.add_instance(f"i-{number}")
    small = replace(settings, limits=replace(settings.limits, audit_count=10))
    keeper = AuditKeeper(redis, AuditChain(redis, lambda: None), small)
    for _ in range(2):
        keeper.work()
    assert redis.call("XLEN", keys.AUDIT) == 20
    assert caplog.text.count("cannot keep the audit") == 1


def test_the_number_of_the_noted_entry_at_the_beginning_of_another_audit_is_not_taken_for_it(
    assistant: Assistant, redis: Redis, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assistant.add_instance("i-1")
    keeper = AuditKeeper(redis, chain_of(redis, settings), settings)
    keeper.work()
    redis.call("DEL", keys.AUDIT)
    redis.call("XADD", keys.AUDIT, "*", "number", 2, "body", "{}", "mac", "k1:0")
    keeper.work()
    assert "is not what it was" in caplog.text


def test_an_entry_with_the_number_of_the_noted_one_in_its_place_is_not_taken_for_it(
    assistant: Assistant, redis: Redis, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assistant.add_instance("i-1")
    keeper = AuditKeeper(redis, chain_of(redis, settings), settings)
    keeper.work()
    path = anchor_path(settings)
    assert path is not None
    noted = read_anchor(path)
    # It is not written anew, and forced to disk, without need.
    keeper.work()
    assert read_anchor(path) == noted
    stored = redis.call("XRANGE", keys.AUDIT, "-", "+")
    redis.call("DEL", keys.AUDIT)
    for place, fields in stored:
        redis.call("XADD", keys.AUDIT, place, *fields[:5], fields[5].replace(b"k1:", b"k1:0"))
    keeper.work()
    assert "is not what it was" in caplog.text


def test_a_note_of_an_entry_that_was_removed_for_its_age_is_replaced(
    assistant: Assistant, redis: Redis, settings: Settings
) -> None:
    small = replace(settings, limits=replace(settings.limits, audit_count=10))
    keeper = AuditKeeper(redis, chain_of(redis, settings), small)
    assistant.add_instance("i-0")
    keeper.work()
    for number in range(1, 20):
        assistant.add_instance(f"i-{number}")
    keeper.work()
    path = anchor_path(settings)
    assert path is not None
    noted = read_anchor(path)
    assert noted is not None
    assert noted.number == 41


def test_a_writer_notices_that_the_end_it_left_is_gone(
    assistant: Assistant, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    assistant.add_instance("i-1")
    redis.call("DEL", keys.AUDIT, keys.AUDIT_HEAD)
    assistant.add_instance("i-2")
    assert "cut back" in caplog.text
