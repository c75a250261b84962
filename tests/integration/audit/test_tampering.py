"""Whatever is done to the audit in Redis without the master key, verify finds it and names the first bad entry."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from integration.audit.conftest import Entry

from cloud_assistant.beat.audit_keeping import AuditKeeper
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.audit.chain import AuditChain
from cloud_assistant.broker_config.audit.entry import AuditEntry, Outcome, Who, encode_entry, entry_mac
from cloud_assistant.broker_config.errors import RecordUnreadable, RedisRefused, Refused
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.security.master_key import find_master_keys
from cloud_assistant.broker_config.settings_table import Settings
from cloud_assistant.producer import Assistant, Targets
from cloud_assistant.producer.security.audit_reading import oldest_first
from cloud_assistant.producer.security.audit_verification import (
    Known,
    Verified,
    export_line,
    read_export,
    verify_audit,
)

Verify = Callable[..., Verified]


@pytest.fixture
def verify(redis: Redis, settings: Settings) -> Verify:
    return lambda known=(): verify_audit(redis, find_master_keys(settings), known)


@pytest.fixture
def ten(assistant: Assistant) -> None:
    """Ten entries: five instances were added."""
    for number in range(5):
        assistant.add_instance(f"i-{number}")


def edited(entry: Entry, old: bytes, new: bytes) -> Entry:
    place, fields = entry
    return place, [fields[0], fields[1], fields[2], fields[3].replace(old, new), *fields[4:]]


def renumbered(entries: Sequence[Entry]) -> list[Entry]:
    return [(place, [b"number", b"%d" % number, *fields[2:]]) for number, (place, fields) in enumerate(entries, 1)]


@pytest.mark.usefixtures("ten")
def test_an_untouched_audit_is_as_it_was_written(verify: Verify) -> None:
    found = verify()
    assert (found.problem, found.count, found.first_number, found.last_number) == ("", 10, 1, 10)


@pytest.mark.usefixtures("ten")
@pytest.mark.parametrize(
    ("tamper", "bad_number"),
    [
        pytest.param(lambda all_: [*all_[:4], edited(all_[4], b"i-2", b"i-9"), *all_[5:]], 5, id="edited"),
        pytest.param(lambda all_: [edited(all_[0], b"i-0", b"i-9"), *all_[1:]], 1, id="first edited"),
        pytest.param(lambda all_: [*all_[:9], edited(all_[9], b"i-4", b"i-9")], 10, id="last edited"),
        pytest.param(lambda all_: [*all_[:4], *all_[5:]], 5, id="removed"),
        pytest.param(lambda all_: renumbered([*all_[:4], *all_[5:]]), 5, id="removed and renumbered"),
        pytest.param(lambda all_: all_[3:], 1, id="beginning removed"),
        pytest.param(lambda all_: renumbered(all_[3:]), 1, id="beginning removed and renumbered"),
        pytest.param(lambda all_: [*all_[:4], all_[5], all_[4], *all_[6:]], 5, id="reordered"),
        pytest.param(lambda all_: renumbered([*all_[:4], all_[5], all_[4], *all_[6:]]), 5, id="reordered, renumbered"),
        pytest.param(lambda all_: [*all_[:4], all_[2], *all_[4:]], 5, id="inserted a copy"),
        pytest.param(lambda all_: renumbered([*all_[:4], all_[2], *all_[4:]]), 5, id="inserted a copy, renumbered"),
        pytest.param(lambda all_: [*all_, all_[0]], 11, id="appended a copy"),
    ],
)
def test_verify_names_the_first_entry_that_is_not_as_it_was_written(
    verify: Verify,
    entries: Callable[[], list[Entry]],
    rewrite: Callable[[Sequence[Entry]], None],
    tamper: Callable[[list[Entry]], list[Entry]],
    bad_number: int,
) -> None:
    rewrite(tamper(entries()))
    found = verify()
    assert found.problem
    assert found.bad_number == bad_number


@pytest.mark.usefixtures("ten")
def test_what_was_done_since_is_told_beside_what_is_known_already(
    verify: Verify, entries: Callable[[], list[Entry]], rewrite: Callable[[Sequence[Entry]], None], settings: Settings
) -> None:
    """A cut is there for good: those that come later must not be hidden by it."""
    all_ = entries()
    junk: Entry = (b"", [b"number", b"x", b"body", b"", b"mac", b""])
    rewrite([*all_[:2], all_[3], edited(all_[4], b"i-2", b"i-9"), *all_[5:8]])
    found = verify()
    assert [one.number for one in found.problems] == [3, 5]
    assert (found.problem_count, found.last_number, found.bad_number) == (2, 8, 3)
    assert found.problem == "entry 3 is missing; entry 5 was changed, or what stood before it was"
    rewrite([*all_[:2], all_[3], *all_[4:8]])
    with Assistant(settings=settings) as later:
        later.add_instance("i-later")
    *rest, last = entries()
    rewrite(rest)
    note = Known(10, last[1][5].decode(), "the note")
    assert [one.number for one in verify([note]).problems] == [3, 10]
    rewrite([*all_[:2], all_[3], junk, *all_[4:8]])
    assert [one.number for one in verify().problems] == [3, 0]


@pytest.mark.usefixtures("ten")
def test_of_very_many_problems_the_first_few_are_told_and_the_rest_counted(
    verify: Verify, entries: Callable[[], list[Entry]], rewrite: Callable[[Sequence[Entry]], None], settings: Settings
) -> None:
    with Assistant(settings=settings) as more:
        for number in range(5, 8):
            more.add_instance(f"i-{number}")
    rewrite(renumbered(entries()[1:]))
    found = verify()
    assert ([one.number for one in found.problems], found.problem_count) == (list(range(1, 11)), 15)
    assert found.problem.endswith("; and 5 more")


@pytest.mark.usefixtures("ten")
def test_a_chain_made_anew_without_the_key_is_found(
    verify: Verify, entries: Callable[[], list[Entry]], rewrite: Callable[[Sequence[Entry]], None]
) -> None:
    before, forged = "", []
    for number, (place, fields) in enumerate(entries(), 1):
        body = fields[3].replace(b"i-2", b"i-9")
        before = entry_mac(None, before, number, body)
        forged.append((place, [b"number", b"%d" % number, b"body", body, b"mac", before.encode()]))
    rewrite(forged)
    assert "carries no seal" in verify().problem


@pytest.mark.usefixtures("ten")
def test_an_entry_without_a_seal_after_sealed_ones_is_not_said_to_be_acceptable(
    verify: Verify, entries: Callable[[], list[Entry]], rewrite: Callable[[Sequence[Entry]], None]
) -> None:
    *sealed, (place, fields) = entries()
    body, before = fields[3], sealed[-1][1][5].decode()
    forged = entry_mac(None, before, 10, body).encode()
    rewrite([*sealed, (place, [b"number", b"10", b"body", body, b"mac", forged])])
    found = verify()
    assert (found.bad_number, "carries no seal" in found.problem, "--unsealed" in found.problem) == (10, True, False)


def test_entries_from_before_the_master_key_are_accepted_where_somebody_says_so(
    redis: Redis, settings: Settings
) -> None:
    with Assistant(settings=replace(settings, home="")) as keyless:
        keyless.add_instance("i-1")
    with Assistant(settings=settings) as sealed:
        sealed.add_instance("i-2")
    master = find_master_keys(settings)
    found = verify_audit(redis, master)
    assert (found.bad_number, "--unsealed-through NUMBER" in found.problem) == (1, True)
    assert verify_audit(redis, master, unsealed_through=1).bad_number == 2
    assert verify_audit(redis, master, unsealed_through=2).problem == ""


@pytest.mark.usefixtures("ten")
def test_a_missing_end_is_found_by_the_head_or_by_what_was_kept_elsewhere(
    redis: Redis, verify: Verify, entries: Callable[[], list[Entry]], rewrite: Callable[[Sequence[Entry]], None]
) -> None:
    exported = list(read_export([export_line(one) for one in oldest_first(redis)], "the export"))
    stored = entries()
    redis.call("XDEL", keys.AUDIT, stored[-1][0], stored[-2][0])
    assert (verify().bad_number, "the head" in verify().problem) == (9, True)
    # Now with the head set back: nothing in Redis tells of it any more.
    rewrite(stored[:8])
    assert verify().problem == ""
    found = verify(exported)
    assert (found.bad_number, "the export" in found.problem) == (9, True)
    anchor = Known(10, stored[9][1][5].decode(), "the note")
    assert verify([anchor]).bad_number == 9


@pytest.mark.usefixtures("ten")
def test_an_end_written_anew_after_a_cut_is_found_by_an_export(
    redis: Redis, verify: Verify, entries: Callable[[], list[Entry]], rewrite: Callable[[Sequence[Entry]], None],
    settings: Settings,
) -> None:  # fmt: skip
    exported = list(read_export([export_line(one) for one in oldest_first(redis)], "the export"))
    rewrite(entries()[:8])
    with Assistant(settings=settings) as later:
        later.add_instance("i-later")
    found = verify(exported)
    assert (found.bad_number, "is not the one" in found.problem) == (9, True)


def test_a_beat_that_is_led_to_remove_what_is_not_old_is_found(
    assistant: Assistant,
    redis: Redis,
    settings: Settings,
    verify: Verify,
    entries: Callable[[], list[Entry]],
    rewrite: Callable[[Sequence[Entry]], None],
) -> None:
    for number in range(20):
        assistant.add_instance(f"i-{number}")
    keeper = AuditKeeper(
        redis,
        AuditChain(redis, lambda: find_master_keys(settings)),
        replace(settings, limits=replace(settings.limits, audit_count=30)),
    )
    # Junk behind the end makes all but five of the true entries seem too many.
    redis.pipeline_or_raise([("XADD", keys.AUDIT, "*", "number", 1, "body", "junk", "mac", "junk")] * 25)
    keeper.work()
    [statement] = [one for one in entries() if b"AuditTrimmed" in one[1][3]]
    true = [one for one in entries() if one[1][3] != b"junk"]
    assert [one[1][1] for one in true] == [b"36", b"37", b"38", b"39", b"40", b"41"]
    rewrite(true)
    found = verify()
    assert (found.bad_number, statement[1][1]) == (41, b"41")
    assert "not old enough" in found.problem


def test_what_was_removed_for_its_age_is_not_put_back_with_other_words(
    assistant: Assistant,
    redis: Redis,
    settings: Settings,
    verify: Verify,
    entries: Callable[[], list[Entry]],
    rewrite: Callable[[Sequence[Entry]], None],
) -> None:
    for number in range(20):
        assistant.add_instance(f"i-{number}")
    last_gone = entries()[29]
    small = replace(settings, limits=replace(settings.limits, audit_count=10))
    AuditKeeper(redis, AuditChain(redis, lambda: find_master_keys(settings)), small).work()
    kept = entries()
    assert (verify().problem, verify().first_number) == ("", 31)
    # Its MAC, which the next one covers, is known from the statement; nothing covers what it says.
    for back in (last_gone, edited(last_gone, b"i-14", b"i-99")):
        rewrite([back, *kept])
        found = verify()
        assert (found.bad_number, "no sealed statement" in found.problem) == (1, True)


def test_the_first_entry_is_not_its_own_statement_that_more_was_removed(
    assistant: Assistant,
    verify: Verify,
    entries: Callable[[], list[Entry]],
    rewrite: Callable[[Sequence[Entry]], None],
) -> None:
    for number in range(5):
        assistant.add_instance(f"i-{number}")
    (place, fields), *kept = entries()[6:]
    said = AuditEntry(
        at_ms=1, who=Who(kind="beat"), action="AuditTrimmed", outcome=Outcome.DONE,
        facts={"Through": "9", "Mac": "k1:x", "Kept": "-9"},
    )  # fmt: skip
    rewrite([(place, [*fields[:3], encode_entry(said), *fields[4:]]), *kept])
    assert verify().bad_number == 1


@pytest.mark.usefixtures("ten")
def test_an_export_of_an_untouched_audit_agrees_with_it(redis: Redis, verify: Verify, assistant: Assistant) -> None:
    exported = list(read_export([export_line(one) for one in oldest_first(redis)], "the export"))
    assistant.add_instance("i-later")
    found = verify(exported)
    assert (found.problem, found.known_count, found.count) == ("", 10, 12)


@pytest.mark.usefixtures("ten")
def test_a_removed_head_does_not_let_the_chain_begin_anew_unseen(
    redis: Redis, verify: Verify, settings: Settings
) -> None:
    redis.call("DEL", keys.AUDIT_HEAD)
    with Assistant(settings=settings) as later:
        later.add_instance("i-later")
    assert verify().bad_number == 11


@pytest.mark.usefixtures("ten")
def test_a_head_that_names_another_end_is_found_and_one_that_others_have_passed_is_not(
    redis: Redis, verify: Verify, entries: Callable[[], list[Entry]]
) -> None:
    stored = entries()
    # As a reader sees it who reads the head before two more are written.
    redis.call("HSET", keys.AUDIT_HEAD, "number", 8, "mac", stored[7][1][5])
    assert verify().problem == ""
    redis.call("HSET", keys.AUDIT_HEAD, "number", 10, "mac", stored[7][1][5])
    assert "does not name entry 10" in verify().problem


def test_without_the_master_key_sealed_entries_are_not_taken_for_right(redis: Redis, assistant: Assistant) -> None:
    assert verify_audit(redis, None).count == 0
    assistant.add_instance("i-1")
    found = verify_audit(redis, None)
    assert (found.bad_number, "'k1', which is not here" in found.problem) == (1, True)


@pytest.mark.usefixtures("ten")
def test_all_gone_is_found_by_the_head(redis: Redis, verify: Verify) -> None:
    redis.call("DEL", keys.AUDIT)
    assert verify().bad_number == 1


def test_when_nothing_can_be_entered_nothing_is_changed(assistant: Assistant, redis: Redis) -> None:
    assistant.add_instance("i-1")
    redis.call("DEL", keys.AUDIT)
    redis.call("SET", keys.AUDIT, "in the way")
    command_count = redis.call("ZCARD", keys.COMMANDS)
    with pytest.raises(RedisRefused, match="WRONGTYPE"):
        assistant.create_command(name="x", type="RunShellScript", content="true")
    assert redis.call("ZCARD", keys.COMMANDS) == command_count


def test_a_run_that_cannot_be_entered_reaches_no_queue(assistant: Assistant, redis: Redis) -> None:
    assistant.add_instance("i-1")
    redis.call("DEL", keys.AUDIT)
    redis.call("SET", keys.AUDIT, "in the way")
    with pytest.raises(RedisRefused, match="WRONGTYPE"):
        assistant.run_command("true", Targets(instance_ids=["i-1"]))
    assert redis.call("EXISTS", keys.queue("i-1"), keys.INVOCATIONS) == 0


def test_without_the_master_key_nothing_can_be_changed_beside_sealed_entries(
    assistant: Assistant, settings: Settings, redis: Redis
) -> None:
    assistant.add_instance("i-1")
    with Assistant(settings=replace(settings, home="")) as keyless, pytest.raises(Refused) as refused:
        keyless.add_instance("i-2")
    assert refused.value.code == "AuditUnsealed"
    assert redis.call("EXISTS", keys.profile("i-2")) == 0


@pytest.mark.usefixtures("ten")
@pytest.mark.parametrize(
    ("field", "value"),
    [("number", "ten"), ("number", "010"), ("number", "-1"), ("number", "9" * 5_000), ("mac", b"\xff")],
)
def test_a_head_that_makes_no_sense_is_named_with_its_remedy(
    redis: Redis, settings: Settings, field: str, value: str | bytes
) -> None:
    right = redis.call("HGET", keys.AUDIT_HEAD, field)
    for has_asked_before in (False, True):
        with Assistant(settings=settings) as other:
            if has_asked_before:
                other.add_instance("i-before")
                right = redis.call("HGET", keys.AUDIT_HEAD, field)
            redis.call("HSET", keys.AUDIT_HEAD, field, value)
            with pytest.raises(RecordUnreadable, match=r"the head of the audit .* HSET ca:audit:head number"):
                other.add_instance("i-later")
            assert redis.call("EXISTS", keys.profile("i-later")) == 0
            redis.call("HSET", keys.AUDIT_HEAD, field, right)
            other.add_instance(f"i-right-{has_asked_before}")
