"""The seal of a timed invocation covers all that a beat signs for."""

import msgspec
import pytest

from cloud_assistant.broker_config.records import Command, Invocation, RepeatMode, Schedule, ScriptType
from cloud_assistant.broker_config.security.signing import new_master_keys
from cloud_assistant.broker_config.timed.timed_invocation import (
    TARGETS_PER_DIGEST_COUNT,
    is_sealed,
    target_digests,
    targets_digest,
    timed_fields,
)

MASTER = new_master_keys()
INVOCATION = Invocation(
    invoke_id="t-1",
    command=Command(command_id="c-1", name="x", type=ScriptType.SHELL, content=b"true", created_ms=1),
    created_ms=1_000,
    target_count=2,
    done_channel="done",
    payload_token="token",
    schedule=Schedule(repeat_mode=RepeatMode.PERIOD, frequency="0 0 3 * * *"),
)
FIELDS = {name: str(value) for name, value in timed_fields(INVOCATION, "digest", ["i-1", "i-2"], MASTER).items()}


def test_a_timed_invocation_is_sealed_as_it_was_made() -> None:
    assert is_sealed("t-1", FIELDS, MASTER)
    assert is_sealed("t-1", FIELDS, new_master_keys(MASTER))
    assert not is_sealed("t-1", FIELDS, new_master_keys())
    assert not is_sealed("t-2", FIELDS, MASTER)
    unsealed = {name: str(value) for name, value in timed_fields(INVOCATION, "digest", ["i-1"], None).items()}
    assert not is_sealed("t-1", unsealed, MASTER)


@pytest.mark.parametrize(
    "name",
    ["schedule", "command_id", "timeout_seconds", "token", "digest", "target_count", "target_digests", "seal"],
)
def test_none_of_what_a_beat_signs_for_can_be_changed_or_taken_away(name: str) -> None:
    assert not is_sealed("t-1", {**FIELDS, name: FIELDS[name] + "0"}, MASTER)
    assert not is_sealed("t-1", {one: value for one, value in FIELDS.items() if one != name}, MASTER)


def test_what_stands_in_one_field_cannot_be_shifted_into_the_next() -> None:
    moved = {**FIELDS, "token": FIELDS["token"] + FIELDS["digest"], "digest": ""}
    assert not is_sealed("t-1", moved, MASTER)


def test_the_digests_of_the_targets_tell_every_part_and_their_order() -> None:
    targets = [f"i-{number}" for number in range(TARGETS_PER_DIGEST_COUNT + 1)]
    assert target_digests(targets) == [targets_digest(targets[:-1]), targets_digest(targets[-1:])]
    assert targets_digest(["i-1", "i-2"]) not in (targets_digest(["i-2", "i-1"]), targets_digest(["i-1i-2"]))


def test_another_schedule_is_another_seal() -> None:
    other = msgspec.structs.replace(
        INVOCATION, schedule=Schedule(repeat_mode=RepeatMode.PERIOD, frequency="0 0 4 * * *")
    )
    changed = timed_fields(other, "digest", ["i-1", "i-2"], MASTER)
    assert not is_sealed("t-1", {**FIELDS, "schedule": str(changed["schedule"])}, MASTER)
