"""What somebody who can write to Redis, and has no key, makes of activations: nobody's credentials."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from integration.gateway.whole_gateway import whole_gateway

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import Refused, RequestInvalid
from cloud_assistant.broker_config.functions.function_library import fcall, run
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.fleet import activations
from cloud_assistant.producer.fleet.activations import Activation
from cloud_assistant.producer.fleet.registration import Registered, RegistrationRequest, register
from harness.redis_server import RedisServer


@pytest.fixture
def assistant(redis_server: RedisServer, tmp_path: Path) -> Iterator[Assistant]:
    """The control side of a gateway with the master key, and an instance that is no business of the thief's."""
    with whole_gateway(redis_server.url(), tmp_path, has_master_key=True) as gateway:
        gateway.assistant.add_instance("i-prod")
        gateway.assistant.trust.issue_credentials("i-prod")
        yield gateway.assistant


def come(
    assistant: Assistant,
    activation_id: str,
    code: str,
    client_token: str = "secret-of-machine-one",
    machine_id: str = "machine-one-0001",
) -> Registered:
    request = RegistrationRequest(
        activation_id=activation_id,
        activation_code=code,
        machine_id=machine_id,
        client_token=client_token,
    )
    return register(assistant.redis, assistant.trust, request, address="192.0.2.1", before_use=lambda: None)


def must_be_refused(assistant: Assistant, activation_id: str, code: str, *proof: str) -> None:
    before = assistant.redis.call("HGETALL", keys.CREDENTIALS)
    with pytest.raises(Refused) as refused:
        come(assistant, activation_id, code, *proof)
    assert refused.value.code == "Activation.NotTrusted"
    assert assistant.redis.call("HGETALL", keys.CREDENTIALS) == before


def rewrite(assistant: Assistant, activation_id: str, change: Callable[[Activation], Activation]) -> None:
    changed = msgspec.json.encode(change(activations.load(assistant.redis, activation_id).activation))
    assistant.redis.call("HSET", keys.activation(activation_id), "record", changed)


def test_an_activation_that_nobody_has_made_lets_nobody_in(assistant: Assistant) -> None:
    mine = Activation(activation_id="MINE", code_digest=activations.code_digest("a-mine"), created_ms=2**42)
    assistant.redis.call("HSET", keys.activation("MINE"), "record", msgspec.json.encode(mine))
    must_be_refused(assistant, "MINE", "a-mine")


@pytest.mark.parametrize(
    "change",
    [
        {"hours": 9_999},
        {"instance_count": 1_000},
        {"address_range": ""},
        {"code_digest": activations.code_digest("a-x")},
    ],
    ids=str,
)
def test_an_activation_that_was_changed_lets_nobody_in(assistant: Assistant, change: dict[str, Any]) -> None:
    activation_id, code = activations.create(
        assistant.redis, assistant.trust.master, instance_count=1, address_range="192.0.2.0/24"
    )
    rewrite(assistant, activation_id, lambda one: msgspec.structs.replace(one, **change))
    must_be_refused(assistant, activation_id, "a-x" if "code_digest" in change else code)


def test_the_record_of_one_activation_does_not_serve_for_another(assistant: Assistant) -> None:
    first, code = activations.create(assistant.redis, assistant.trust.master)
    record = assistant.redis.call("HGET", keys.activation(first), "record")
    assistant.redis.call("HSET", keys.activation("OTHER"), "record", record)
    must_be_refused(assistant, "OTHER", code)


def test_a_use_leads_to_no_instance_but_the_one_that_it_was_given_for(assistant: Assistant) -> None:
    activation_id, code = activations.create(assistant.redis, assistant.trust.master)
    own = come(assistant, activation_id, code).instance_id
    assert come(assistant, activation_id, code).instance_id == own
    machines = keys.activation_machines(activation_id)
    [(machine, use)] = zip(*[iter(assistant.redis.call("HGETALL", machines))] * 2, strict=True)
    assistant.redis.call("HSET", machines, machine, use.replace(own.encode(), b"i-prod"))
    must_be_refused(assistant, activation_id, code)
    assistant.redis.call("HSET", machines, machine, b" ".join(use.replace(own.encode(), b"i-prod").split()[:3]))
    must_be_refused(assistant, activation_id, code)


def test_a_use_is_proved_by_the_machine_that_it_was_given_to_alone(assistant: Assistant) -> None:
    activation_id, code = activations.create(assistant.redis, assistant.trust.master)
    come(assistant, activation_id, code)
    machines = keys.activation_machines(activation_id)
    [(machine, use)] = zip(*[iter(assistant.redis.call("HGETALL", machines))] * 2, strict=True)
    # The thief knows the code, and every machine-id from the heartbeats.
    other_id, other_code = activations.create(assistant.redis, assistant.trust.master)
    come(assistant, other_id, other_code, "secret-of-the-thief")
    [thiefs_use] = assistant.redis.call("HVALS", keys.activation_machines(other_id))
    forged = b" ".join([thiefs_use.split()[0], *use.split()[1:]])
    assistant.redis.call("HSET", machines, machine, forged)
    must_be_refused(assistant, activation_id, code, "secret-of-the-thief")


def test_a_use_of_one_machine_is_none_of_another(assistant: Assistant) -> None:
    activation_id, code = activations.create(assistant.redis, assistant.trust.master)
    machines = keys.activation_machines(activation_id)
    come(assistant, activation_id, code)
    [(_, use)] = zip(*[iter(assistant.redis.call("HGETALL", machines))] * 2, strict=True)
    come(assistant, activation_id, code, "secret-of-machine-two", "machine-two-0002")
    for machine in assistant.redis.call("HKEYS", machines):
        assistant.redis.call("HSET", machines, machine, use)
    must_be_refused(assistant, activation_id, code, "secret-of-machine-one", "machine-two-0002")
    assert come(assistant, activation_id, code).again


def test_a_use_of_one_activation_is_none_of_another(assistant: Assistant) -> None:
    first_id, first_code = activations.create(assistant.redis, assistant.trust.master)
    come(assistant, first_id, first_code)
    use = assistant.redis.call("HGETALL", keys.activation_machines(first_id))
    other_id, other_code = activations.create(assistant.redis, assistant.trust.master)
    assistant.redis.call("HSET", keys.activation_machines(other_id), *use)
    must_be_refused(assistant, other_id, other_code)


@pytest.mark.parametrize("client_token", ["", "x" * 15, "x" * 129, "x" * 16 + "\n", "secret of machine one"], ids=repr)
def test_a_proof_that_could_be_guessed_or_is_no_mark_is_refused(assistant: Assistant, client_token: str) -> None:
    activation_id, code = activations.create(assistant.redis, assistant.trust.master)
    with pytest.raises(RequestInvalid) as refused:
        come(assistant, activation_id, code, client_token)
    assert refused.value.code == "InvalidClientToken.Malformed"
    assert activations.load(assistant.redis, activation_id).registered_count == 0


def test_tags_of_an_activation_may_change_later(assistant: Assistant) -> None:
    activation_id, code = activations.create(assistant.redis, assistant.trust.master)
    rewrite(assistant, activation_id, lambda one: msgspec.structs.replace(one, tags={"env": "test"}))
    assert come(assistant, activation_id, code).instance_id.startswith("mi-")


def test_a_gateway_from_before_uses_were_sealed_is_answered_what_it_can_read(assistant: Assistant) -> None:
    activation_id, _ = activations.create(assistant.redis, assistant.trust.master, instance_count=1)
    touched = [keys.activation(activation_id), keys.activation_machines(activation_id)]
    ends_ms = activations.load(assistant.redis, activation_id).activation.ends_ms
    for word, machine in (("taken", "a"), ("again", "a"), ("used_up", "b")):
        reply = run(assistant.redis, fcall("ca_take_activation", touched, [machine, "proof", "mi-1", 1, ends_ms, 0]))
        assert reply == [word.encode(), b"" if word == "used_up" else b"mi-1", 0 if word == "used_up" else 1]
