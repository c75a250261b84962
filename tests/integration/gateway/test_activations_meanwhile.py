"""Activations that somebody changes at the very moment in which a machine, or somebody else, is at work with them."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from integration.gateway.whole_gateway import whole_gateway

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import NotFound, RedisRefused, Refused, RequestInvalid
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.security.signing import MasterKeys
from cloud_assistant.broker_config.timed.timed_invocation import server_ms
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.fleet import activations, registration_turn
from cloud_assistant.producer.fleet.registration import Registered, RegistrationRequest, register
from cloud_assistant.producer.security.identities import Issued
from cloud_assistant.producer.security.trust import Trust
from harness.at_once import at_once
from harness.eventually import eventually
from harness.redis_server import RedisServer


@pytest.fixture
def assistant(redis_server: RedisServer, tmp_path: Path) -> Iterator[Assistant]:
    """The control side of a gateway with the master key."""
    with whole_gateway(redis_server.url(), tmp_path, has_master_key=True) as gateway:
        yield gateway.assistant


def come(
    assistant: Assistant, given: tuple[str, str], *, trust: Trust | None = None, home: str = "one", force: bool = False
) -> Registered:
    request = RegistrationRequest(
        activation_id=given[0],
        activation_code=given[1],
        machine_id="machine-one-0001",
        client_token=f"secret-of-home-{home}",
        force_new=force,
    )
    used = trust or assistant.trust
    return register(assistant.redis, used, request, address="192.0.2.1", before_use=lambda: None)


def registered(assistant: Assistant) -> list[str]:
    return [one.decode() for one in assistant.redis.call("ZRANGE", keys.INSTANCES, 0, -1)]


def test_an_activation_is_deleted_or_used_but_not_both(assistant: Assistant) -> None:
    for number in range(20):
        given = activations.create(assistant.redis, assistant.trust.master)
        came, *deleted = at_once(
            partial(come, assistant, given, home=f"{number}"),
            *[partial(activations.delete, assistant.redis, given[0])] * 3,
        )
        if assistant.redis.call("EXISTS", keys.activation(given[0])):
            assert isinstance(came, Registered)
            assert {getattr(one, "code", one) for one in deleted} == {"ActivationId.InUse"}
            assistant.trust.deregister(came.instance_id)
        else:
            assert getattr(came, "code", came) == "ActivationCode.Invalid"
        assert registered(assistant) == []


def test_an_activation_that_is_disabled_while_it_is_deleted_leaves_nothing(assistant: Assistant) -> None:
    for _ in range(30):
        activation_id, _ = activations.create(assistant.redis, assistant.trust.master)
        at_once(
            *[partial(activations.disable, assistant.redis, activation_id)] * 3,
            partial(activations.delete, assistant.redis, activation_id),
        )
        assert not assistant.redis.call("EXISTS", keys.activation(activation_id))
        assert assistant.redis.call("ZCARD", keys.ACTIVATIONS) == 0
    with pytest.raises(NotFound):
        activations.disable(assistant.redis, activation_id)


def test_as_many_activations_are_made_at_once_as_there_may_be(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activations, "ACTIVATIONS_COUNT", 3)
    made = at_once(*[lambda: activations.create(assistant.redis, assistant.trust.master)] * 8)
    assert [getattr(one, "code", "") for one in made].count("ActivationCount.ExceedLimit") == 5
    assert assistant.redis.call("ZCARD", keys.ACTIVATIONS) == 3


@pytest.mark.parametrize("hours", [-100, 100])
def test_the_hours_of_an_activation_are_those_of_redis_whatever_clock_its_maker_has(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    true_ms, look = server_ms(assistant.redis), time.time_ns
    monkeypatch.setattr(activations, "ACTIVATIONS_COUNT", 1)
    monkeypatch.setattr(time, "time_ns", lambda: look() + hours * 3_600 * 10**9)
    given = activations.create(assistant.redis, assistant.trust.master)
    made_ms = activations.load(assistant.redis, given[0]).activation.created_ms
    assert 0 <= made_ms - true_ms < 60_000
    # Nor does one that is good make room for another one.
    with pytest.raises(RequestInvalid, match="activations already"):
        activations.create(assistant.redis, assistant.trust.master)
    assert come(assistant, given).instance_id


class LetGo(Trust):
    """One whose instance is let go when its machine's registration has just found that it has one."""

    assistant: Assistant
    instance_id: str

    @property
    def master(self) -> MasterKeys:
        let_go = self

        class Meanwhile(MasterKeys):
            def is_sealed(self, purpose: str, data: bytes, seal: str) -> bool:
                if purpose == "use of an activation":
                    let_go.assistant.trust.deregister(let_go.instance_id)
                return super().is_sealed(purpose, data, seal)

        keys_ = super().master
        return Meanwhile(keys_.current, keys_.keys)


def test_an_instance_that_is_let_go_while_its_machine_registers_is_not_there_again(assistant: Assistant) -> None:
    given = activations.create(assistant.redis, assistant.trust.master)
    first = come(assistant, given).instance_id
    trust = LetGo(assistant.redis, assistant.settings)
    trust.assistant, trust.instance_id = assistant, first
    with pytest.raises(Refused) as refused:
        come(assistant, given, trust=trust)
    assert refused.value.code == "Machine.AlreadyRegistered"
    # Nobody holds its credentials.
    assert registered(assistant) == []
    assert assistant.redis.call("HLEN", keys.CREDENTIALS) == 0
    assert come(assistant, given).instance_id != first


def test_letting_go_of_what_a_machine_was_leaves_it_what_it_is(assistant: Assistant) -> None:
    given = activations.create(assistant.redis, assistant.trust.master)
    first = come(assistant, given).instance_id
    second = come(assistant, given, home="two", force=True).instance_id
    assistant.trust.deregister(first)
    again = come(assistant, given, home="two")
    assert (again.instance_id, again.again) == (second, True)
    stored = activations.load(assistant.redis, given[0])
    assert (stored.registered_count, stored.deregistered_count) == (2, 1)


def test_a_machine_does_not_come_back_as_an_instance_whose_removal_broke_off(assistant: Assistant) -> None:
    given = activations.create(assistant.redis, assistant.trust.master)
    first = come(assistant, given).instance_id
    redis = assistant.redis
    redis.call("ACL", "SETUSER", "clumsy", "on", ">pw", "~*", "&*", "+@all", "-zrem")
    with (
        Assistant(redis.address.with_user("clumsy", "pw"), settings=assistant.settings) as clumsy,
        pytest.raises(RedisRefused, match="zrem"),
    ):
        clumsy.trust.deregister(first)
    assert come(assistant, given).instance_id != first
    assistant.trust.deregister(first)
    assert first not in registered(assistant)


def test_what_makes_no_sense_in_an_activation_does_not_keep_its_instances_from_being_removed(
    assistant: Assistant,
) -> None:
    given = activations.create(assistant.redis, assistant.trust.master)
    first = come(assistant, given).instance_id
    assistant.redis.call("HSET", keys.activation(given[0]), "deregistered_count", "many")
    assistant.trust.deregister(first)
    assert registered(assistant) == []


def test_a_registration_that_took_too_long_leaves_the_turn_to_who_has_it_by_then(assistant: Assistant) -> None:
    given = activations.create(assistant.redis, assistant.trust.master)
    turns: list[Any] = []

    class Slow(Trust):
        def issue_credentials(self, instance_id: str, *, for_registration: bool = False) -> Issued:
            # Its minute is over, and another request of the machine has the turn.
            turns.extend(assistant.redis.call("KEYS", keys.client_token("register", "*")))
            assistant.redis.call("SET", turns[0], "another")
            return super().issue_credentials(instance_id, for_registration=for_registration)

    come(assistant, given, trust=Slow(assistant.redis, assistant.settings))
    assert [assistant.redis.call("GET", one) for one in turns] == [b"another"]
    with pytest.raises(Refused) as refused:
        come(assistant, given)
    assert refused.value.code == "IdempotentProcessing"
    assistant.redis.call("DEL", turns[0])
    assert come(assistant, given).again
    assert assistant.redis.call("EXISTS", turns[0]) == 0


def test_an_activation_that_is_gone_is_not_there_again_for_an_instance_that_is_removed(assistant: Assistant) -> None:
    given = activations.create(assistant.redis, assistant.trust.master)
    first = come(assistant, given).instance_id
    left = keys.activation(given[0]), keys.activation_machines(given[0])
    assistant.redis.call("DEL", *left)
    assistant.trust.deregister(first)
    assert assistant.redis.call("EXISTS", *left) == 0


def test_an_instance_that_was_there_stays_where_its_activation_is_gone_meanwhile(assistant: Assistant) -> None:
    given = activations.create(assistant.redis, assistant.trust.master)
    first = come(assistant, given).instance_id

    class Gone(Trust):
        def issue_credentials(self, instance_id: str, *, for_registration: bool = False) -> Issued:
            assistant.redis.call("DEL", keys.activation(given[0]), keys.activation_machines(given[0]))
            return super().issue_credentials(instance_id, for_registration=for_registration)

    with pytest.raises(Refused):
        come(assistant, given, trust=Gone(assistant.redis, assistant.settings))
    # With what it has done so far; an operator gives it other credentials, or lets it go.
    assert registered(assistant) == [first]


def test_credentials_that_are_given_while_the_machine_registers_anew_are_good(assistant: Assistant) -> None:
    """The machine is refused in the end; what it was about to be given does not take the place of the others."""
    given = activations.create(assistant.redis, assistant.trust.master)
    first = come(assistant, given).instance_id
    rotated: list[Issued] = []
    rotating = threading.Thread(target=lambda: rotated.append(assistant.trust.issue_credentials(first)))

    class Meanwhile(Trust):
        def issue_credentials(self, instance_id: str, *, for_registration: bool = False) -> Issued:
            rotating.start()
            uses = keys.activation_machines(given[0])
            eventually(lambda: assistant.redis.call("HVALS", uses)[0].startswith(b"- "), what="its use is ended")
            rotating.join(0.5)
            return super().issue_credentials(instance_id, for_registration=for_registration)

    with pytest.raises(Refused) as refused:
        come(assistant, given, trust=Meanwhile(assistant.redis, assistant.settings))
    rotating.join()
    assert refused.value.code == "Machine.AlreadyRegistered"
    with closing(Redis(rotated[0].credentials.redis_url)) as agent:
        assert agent.call("PING") == b"PONG"


def test_a_registration_that_was_killed_is_not_waited_for_long(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration_turn, "_TRIES_COUNT", 2)
    given = activations.create(assistant.redis, assistant.trust.master)
    first = come(assistant, given).instance_id
    machine = registration_turn.registration_digest("machine", "machine-one-0001")
    assistant.redis.call("SET", registration_turn.registration_turn(given[0], machine), "killed")
    with closing(Redis(assistant.trust.issue_credentials(first).credentials.redis_url)) as agent:
        assert agent.call("PING") == b"PONG"
