"""Promise 7 for the library: what somebody wrote into Redis is signed for no instance."""

from collections.abc import Iterator

import msgspec
import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.records import decode_command, encode
from cloud_assistant.producer import Assistant, Targets
from cloud_assistant.producer.commands.command_library import load

TARGETS = Targets(instance_ids=["i-one"])


@pytest.fixture
def producer(assistant: Assistant) -> Iterator[Assistant]:
    """A producer that has the master key from its start."""
    assistant.add_instance("i-one")
    assistant.trust.issue_credentials("i-one")
    with Assistant(settings=assistant.settings) as made:
        yield made


def stored(producer: Assistant) -> str:
    return producer.create_command(name="greet", type="RunShellScript", content="echo good", tags={"team": "web"})


def alter(producer: Assistant, command_id: str, **changes: object) -> None:
    before = load(producer.redis, command_id)
    producer.redis.call("HSET", keys.command(command_id), "record", encode(msgspec.structs.replace(before, **changes)))


def test_a_command_that_a_producer_stored_or_modified_is_invoked(producer: Assistant) -> None:
    command_id = stored(producer)
    assert producer.invoke_command(command_id, TARGETS).target_count == 1
    producer.modify_command(command_id, timeout_seconds=90)
    assert producer.invoke_command(command_id, TARGETS).target_count == 1


@pytest.mark.parametrize(
    "change",
    [
        {"content": b"echo EVIL"},
        {"username": "root"},
        {"launcher": "sh -c evil"},
        {"working_directory": "/evil"},
        {"seal": ""},
        {"seal": "k1:00"},
    ],
    ids=str,
)
def test_a_command_altered_in_redis_is_signed_for_nobody(producer: Assistant, change: dict[str, object]) -> None:
    command_id = stored(producer)
    alter(producer, command_id, **change)
    with pytest.raises(Refused) as refused:
        producer.invoke_command(command_id, TARGETS)
    assert refused.value.code == "CommandNotTrusted"
    assert producer.redis.call("LLEN", keys.queue("i-one")) == 0


def test_an_altered_command_cannot_be_made_good_by_modifying_it(producer: Assistant) -> None:
    command_id = stored(producer)
    alter(producer, command_id, content=b"echo EVIL")
    with pytest.raises(Refused, match="store it anew"):
        producer.modify_command(command_id, description="harmless")


def test_a_command_of_another_id_cannot_be_put_in_its_place(producer: Assistant) -> None:
    mine, other = stored(producer), stored(producer)
    record = producer.redis.call("HGET", keys.command(other), "record")
    producer.redis.call("HSET", keys.command(mine), "record", record)
    with pytest.raises(Refused):
        producer.invoke_command(mine, TARGETS)


def test_tags_change_without_the_seal(producer: Assistant) -> None:
    command_id = stored(producer)
    alter(producer, command_id, tags={"team": "db"})
    assert producer.invoke_command(command_id, TARGETS).target_count == 1
    assert decode_command(producer.redis.call("HGET", keys.command(command_id), "record")).tags == {"team": "db"}
