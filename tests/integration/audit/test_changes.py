"""What the entries of one change say: its begin and its end, whatever its end is, and nothing of its parts."""

import json
import os
import pwd
import time
from collections.abc import Callable, Iterator

import pytest
from integration.audit.conftest import Entry

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.audit.entry import AuditEntry, decode_entry
from cloud_assistant.broker_config.errors import NotFound
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.producer import Assistant, Targets
from cloud_assistant.producer.auditing import local_user
from cloud_assistant.producer.cli.program import run
from cloud_assistant.producer.security import audit_reading
from cloud_assistant.producer.security.audit_reading import newest_first, oldest_first
from harness.eventually import eventually

Entered = Callable[[], list[AuditEntry]]


@pytest.fixture
def entered(entries: Callable[[], list[Entry]]) -> Entered:
    return lambda: [decode_entry(fields[3]) for _, fields in entries()]


@pytest.fixture
def other_name(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user who calls himself another in the environment."""
    for variable in ("USER", "LOGNAME", "USERNAME", "LNAME"):
        monkeypatch.setenv(variable, "somebody-else")
    local_user.cache_clear()
    yield
    local_user.cache_clear()


def told(entries: list[AuditEntry]) -> list[tuple[str, str, str]]:
    return [(one.action, one.outcome, one.code) for one in entries]


def test_what_a_change_consists_of_has_no_entries_of_its_own(assistant: Assistant, entered: Entered) -> None:
    assistant.add_instance("i-1")
    before = len(entered())
    with assistant.auditing.change("InstallEverything") as whole:
        assistant.run_command("true", Targets(instance_ids=["i-1"]))
        with assistant.auditing.change("Part"):
            pass
    assert told(entered()[before:]) == [("InstallEverything", "begun", ""), ("InstallEverything", "done", "")]
    assert {one.change for one in entered()[before:]} == {whole.id}
    before = len(entered())
    with pytest.raises(NotFound), assistant.auditing.change("InstallEverything"):
        assistant.run_command("true", Targets(instance_ids=["i-none"]))
    assert told(entered()[before:]) == [
        ("InstallEverything", "begun", ""),
        ("InstallEverything", "refused", "InvalidInstance.NotFound"),
    ]
    # The next one is covered by nothing.
    with pytest.raises(NotFound):
        assistant.run_command("true", Targets(instance_ids=["i-none"]))
    assert told(entered()[-1:]) == [("RunCommand", "refused", "InvalidInstance.NotFound")]
    assert entered()[-1].change == ""


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("x")], ids=lambda error: type(error).__name__)
def test_a_change_that_breaks_off_has_failed(assistant: Assistant, entered: Entered, error: BaseException) -> None:
    with pytest.raises(type(error)), assistant.auditing.change("Something"):
        raise error
    assert told(entered()) == [("Something", "begun", ""), ("Something", "failed", type(error).__name__)]


def test_a_change_whose_end_cannot_be_entered_has_happened(
    assistant: Assistant, redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    with assistant.auditing.change("Something", what="i-1"):
        redis.call("DEL", keys.AUDIT)
        redis.call("SET", keys.AUDIT, "in the way")
    assert "not in the audit: action=Something what=i-1 outcome=done" in caplog.text


def test_an_entry_stays_small_whatever_words_a_change_is_asked_for_with(assistant: Assistant, entered: Entered) -> None:
    assistant.add_instance("i-1")
    assistant.trust.quarantine("i-1", "x" * 5_000)
    assert {len(one.facts["Reason"]) for one in entered() if one.action == "QuarantineInstance"} == {256}


@pytest.mark.usefixtures("other_name")
def test_who_did_it_is_who_the_system_says_whatever_the_environment_does(
    assistant: Assistant, entered: Entered
) -> None:
    assistant.add_instance("i-1")
    assert {one.who.name for one in entered()} == {pwd.getpwuid(os.getuid()).pw_name}


def test_entries_are_read_once_each_in_either_order_however_many_at_a_time(
    assistant: Assistant, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        assistant.add_instance(f"i-{number}")
    for count in (1, 3, 5, 10, 11):
        monkeypatch.setattr(audit_reading, "_CHUNK_COUNT", count)
        assert [one.number for one in newest_first(redis)] == list(range(10, 0, -1))
        assert [one.number for one in oldest_first(redis)] == list(range(1, 11))


@pytest.mark.parametrize("hours", [-10, 0, 10])
def test_what_happened_lately_is_told_by_the_clock_of_redis(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], hours: int
) -> None:
    assistant.add_instance("i-1")
    look = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: look() + hours * 3_600 * 10**9)
    shared = ["--redis-url", assistant.settings.redis_url, "--home", assistant.settings.home, "--output", "json"]
    assert run(["audit", "list", "--since", "1h", *shared]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    # What was before that is left out.
    eventually(
        lambda: run(["audit", "list", "--since", "0.1s", *shared]) or capsys.readouterr().out == "[]\n", 5, "old"
    )
