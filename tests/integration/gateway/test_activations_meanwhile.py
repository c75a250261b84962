"""Activations that somebody changes at the very moment in which a machine, or somebody else, is at work with them."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from integration.gateway.whole_gateway import whole_gateway

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import NotFound, RedisRefused, RequestInvalid
from cloud_assistant.broker_config.timed import server_ms
from cloud_assistant.producer import Assistant, activations
from cloud_assistant.producer.registration import Registered, RegistrationRequest, register
from cloud_assistant.producer.security.trust import Trust
from harness.at_once import at_once
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
