"""What was stolen from a registered machine and replaced by an operator: its secret and code get the thief no more."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.gateway.whole_gateway import whole_gateway

from cloud_assistant.broker_config.errors import RedisRefused, Refused
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.fleet import activations
from cloud_assistant.producer.fleet.registration import Registered, RegistrationRequest, register
from cloud_assistant.producer.security.identities import Issued
from cloud_assistant.producer.security.trust import Trust
from harness.redis_server import RedisServer


@pytest.fixture
def assistant(redis_server: RedisServer, tmp_path: Path) -> Iterator[Assistant]:
    """The control side of a gateway with the master key."""
    with whole_gateway(redis_server.url(), tmp_path, has_master_key=True) as gateway:
        yield gateway.assistant


def come(
    assistant: Assistant, given: tuple[str, str], *, trust: Trust | None = None, force: bool = False
) -> Registered:
    """Register as the machine from which all was taken that it has on its disk."""
    request = RegistrationRequest(
        activation_id=given[0],
        activation_code=given[1],
        machine_id="machine-one-0001",
        client_token="secret-of-machine-one",
        force_new=force,
    )
    used = trust or assistant.trust
    return register(assistant.redis, used, request, address="192.0.2.1", before_use=lambda: None)


def opens(redis_url: str) -> bool:
    redis = Redis(redis_url)
    try:
        return bool(redis.call("PING") == b"PONG")
    except RedisRefused:
        return False
    finally:
        redis.close()


def test_an_instance_whose_credentials_were_replaced_is_not_given_to_its_old_machine_again(
    assistant: Assistant,
) -> None:
    given = activations.create(assistant.redis, assistant.trust.master)
    stolen = come(assistant, given)
    fresh = assistant.trust.issue_credentials(stolen.instance_id).credentials
    with pytest.raises(Refused, match="assist instance rotate") as refused:
        come(assistant, given)
    assert refused.value.code == "Machine.AlreadyRegistered"
    assert opens(fresh.redis_url)
    assert not opens(stolen.issued.credentials.redis_url)
    # Its use stays taken, and another one is another instance.
    assert activations.load(assistant.redis, given[0]).registered_count == 1
    another = come(assistant, given, force=True)
    assert another.instance_id != stolen.instance_id
    assert opens(fresh.redis_url)
    # Replacing those of the first one once more is no business of the other's.
    assistant.trust.issue_credentials(stolen.instance_id)
    assert come(assistant, given).instance_id == another.instance_id


def test_a_registration_that_was_under_way_meanwhile_gets_nothing(assistant: Assistant) -> None:
    given = activations.create(assistant.redis, assistant.trust.master)
    stolen = come(assistant, given).instance_id

    class Meanwhile(Trust):
        def issue_credentials(self, instance_id: str, *, for_registration: bool = False) -> Issued:
            assistant.trust.issue_credentials(instance_id)
            return super().issue_credentials(instance_id, for_registration=for_registration)

    with pytest.raises(Refused) as refused:
        come(assistant, given, trust=Meanwhile(assistant.redis, assistant.settings))
    assert refused.value.code == "Machine.AlreadyRegistered"
    fresh = assistant.trust.issue_credentials(stolen).credentials
    with pytest.raises(Refused):
        come(assistant, given)
    assert opens(fresh.redis_url)
