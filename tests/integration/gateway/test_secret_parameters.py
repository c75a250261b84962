"""``SecretParameters`` of the gateway: our own field, repeated by no answer and kept nowhere in clear."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.gateway.whole_gateway import KEY_ID, WholeGateway, whole_gateway
from unit.producer.gateway.signing import v1_query

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.security.signing import new_master_keys, read_master_keys, write_master_keys
from cloud_assistant.broker_config.timed.secret_values import FIELD, open_timed_secrets
from harness.files import contents_below
from harness.redis_server import RedisServer

VALUE = "canary-of-the-gateway"
RUN = {"Type": "RunShellScript", "CommandContent": "true", "ContentEncoding": "PlainText", "InstanceId.1": "i-one"}


@pytest.fixture
def gateway(redis_server: RedisServer, tmp_path: Path) -> Iterator[WholeGateway]:
    home = tmp_path / "home"
    write_master_keys(home / "master-key.json", new_master_keys())
    with whole_gateway(redis_server.url(), home) as running:
        running.assistant.add_instance("i-one")
        yield running


def values_in(server: RedisServer) -> bytes:
    """All that was ever written to Redis: its append-only file, which is not compressed before it is rewritten."""
    return b"\0".join(held for _, held in contents_below(server.folder))


def test_a_value_goes_into_the_envelope_only(
    gateway: WholeGateway, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    secret = {"SecretParameters": f'{{"token":"{VALUE}"}}', "ClientToken": "once"}
    with caplog.at_level(0):
        status, answer = gateway.call("RunCommand", {**RUN, **secret})
    assert (status, VALUE in str(answer)) == (200, False)
    assert gateway.call("RunCommand", {**RUN, **secret})[1]["InvokeId"] == answer["InvokeId"]
    _, shown = gateway.call("DescribeInvocations", {"InvokeId": answer["InvokeId"]})
    assert VALUE not in str(shown)
    assert VALUE not in caplog.text
    assert VALUE.encode() not in values_in(redis_server)


@pytest.mark.parametrize("text", [f'{{"token":["{VALUE}"]}}', f"{{'token':'{VALUE}'}}", f'["{VALUE}"]', VALUE])
def test_a_malformed_field_is_refused_without_its_text(gateway: WholeGateway, text: str) -> None:
    status, answer = gateway.call("RunCommand", {**RUN, "SecretParameters": text})
    assert (status, answer["Code"]) == (400, "InvalidParameter.SecretParameters")
    assert VALUE[:10] not in str(answer)


def test_a_wrong_signature_is_told_without_what_is_secret_in_the_text_that_was_signed(gateway: WholeGateway) -> None:
    asked = {"RegionId": "local", **RUN, "SecretParameters": f'{{"token":"{VALUE}"}}'}
    status, body = gateway.post(v1_query("RunCommand", asked, secret="wrong", AccessKeyId=KEY_ID))
    answer = json.loads(body)
    assert (status, answer["Code"]) == (400, "SignatureDoesNotMatch")
    assert VALUE not in answer["Message"]
    assert answer["Message"].count(":") == 1
    del asked["SecretParameters"]
    _, body = gateway.post(v1_query("RunCommand", asked, secret="wrong", AccessKeyId=KEY_ID))
    assert "InstanceId.1%3Di-one" in json.loads(body)["Message"]


def test_a_stored_command_names_its_secrets_and_wants_them(gateway: WholeGateway) -> None:
    _, made = gateway.call(
        "CreateCommand",
        {"Name": "n", "Type": "RunShellScript", "CommandContent": "dHJ1ZQ==", "SecretParameterName.1": "token"},
    )
    _, shown = gateway.call("DescribeCommands", {"CommandId": made["CommandId"]})
    [definition] = shown["Commands"]["Command"][0]["ParameterDefinitions"]["ParameterDefinition"]
    assert (definition["ParameterName"], definition["Secret"]) == ("token", True)
    invoke = {"CommandId": made["CommandId"], "InstanceId.1": "i-one"}
    status, answer = gateway.call("InvokeCommand", invoke)
    assert (status, answer["Code"]) == (400, "InvalidParameter.SecretMissing")
    status, _ = gateway.call("InvokeCommand", {**invoke, "SecretParameters": f'{{"token":"{VALUE}"}}'})
    assert status == 200


def test_a_schedule_is_given_another_value(
    gateway: WholeGateway, redis_server: RedisServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = {"SecretParameters": '{"token":"the first value","other":"stays as it is"}'}
    _, made = gateway.call("RunCommand", {**RUN, **first, "Frequency": "0 0 3 * * *"})
    named = {"InvokeId": made["InvokeId"]}
    with caplog.at_level(0):
        change = {**named, "SecretParameters": f'{{"Token":"{VALUE}"}}'}
        status, answer = gateway.call("ModifyInvocationAttribute", change)
    assert (status, VALUE in str(answer) + caplog.text) == (200, False)
    status, answer = gateway.call("ModifyInvocationAttribute", {**named, "SecretParameters": '{"else":"a value"}'})
    assert (status, answer["Code"], "a value" in str(answer)) == (400, "InvalidParameters.KeyNotMatch", False)
    # Without the field, and with an empty one, they stay.
    for field in ({}, {"SecretParameters": ""}):
        assert gateway.call("ModifyInvocationAttribute", {**named, **field, "Frequency": "0 0 4 * * *"})[0] == 200
    stored = gateway.assistant.redis.call("HGET", keys.timed(made["InvokeId"]), FIELD).decode()
    master = read_master_keys(tmp_path / "home" / "master-key.json")
    assert open_timed_secrets(master, made["InvokeId"], stored) == {"token": VALUE, "other": "stays as it is"}
    assert VALUE.encode() not in values_in(redis_server)
