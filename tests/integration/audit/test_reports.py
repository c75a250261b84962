"""What whoever has the credentials of an instance can make of the audit by its reports of refusals."""

from collections.abc import Callable
from pathlib import Path

import pytest
from integration.audit.conftest import Entry

from cloud_assistant.beat.audit_keeping import AuditKeeper
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.audit.chain import AuditChain
from cloud_assistant.broker_config.audit.entry import AuditEntry, decode_entry
from cloud_assistant.broker_config.audit.refusals_of_agents import take_over
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.security.master_key import find_master_keys
from cloud_assistant.broker_config.settings_table import Settings
from cloud_assistant.producer import Assistant


def chain_of(redis: Redis, settings: Settings) -> AuditChain:
    return AuditChain(redis, lambda: find_master_keys(settings))


def reports(entries: Callable[[], list[Entry]]) -> list[AuditEntry]:
    every = [decode_entry(fields[3]) for _, fields in entries()]
    return [one for one in every if one.who.kind == "agent"]


@pytest.mark.parametrize(
    ("at_ms", "entered_ms"),
    [("5", 5), ("", 77), ("-1", 77), ("²", 77), ("9" * 16, 77), ("9" * 5_000, 77), (b"\xff", 77), ("1e3", 77)],
    ids=lambda value: repr(value)[:20],
)
def test_a_report_is_of_the_moment_that_it_names_or_came_in(
    assistant: Assistant,
    redis: Redis,
    settings: Settings,
    entries: Callable[[], list[Entry]],
    at_ms: str | bytes,
    entered_ms: int,
) -> None:
    assistant.add_instance("i-1")
    redis.call("XADD", keys.refusals("i-1"), "77-1", "code", "SignatureInvalid", "at_ms", at_ms)
    assert take_over(redis, chain_of(redis, settings), ["i-1"]) == {"i-1": 1}
    assert [one.at_ms for one in reports(entries)] == [entered_ms]


def test_the_entry_of_a_report_stays_small(
    assistant: Assistant, redis: Redis, settings: Settings, entries: Callable[[], list[Entry]]
) -> None:
    assistant.add_instance("i-1")
    words = [part for name in ("code", "execution_id", "info") for part in (name, "x" * 50_000)]
    redis.pipeline_or_raise([("XADD", keys.refusals("i-1"), "*", *words)] * 30)
    assert take_over(redis, chain_of(redis, settings), ["i-1"]) == {"i-1": 30}
    assert len(reports(entries)) == 21
    assert max(len(fields[3]) for _, fields in entries()) < 1_500


def test_what_an_instance_had_reported_is_entered_before_it_is_removed_and_once_if_it_comes_back(
    assistant: Assistant, redis: Redis, entries: Callable[[], list[Entry]]
) -> None:
    for code in ("SignatureInvalid", "EnvelopeExpired"):
        assistant.add_instance("i-1")
        # The stream of one that comes back begins anew, with places that were taken over of the one before.
        redis.call("XADD", keys.refusals("i-1"), "77-1", "code", code)
        assistant.remove_instance("i-1")
    assert [one.code for one in reports(entries)] == ["SignatureInvalid", "EnvelopeExpired"]


def test_a_damaged_note_of_the_end_does_not_keep_a_beat_from_its_work(
    assistant: Assistant, redis: Redis, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assistant.add_instance("i-1")
    note = Path(settings.home) / "audit-anchor.json"
    note.write_bytes(b"{")
    AuditKeeper(redis, chain_of(redis, settings), settings).work()
    assert f"could not be noted in {note}" in caplog.text
    # Somebody's work, for all we know: it stays to be looked at.
    assert note.read_bytes() == b"{"
