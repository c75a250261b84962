"""The rotation of the master key, while credentials are issued and taken away beside it."""

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import msgspec
import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.boot_bound import BootEntry
from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.functions.instances import heartbeat
from cloud_assistant.broker_config.key_bundle import unwrap
from cloud_assistant.broker_config.master_key import master_key_path
from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.broker_config.redis_client import Redis
from cloud_assistant.broker_config.redis_connection import Command
from cloud_assistant.broker_config.redis_url import parse_url
from cloud_assistant.broker_config.signing import read_master_keys, verify
from cloud_assistant.producer import Assistant, RunOptions, Targets
from cloud_assistant.producer.security.credentials import Credentials
from cloud_assistant.producer.security.identities import (
    StoredCredentials,
    has_credentials,
    load_credentials,
    revoke,
)
from cloud_assistant.producer.security.key_rotation import InstanceKeyStatus, Rotation
from cloud_assistant.producer.security.redis_users import password_digest


@pytest.fixture
def path(assistant: Assistant) -> Path:
    assistant.add_instance("i-one")
    assistant.trust.issue_credentials("i-one")
    return master_key_path(assistant.settings)


class Interrupted(Rotation):
    """A rotation in whose first step, as a new key is sent, somebody else does something before it or behind it."""

    before: Callable[[], object] | None = None
    meanwhile: Callable[[], object] | None = None

    def _send(self, bundles: Sequence[Command]) -> None:
        before, self.before = self.before, None
        if before:
            before()
        super()._send(bundles)
        if meanwhile := self.meanwhile:
            self.meanwhile = None
            meanwhile()


def test_credentials_that_are_issued_beside_a_rotation_stay_and_are_sent_a_key_of_their_own(
    assistant: Assistant, redis: Redis, path: Path
) -> None:
    issued: list[Credentials] = []
    rotation = Interrupted(redis, assistant.trust.master, path)
    rotation.meanwhile = lambda: issued.append(assistant.trust.issue_credentials("i-one").credentials)
    rotation.begin()
    [waiting] = rotation.status().waiting
    [credentials] = issued
    assert waiting.key_id == credentials.key_id
    password = parse_url(credentials.redis_url).password
    assert load_credentials(redis)["i-one"].password_digest == password_digest(password)
    bundle = unwrap(redis.call("GET", keys.key_bundle("i-one")), "i-one", {credentials.key_id: credentials.key})
    assert waiting.next_key_id in bundle.keys


class Counting(Redis):
    """A client that counts its round trips."""

    count = 0

    def pipeline(self, commands: Sequence[Command], *, timeout_seconds: float | None = None) -> list[Any]:
        self.count += 1
        return super().pipeline(commands, timeout_seconds=timeout_seconds)


def test_a_large_fleet_is_sent_its_keys_in_a_few_round_trips(assistant: Assistant, redis: Redis, path: Path) -> None:
    names = [f"i-{number}" for number in range(1200)]
    first = f"{assistant.trust.master.current}.1"
    stored = msgspec.json.encode(StoredCredentials("digest", 1))
    redis.call("HSET", keys.CREDENTIALS, *[part for one in names for part in (one, stored)])
    redis.call("HSET", keys.KEY_IDS, *[part for one in names for part in (one, first)])
    counting = Counting(redis.url)
    rotation = Rotation(counting, assistant.trust.master, path)
    held = {one: assistant.trust.master.instance_key(one, first) for one in names}
    rotation.begin()
    assert counting.count < 20
    waiting = {one.instance_id: one.next_key_id for one in rotation.status().waiting}
    assert set(waiting) == {*names, "i-one"}
    for one in names:
        bundle = unwrap(redis.call("GET", keys.key_bundle(one)), one, {first: held[one]})
        assert waiting[one] in bundle.keys
    counting.close()


@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_credentials_that_are_revoked_beside_a_rotation_do_not_come_back(
    assistant: Assistant, redis: Redis, path: Path, when: str
) -> None:
    rotation = Interrupted(redis, assistant.trust.master, path)
    setattr(rotation, when, lambda: revoke(redis, "i-one"))
    rotation.begin()
    assert not has_credentials(redis, "i-one")
    assert redis.call("EXISTS", keys.key_bundle("i-one")) == 0


def test_a_key_that_was_sent_to_who_had_the_credentials_before_is_never_signed_with(
    assistant: Assistant, redis: Redis, path: Path
) -> None:
    issued: list[Credentials] = []

    class Late(Rotation):
        """Somebody issues credentials between the look at what an agent holds and its consequence."""

        def _settle_of(self, one: InstanceKeyStatus) -> None:
            issued.append(assistant.trust.issue_credentials(one.instance_id).credentials)
            super()._settle_of(one)

    rotation = Late(redis, assistant.trust.master, path)
    rotation.begin()
    [waiting] = rotation.status().waiting
    held = {"key_ids": f"{waiting.key_id},{waiting.next_key_id}"}
    heartbeat(redis, "i-one", "epoch", held, ttl_ms=60_000, take_over=True)
    rotation.settle(rotation.ready([waiting]))
    assert redis.call("HGET", keys.KEY_IDS, "i-one") == issued[0].key_id.encode()
    assert load_credentials(redis)["i-one"].next_key_id == ""


def test_what_waits_for_the_start_of_a_machine_is_signed_with_the_new_key(
    assistant: Assistant, redis: Redis, path: Path
) -> None:
    schedule = Schedule(repeat_mode=RepeatMode.EVERY_REBOOT)
    # It signs with the master key that has been made now.
    with Assistant(settings=assistant.settings) as signing:
        targets = Targets(instance_ids=["i-one"])
        invoke_id = signing.run_command("true", targets, RunOptions(schedule=schedule)).invoke_id
    rotation = Rotation(redis, assistant.trust.master, path)
    rotation.begin()
    [waiting] = rotation.status().waiting
    held = {"key_ids": f"{waiting.key_id},{waiting.next_key_id}"}
    heartbeat(redis, "i-one", "epoch", held, ttl_ms=60_000, take_over=True)
    assert rotation.settle(rotation.ready([waiting])).waiting == []
    entry = msgspec.json.decode(redis.call("HGET", keys.boot_bound("i-one"), invoke_id), type=BootEntry)
    key = assistant.trust.master.instance_key("i-one", waiting.next_key_id)
    assert entry.mac.startswith(f"{waiting.next_key_id}:")
    assert verify(key, "i-one", entry.envelope.encode(), entry.mac.encode())


def test_looking_at_a_rotation_that_waits_for_an_agent_is_not_entered_in_the_audit(
    assistant: Assistant, redis: Redis, path: Path
) -> None:
    assistant.trust.rotate_master_key()
    before = redis.call("XLEN", keys.AUDIT)
    [waiting] = assistant.trust.settle_rotation().waiting
    assert redis.call("XLEN", keys.AUDIT) == before
    held = {"key_ids": f"{waiting.key_id},{waiting.next_key_id}"}
    heartbeat(redis, "i-one", "epoch", held, ttl_ms=60_000, take_over=True)
    assert assistant.trust.settle_rotation().waiting == []
    assert redis.call("XLEN", keys.AUDIT) == before + 2, "begun and done"


def test_a_rotation_keeps_the_key_that_another_program_has_made_since(assistant: Assistant, path: Path) -> None:
    assert assistant.trust.master.current == "k1"
    with Assistant(settings=assistant.settings) as another:
        another.trust.rotate_master_key()
    made = read_master_keys(path)
    assistant.trust.rotate_master_key()
    kept = read_master_keys(path)
    assert (made.current, kept.current) == ("k2", "k3")
    assert {**kept.keys, **made.keys} == kept.keys
    # What is added later is found as well.
    with Assistant(settings=assistant.settings) as another:
        another.trust.rotate_master_key()
    assert assistant.trust.master.instance_key("i-one", "k4")


def test_where_another_machine_has_rotated_first_the_master_key_file_stays_as_it_is(
    assistant: Assistant, path: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    shutil.copy(path, there)
    assistant.trust.rotate_master_key()
    settings = replace(assistant.settings, home=str(there))
    with Assistant(settings=settings) as another, pytest.raises(Refused) as refused:
        another.trust.rotate_master_key()
    assert refused.value.code == "MasterKeyElsewhere"
    assert list(read_master_keys(master_key_path(settings)).keys) == ["k1"]
    shutil.copy(path, there)
    with Assistant(settings=settings) as another:
        assert another.trust.rotate_master_key().names == ["k1", "k2", "k3"]


def test_programs_that_need_the_first_master_key_at_the_same_time_make_one(assistant: Assistant) -> None:
    start = Barrier(8)

    def needed(_: int) -> str:
        with Assistant(settings=assistant.settings) as one:
            start.wait()
            return one.trust.master.fingerprint()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(needed, range(8)))) == 1
