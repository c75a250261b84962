"""A beat completes a dispatch whose producer was killed: what others wrote meanwhile is signed for nobody."""

import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.messages import WorkOrder, decode_envelope, encode
from cloud_assistant.broker_config.records import decode_invocation
from cloud_assistant.broker_config.records import encode as encode_record
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.security.signing import Signature, digest, mac
from harness.eventually import eventually

from .conftest import SecureSystem

THIEF, OTHER = "i-one", "i-two"


class Scene:
    """An invocation for two instances, of which one has its execution and the other none."""

    def __init__(self, secure: SecureSystem, redis: Redis, folder: Path) -> None:
        self.secure, self.redis, self.folder = secure, redis, folder
        self.credentials = tomllib.loads(secure.add_instance(THIEF).read_text())
        other = secure.add_instance(OTHER)
        started = secure.assist("run", self.script("meant"), "--instance", THIEF, "--instance", OTHER, "--no-wait")
        self.invoke_id = started.must_succeed().stdout.strip()
        self.lose(OTHER)
        secure.start_agent(OTHER, credentials=other)

    def script(self, word: str) -> str:
        return f"touch {self.folder}/{word}-$CA_INSTANCE_ID"

    def start_beat(self) -> None:
        master = str(self.secure.folder / "operator" / "master-key.json")
        self.secure.start_beat(
            environment={
                "CLOUD_ASSISTANT_BEAT_SWEEP_SECONDS": "0.2",
                "CLOUD_ASSISTANT_SECURITY_MASTER_KEY_FILE": master,
            }
        )

    def row(self, instance_id: str) -> str:
        return keys.execution(instance_id, execution_id(self.invoke_id, 0, instance_id))

    def lose(self, instance_id: str) -> None:
        """Leave of an instance's part what a producer leaves that was killed before it came to it."""
        name = execution_id(self.invoke_id, 0, instance_id)
        self.redis.pipeline_or_raise(
            [
                ("DEL", self.row(instance_id), keys.queue(instance_id)),
                ("ZREM", keys.open_executions(instance_id), name),
                ("ZREM", keys.DEADLINES, name),
            ]
        )

    def end_of(self, instance_id: str) -> tuple[str, list[str]]:
        """How the execution there ended, and all that ever ran on either instance."""

        def final() -> str | None:
            state = self.redis.call("HGET", self.row(instance_id), "state")
            return state.decode() if state in (b"Success", b"Aborted", b"Invalid", b"Failed") else None

        return eventually(final, 30, "the execution ends"), sorted(one.name for one in self.folder.glob("*-*"))


@pytest.fixture
def scene(secure: SecureSystem, tmp_path: Path) -> Iterator[Scene]:
    with closing(Redis(secure.redis_url, name="test")) as redis:
        yield Scene(secure, redis, tmp_path)


def test_it_is_completed_as_it_was_meant(scene: Scene) -> None:
    scene.start_beat()
    assert scene.end_of(OTHER) == ("Success", ["meant-i-two"])


def test_an_instance_that_signs_with_its_own_key_has_nothing_signed_for_others(scene: Scene) -> None:
    """Its key is on its disk: whoever took it can put any work order, well signed, into its own row."""
    envelope = scene.redis.call("HGET", scene.row(THIEF), "envelope")
    order = WorkOrder(
        command_id="c-0123456789", type="RunShellScript", content=scene.script("stolen").encode(), timeout_seconds=60
    )
    forged = encode(msgspec.structs.replace(decode_envelope(envelope), digest=digest(encode(order))))
    key_id, _, key = scene.credentials["security"]["instance_key"].partition(":")
    made = mac(bytes.fromhex(key), THIEF, forged)
    fields = ("envelope", forged, "payload", encode(order), "mac", bytes(Signature(key_id, made)))
    with closing(Redis(scene.credentials["redis_url"], name="thief")) as thief:
        thief.call("HSET", scene.row(THIEF), *fields)
    scene.start_beat()
    assert scene.end_of(OTHER) == ("Aborted", [])


def test_whoever_writes_to_redis_sends_no_signed_script_to_other_instances(scene: Scene) -> None:
    """The list of targets is no part of any signature in a row."""
    third = scene.secure.add_instance("i-three")
    scene.redis.call("RPUSH", keys.invocation_targets(scene.invoke_id), "i-three")
    scene.secure.start_agent("i-three", credentials=third)
    scene.start_beat()
    assert scene.end_of("i-three") == ("Aborted", [])


def test_whoever_writes_to_redis_gives_a_dispatch_no_later_hour(scene: Scene) -> None:
    record = decode_invocation(scene.redis.call("HGET", keys.invocation(scene.invoke_id), "record"))
    later = msgspec.structs.replace(record, deliver_within_seconds=86_400)
    scene.redis.call("HSET", keys.invocation(scene.invoke_id), "record", encode_record(later))
    scene.start_beat()
    assert scene.end_of(OTHER) == ("Aborted", [])
