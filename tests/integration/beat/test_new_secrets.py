"""Secrets of a timed invocation are given other values: those that are not named stay, and nothing else changes."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from integration.beat.conftest import Timing
from integration.beat.test_boot_bound import start_machine

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.broker_config.security.envelope_signing import open_secrets
from cloud_assistant.broker_config.security.signing import (
    new_master_keys,
    parse_signature,
    read_master_keys,
    write_master_keys,
)
from cloud_assistant.broker_config.settings_table import SecuritySettings, Settings
from cloud_assistant.broker_config.timed.secret_values import FIELD, open_timed_secrets
from cloud_assistant.producer import Assistant, RunOptions, Targets
from cloud_assistant.producer.timed.modifying import TimedModification

FIRST = {"TOKEN": "first token", "OTHER": "first other"}


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "master-key.json"
    write_master_keys(path, new_master_keys())
    return path


@pytest.fixture
def assistant(timing: Timing, settings: Settings, key_file: Path) -> Iterator[Assistant]:
    with Assistant(settings=replace(settings, security=SecuritySettings(master_key_file=str(key_file)))) as keyed:
        yield keyed


def made(assistant: Assistant, schedule: Schedule, instance_id: str = "i-1") -> str:
    options = RunOptions(secret_parameters=FIRST, schedule=schedule)
    return assistant.run_command("true", Targets(instance_ids=[instance_id]), options).invoke_id


def yearly(assistant: Assistant) -> str:
    return made(assistant, Schedule(repeat_mode=RepeatMode.PERIOD, frequency="0 0 3 1 1 ?"))


def sealed_values(assistant: Assistant, invoke_id: str, key_file: Path) -> dict[str, str]:
    stored = assistant.redis.call("HGET", keys.timed(invoke_id), FIELD) or b""
    return open_timed_secrets(read_master_keys(key_file), invoke_id, stored.decode())


def test_the_value_that_is_named_is_another_and_the_other_stays(assistant: Assistant, key_file: Path) -> None:
    invoke_id = yearly(assistant)
    before = assistant.timed.show(invoke_id)
    change = TimedModification(secret_parameters={"token": "second token"})
    assert "second token" not in repr(change)
    assistant.timed.modify(invoke_id, change)
    after = assistant.timed.show(invoke_id)
    assert sealed_values(assistant, invoke_id, key_file) == FIRST | {"TOKEN": "second token"}
    assert after.stored.record == before.stored.record
    assert after.timed.due == before.timed.due
    # What a beat has prepared with the old value is read anew.
    assert after.timed.revision != before.timed.revision
    # New content of it has the same secrets.
    assistant.timed.modify(invoke_id, TimedModification(frequency="0 0 4 1 1 ?", content=b"echo new"))
    command = assistant.timed.show(invoke_id).stored.record.command
    assert (command.content, sorted(command.secret_names)) == (b"echo new", sorted(FIRST))
    assert sealed_values(assistant, invoke_id, key_file) == FIRST | {"TOKEN": "second token"}


def test_what_waits_for_the_start_of_a_machine_starts_with_the_new_value(
    assistant: Assistant, timing: Timing, key_file: Path
) -> None:
    invoke_id = made(assistant, Schedule(repeat_mode=RepeatMode.EVERY_REBOOT))
    assistant.timed.modify(invoke_id, TimedModification(secret_parameters={"TOKEN": "second token"}))
    [execution] = start_machine(timing, "boot-1")
    claimed = execution.claimed
    master = read_master_keys(key_file)
    signature = parse_signature(claimed.mac, claimed.key_id)
    key = master.instance_key("i-1", signature.key_id)
    opened = open_secrets(key, "i-1", claimed.envelope, signature.sealed)
    assert opened == FIRST | {"TOKEN": "second token"}


def test_without_the_key_that_sealed_them_all_values_are_needed(
    assistant: Assistant, settings: Settings, tmp_path: Path
) -> None:
    invoke_id = yearly(assistant)
    other_file = tmp_path / "other-key.json"
    write_master_keys(other_file, new_master_keys())
    with Assistant(settings=replace(settings, security=SecuritySettings(master_key_file=str(other_file)))) as other:
        with pytest.raises(Refused) as refused:
            other.timed.modify(invoke_id, TimedModification(secret_parameters={"TOKEN": "second token"}))
        assert refused.value.code == "SealBroken"
        everything = {"TOKEN": "second token", "OTHER": "second other"}
        other.timed.modify(invoke_id, TimedModification(secret_parameters=everything))
        assert sealed_values(other, invoke_id, other_file) == everything
