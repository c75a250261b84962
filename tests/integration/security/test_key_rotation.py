"""The rotation of the master key, while credentials are issued and taken away beside it."""

import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import msgspec
import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.functions.instances import heartbeat
from cloud_assistant.broker_config.records import Command as StoredCommand
from cloud_assistant.broker_config.records import Invocation, RepeatMode, Schedule, ScriptType
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Command
from cloud_assistant.broker_config.redis.url import parse_url
from cloud_assistant.broker_config.security.key_bundle import KeyBundle, unwrap, wrap
from cloud_assistant.broker_config.security.master_key import master_key_path
from cloud_assistant.broker_config.security.signing import read_master_keys, verify
from cloud_assistant.broker_config.timed.boot_bound import BootEntry, bind
from cloud_assistant.producer import Assistant, RunOptions, Targets
from cloud_assistant.producer.security.credentials import Credentials
from cloud_assistant.producer.security.identities import (
    StoredCredentials,
    has_credentials,
    load_credentials,
    revoke,
)
from cloud_assistant.producer.security.key_rotation import InstanceKeyStatus, Rotation
from cloud_assistant.producer.security.master_key import add_master_key
from cloud_assistant.producer.security.redis_users import password_digest


@pytest.fixture
def path(assistant: Assistant) -> Path:
    assistant.add_instance("i-one")
    assistant.trust.issue_credentials("i-one")
    return master_key_path(assistant.settings)


class Interrupted(Rotation):
    """A rotation in whose first step, as a new key is sent, somebody else does something before it or behind it."""

    before: Callable[[], object] | None = None
    behind: Callable[[], object] | None = None

    def _send(self, commands: Sequence[Command]) -> list[int]:
        before, self.before = self.before, None
        if before:
            before()
        sent = super()._send(commands)
        if behind := self.behind:
            self.behind = None
            behind()
        return sent


def test_credentials_that_are_issued_beside_a_rotation_stay_and_are_sent_a_key_of_their_own(
    assistant: Assistant, redis: Redis, path: Path
) -> None:
    issued: list[Credentials] = []
    rotation = Interrupted(redis, assistant.trust.master, path)
    rotation.before = lambda: issued.append(assistant.trust.issue_credentials("i-one").credentials)
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


@pytest.mark.parametrize("when", ["before", "behind"])
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


class Hooked(Redis):
    """A connection on which somebody else does something before the first command with a certain word is sent."""

    word = ""
    before: Callable[[], object] | None = None

    def pipeline(self, commands: Sequence[Command], *, timeout_seconds: float | None = None) -> list[Any]:
        if self.before and any(part == self.word for command in commands for part in command):
            before, self.before = self.before, None
            before()
        return super().pipeline(commands, timeout_seconds=timeout_seconds)


def confirmed(redis: Redis, rotation: Rotation) -> list[InstanceKeyStatus]:
    """Have every agent that is waited for say that it has its new key."""
    waiting = rotation.status().waiting
    for one in waiting:
        held = {"key_ids": f"{one.next_key_id},{one.key_id}"}
        heartbeat(redis, one.instance_id, "epoch", held, ttl_ms=60_000, take_over=True)
    return rotation.ready(waiting)


def boot_bound(invoke_id: str) -> Invocation:
    """An invocation that runs at every start of its machine."""
    command = StoredCommand(command_id="c-1", name="", type=ScriptType.SHELL, content=b"true", created_ms=1, kept=False)
    return Invocation(
        invoke_id=invoke_id,
        command=command,
        created_ms=1,
        target_count=1,
        done_channel="done",
        payload_token="p",
        schedule=Schedule(repeat_mode=RepeatMode.EVERY_REBOOT),
    )


@pytest.mark.parametrize("is_late", [True, False])
def test_what_is_made_to_wait_for_a_start_beside_a_rotation_is_signed_with_the_new_key(
    assistant: Assistant, redis: Redis, path: Path, is_late: bool
) -> None:
    hooked = Hooked(redis.url)
    rotation = Rotation(redis if is_late else hooked, assistant.trust.master, path)
    master = rotation.begin()
    [ready] = confirmed(redis, rotation)
    invocation = boot_bound("t-1")

    def bind_now() -> None:
        bind(hooked if is_late else redis, invocation, "digest", ["i-one"], master, created_ms=1)

    if is_late:
        # The producer knows the old key, and writes when all is done.
        hooked.word, hooked.before = invocation.invoke_id, lambda: rotation.settle([ready])
        bind_now()
    else:
        # Just after the look at what waits.
        hooked.word, hooked.before = ready.next_key_id, bind_now
        rotation.settle([ready])
    hooked.close()
    entry = msgspec.json.decode(redis.call("HGET", keys.boot_bound("i-one"), invocation.invoke_id), type=BootEntry)
    assert entry.mac.startswith(f"{ready.next_key_id}:")
    key = master.instance_key("i-one", ready.next_key_id)
    assert verify(key, "i-one", entry.envelope.encode(), entry.mac.encode())


def test_a_rotation_begun_while_another_is_settled_sends_no_key_that_its_record_does_not_name(
    assistant: Assistant, redis: Redis, path: Path
) -> None:
    first = Rotation(redis, assistant.trust.master, path)
    first.begin()
    [ready] = confirmed(redis, first)
    held = {one: first._master.instance_key("i-one", one) for one in (ready.key_id, ready.next_key_id)}
    second = Interrupted(redis, first._master, path)

    def settle() -> None:
        sent = redis.call("GET", keys.key_bundle("i-one"))
        assert set(unwrap(sent, "i-one", held).keys) == set(held), "the agent still holds what it was sent first"
        first.settle([ready])

    second.before = settle
    second.begin()
    [waiting] = second.status().waiting
    assert waiting.key_id == ready.next_key_id
    assert set(unwrap(redis.call("GET", keys.key_bundle("i-one")), "i-one", held).keys) == {
        ready.next_key_id,
        waiting.next_key_id,
    }


class Killed(Exception):
    """The end of a process."""


def test_who_is_killed_as_the_new_key_counts_has_signed_with_it_what_waits(
    assistant: Assistant, redis: Redis, path: Path
) -> None:
    hooked = Hooked(redis.url)
    rotation = Rotation(hooked, assistant.trust.master, path)
    master = rotation.begin()
    [ready] = confirmed(redis, rotation)
    invocation = boot_bound("t-1")
    bind(redis, invocation, "digest", ["i-one"], master, created_ms=1)

    def die() -> None:
        raise Killed

    def die_later() -> None:
        hooked.word, hooked.before = keys.boot_bound("i-one"), die

    hooked.word, hooked.before = ready.next_key_id, die_later
    with pytest.raises(Killed):
        rotation.settle([ready])
    hooked.close()
    assert redis.call("HGET", keys.KEY_IDS, "i-one").decode() == ready.next_key_id
    entry = msgspec.json.decode(redis.call("HGET", keys.boot_bound("i-one"), "t-1"), type=BootEntry)
    assert entry.mac.startswith(f"{ready.next_key_id}:")


def test_who_holds_a_key_with_a_longer_number_does_not_hold_the_new_one(
    assistant: Assistant, redis: Redis, path: Path
) -> None:
    rotation = Rotation(redis, assistant.trust.master, path)
    rotation.begin()
    [waiting] = rotation.status().waiting
    heartbeat(redis, "i-one", "e", {"key_ids": f"{waiting.next_key_id}0"}, ttl_ms=60_000, take_over=True)
    assert rotation.ready([waiting]) == []


def test_whose_key_is_not_entered_any_more_has_the_first(assistant: Assistant, redis: Redis, path: Path) -> None:
    rotation = Rotation(redis, assistant.trust.master, path)
    rotation.begin()
    redis.call("DEL", keys.KEY_IDS)
    assert [one.key_id for one in rotation.status().instances] == ["k1"]


@pytest.mark.parametrize("when", ["before", "behind"])
def test_a_rotation_that_is_killed_leaves_what_the_next_one_completes(
    assistant: Assistant, redis: Redis, path: Path, when: str
) -> None:
    def die() -> None:
        raise Killed

    first = Interrupted(redis, assistant.trust.master, path)
    setattr(first, when, die)
    with pytest.raises(Killed):
        first.begin()
    [status] = first.status().instances
    sent = redis.call("GET", keys.key_bundle("i-one"))
    assert (sent is None) == (status.next_key_id == "") == (when == "before")
    second = Rotation(redis, assistant.trust.master, path)
    second.begin()
    assert second.settle(confirmed(redis, second)).waiting == []
    assert second.status().instances[0].key_id.startswith("k3.")


def test_a_clock_that_was_ahead_keeps_no_later_key_from_an_agent(
    assistant: Assistant, redis: Redis, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotation = Rotation(redis, assistant.trust.master, path)
    true_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: true_ns() + 3_600 * 10**9)
    rotation.begin()
    monkeypatch.undo()
    [status] = rotation.status().instances
    held = {status.key_id: assistant.trust.master.instance_key("i-one", status.key_id)}
    ahead = unwrap(redis.call("GET", keys.key_bundle("i-one")), "i-one", held).serial
    rotation.begin()
    assert unwrap(redis.call("GET", keys.key_bundle("i-one")), "i-one", held).serial == ahead + 1
    # Whoever has stolen a key may have written anything.
    greatest = KeyBundle(2**64 - 1, "k", {"k": b""})
    wrapped = wrap(greatest, "i-one", key_id=status.key_id, key=held[status.key_id])
    for odd in (b"", b"x", b"k9:x", wrapped):
        redis.call("SET", keys.key_bundle("i-one"), odd)
        rotation.begin()
        assert unwrap(redis.call("GET", keys.key_bundle("i-one")), "i-one", held).serial < ahead


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


def test_of_two_machines_that_rotate_in_the_same_moment_one_is_refused_and_keeps_its_file(
    assistant: Assistant, redis: Redis, path: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there"
    there.mkdir()
    shutil.copy(path, there)
    late = Hooked(redis.url)
    late.word, late.before = "HSETNX", assistant.trust.rotate_master_key
    with pytest.raises(Refused) as refused:
        add_master_key(late, there / path.name)
    late.close()
    assert refused.value.code == "MasterKeyDiffers"
    assert list(read_master_keys(there / path.name).keys) == ["k1"]
    assert list(read_master_keys(path).keys) == ["k1", "k2"]


def test_programs_that_need_the_first_master_key_at_the_same_time_make_one(assistant: Assistant) -> None:
    start = Barrier(8)

    def needed(_: int) -> str:
        with Assistant(settings=assistant.settings) as one:
            start.wait()
            return one.trust.master.fingerprint()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(needed, range(8)))) == 1
