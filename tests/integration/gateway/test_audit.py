"""The gateway and the audit: who asked for what from where, what was refused, and no flood of it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from integration.gateway.whole_gateway import SECRET, WholeGateway, whole_gateway
from unit.producer.gateway.signing import v1_query

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.audit.entry import AuditEntry, decode_entry, encode_entry
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.security.signing import digest, new_master_keys, write_master_keys
from cloud_assistant.producer.gateway.access import refusal_audit
from cloud_assistant.producer.gateway.access.refusal_audit import KEY_COUNT, STRANGERS_COUNT, RefusalAudit
from cloud_assistant.producer.gateway.api_errors import api_error
from cloud_assistant.producer.gateway.exchange import Exchange
from cloud_assistant.producer.gateway.serving.http_messages import HttpRequest
from cloud_assistant.producer.security.access_keys import AccessKeys
from cloud_assistant.producer.security.audit_verification import verify_audit
from cloud_assistant.producer.security.caller import AccessKey
from cloud_assistant.producer.security.scopes import Scope
from harness.redis_server import RedisServer

MASTER = new_master_keys()


@pytest.fixture
def gateway(redis_server: RedisServer, tmp_path: Path) -> Iterator[WholeGateway]:
    home = tmp_path / "home"
    write_master_keys(home / "master-key.json", MASTER)
    with whole_gateway(redis_server.url(), home) as made:
        yield made


def entered(redis: Redis) -> list[AuditEntry]:
    return [decode_entry(fields[3]) for _, fields in redis.call("XRANGE", keys.AUDIT, "-", "+")]


def call_as(gateway: WholeGateway, key: tuple[str, str], action: str, **parameters: str) -> tuple[int, Any]:
    form = v1_query(action, {"RegionId": "local", **parameters}, secret=key[1], AccessKeyId=key[0])
    status, body = gateway.post(form)
    return status, body


def test_a_change_is_entered_with_the_key_the_address_and_the_request_id(gateway: WholeGateway) -> None:
    status, answer = gateway.call(
        "CreateCommand", {"Name": "x", "Type": "RunShellScript", "CommandContent": "ZWNobyAxMjM="}
    )
    assert status == 200
    begun, done = entered(gateway.assistant.redis)
    assert (begun.outcome, done.outcome, begun.change) == ("begun", "done", done.change)
    assert (done.who.kind, done.who.name, done.who.source) == ("access-key", "wholekey", "127.0.0.1")
    assert done.request_id == answer["RequestId"]
    assert done.what == answer["CommandId"]
    assert done.digest == digest(b"echo 123")


def test_a_run_is_one_entry_and_its_refusal_another(gateway: WholeGateway) -> None:
    gateway.assistant.add_instance("i-1")
    given = {"Type": "RunShellScript", "CommandContent": "echo 1", "InstanceId.1": "i-1"}
    _, answer = gateway.call("RunCommand", given)
    assert gateway.call("RunCommand", {**given, "InstanceId.1": "i-none"})[0] == 404
    assert gateway.call("RunCommand", {**given, "Timeout": "never"})[0] == 400
    runs = [one for one in entered(gateway.assistant.redis) if one.action == "RunCommand"]
    assert [(one.outcome, one.code) for one in runs] == [
        ("done", ""),
        ("refused", "InvalidInstance.NotFound"),
        ("refused", "InvalidTimeout"),
    ]
    assert runs[0].what == answer["InvokeId"]
    assert {one.who.name for one in runs} == {"wholekey"}


@pytest.mark.parametrize(
    ("action", "asked", "entries"),
    [
        ("CreateCommand", {"Name": "x", "Type": "RunShellScript", "CommandContent": "ZWNobyAxMjM="}, 2),
        ("RunCommand", {"Type": "RunShellScript", "CommandContent": "true", "InstanceId.1": "mi-1"}, 1),
        ("CreateActivation", {"InstanceCount": "1"}, 2),
        ("DeregisterManagedInstance", {"InstanceId": "mi-1"}, 2),
    ],
)
def test_a_request_that_gets_its_first_answer_again_is_no_second_entry(
    gateway: WholeGateway, action: str, asked: dict[str, str], entries: int
) -> None:
    gateway.assistant.add_instance("mi-1")
    before = len(entered(gateway.assistant.redis))
    first, again = (gateway.call(action, {**asked, "ClientToken": "token-1"}) for _ in range(2))
    assert {**again[1], "RequestId": ""} == {**first[1], "RequestId": ""}
    assert [one.outcome for one in entered(gateway.assistant.redis)[before:]] == ["begun", "done"][-entries:]
    assert gateway.call(action, {**asked, "Description": "other", "ClientToken": "token-1"})[0] == 403
    last = entered(gateway.assistant.redis)[-1]
    assert (last.outcome, last.code) == ("refused", "IdempotentParameterMismatch")
    assert verify_audit(gateway.assistant.redis, MASTER).problem == ""


def test_activations_tags_and_settings_are_entered(gateway: WholeGateway) -> None:
    gateway.assistant.add_instance("i-1")
    gateway.call("CreateActivation", {"InstanceCount": "1"})
    gateway.call(
        "TagResources", {"ResourceType": "instance", "ResourceId.1": "i-1", "Tag.1.Key": "a", "Tag.1.Value": "b"}
    )
    gateway.call("ModifyCloudAssistantSettings", {"SettingType": "SessionManagerConfig"})
    done = [one.action for one in entered(gateway.assistant.redis) if one.outcome == "done"]
    assert done == ["AddInstance", "CreateActivation", "TagResources", "ModifyCloudAssistantSettings"]


def facts_of(gateway: WholeGateway, action: str, **parameters: str) -> tuple[str, dict[str, str]]:
    """What the entry of a change names, and its facts."""
    gateway.call(action, {name.replace("__", "."): value for name, value in parameters.items()})
    last = entered(gateway.assistant.redis)[-1]
    assert (last.action, last.outcome) == (action, "done")
    return last.what, dict(last.facts)


def test_what_a_request_names_in_lists_is_entered(gateway: WholeGateway) -> None:
    for one in ("i-1", "i-2", "i-3"):
        gateway.assistant.add_instance(one)
    kind = {"ResourceType": "instance"}
    two = {**kind, "ResourceId__1": "i-1", "ResourceId__2": "i-2"}
    named = {**kind, "Resources": "i-1 i-2", "ResourceCount": "2"}
    tags = {"Tag__1__Key": "env", "Tag__1__Value": "prod", "Tag__2__Key": "old"}
    assert facts_of(gateway, "TagResources", **two, **tags) == ("i-1", {**named, "Tags": "env=prod old="})
    assert facts_of(gateway, "UntagResources", **two, TagKey__1="env", TagKey__2="old") == (
        "i-1",
        {**named, "TagKeys": "env old"},
    )
    assert facts_of(gateway, "UntagResources", **kind, ResourceId__1="i-3", All="true") == (
        "i-3",
        {**kind, "All": "true"},
    )
    on_all = {f"InstanceId.{number}": f"i-{number}" for number in (1, 2, 3)}
    run = {"Type": "RunShellScript", "CommandContent": "true", **on_all}
    invoke_id = gateway.call("RunCommand", run)[1]["InvokeId"]
    stopped = facts_of(gateway, "StopInvocation", InvokeId=invoke_id, InstanceIds='["i-1", "i-3"]')
    assert stopped == (invoke_id, {"Instances": "i-1 i-3", "InstanceCount": "2"})
    assert facts_of(gateway, "StopInvocation", InvokeId=invoke_id) == (invoke_id, {})
    timed = gateway.call("RunCommand", {**run, "Frequency": "0 0 3 * * *"})[1]["InvokeId"]
    changed = facts_of(gateway, "ModifyInvocationAttribute", InvokeId=timed, Frequency="0 0 4 * * *")
    # Not the command, which the answer names.
    assert changed == (timed, {"Frequency": "0 0 4 * * *"})
    assert facts_of(gateway, "InstallCloudAssistant", InstanceId__1="i-2") == ("i-2", {})
    made = facts_of(gateway, "CreateActivation", InstanceCount="1", Tag__1__Key="env", Tag__1__Value="test")
    assert made[1] == {"InstanceCount": "1", "Tags": "env=test"}


def test_content_that_a_change_does_not_take_is_not_entered_as_stored(gateway: WholeGateway) -> None:
    command = {"Name": "x", "Type": "RunShellScript", "CommandContent": "ZWNobyAxMjM="}
    command_id = gateway.call("CreateCommand", command)[1]["CommandId"]
    gateway.call("ModifyCommand", {"CommandId": command_id, "Name": "y", "CommandContent": "ZWNobyA0NTY="})
    last = entered(gateway.assistant.redis)[-1]
    assert (last.action, last.outcome, last.digest) == ("ModifyCommand", "done", "")
    (shown,) = gateway.call("DescribeCommands", {"CommandId": command_id})[1]["Commands"]["Command"]
    assert shown["CommandContent"] == command["CommandContent"]


def test_reading_is_not_entered_and_a_forbidden_action_is(gateway: WholeGateway) -> None:
    viewer = AccessKeys(gateway.assistant.redis, MASTER).create("v", "viewer")
    before = len(entered(gateway.assistant.redis))
    assert call_as(gateway, viewer, "DescribeCommands")[0] == 200
    assert len(entered(gateway.assistant.redis)) == before
    assert call_as(gateway, viewer, "DeleteCommand", CommandId="c-1")[0] == 403
    last = entered(gateway.assistant.redis)[-1]
    assert (last.who.name, last.who.role, last.action, last.code) == (
        *(viewer[0], "viewer"),
        *("DeleteCommand", "Forbidden.RAM"),
    )


def test_pieces_of_a_file_are_not_entered_and_their_refusals_are(gateway: WholeGateway) -> None:
    piece = {"Sha256": hashlib.sha256(b"x").hexdigest(), "Content": "eA=="}
    assert gateway.call("UploadFilePart", piece)[0] == 200
    assert entered(gateway.assistant.redis) == []
    limited = AccessKeys(gateway.assistant.redis, MASTER).create("a", "admin", Scope(user_names=["deploy"]))
    assert call_as(gateway, limited, "UploadFilePart", **piece)[0] == 403
    assert gateway.call("UploadFilePart", {**piece, "Content": "%"})[0] == 400
    pieces = [one for one in entered(gateway.assistant.redis) if one.action == "UploadFilePart"]
    assert [(one.who.name, one.outcome, one.code) for one in pieces] == [
        (limited[0], "refused", "Forbidden.RAM"),
        ("wholekey", "refused", "InvalidParameter.Content"),
    ]


def test_a_wrong_signature_is_entered_as_a_strangers(gateway: WholeGateway) -> None:
    assert call_as(gateway, ("wholekey", "wrong"), "DescribeCommands")[0] == 400
    assert call_as(gateway, ("nobody", "wrong"), "DescribeCommands")[0] == 404
    first, second = entered(gateway.assistant.redis)
    assert (first.who.kind, first.who.name, first.who.source, first.code) == (
        *("unknown", "wholekey", "127.0.0.1"),
        "SignatureDoesNotMatch",
    )
    assert second.code == "InvalidAccessKeyId.NotFound"


def test_nobody_states_by_the_name_of_an_action_that_entries_were_removed(gateway: WholeGateway) -> None:
    assert call_as(gateway, ("wholekey", "wrong"), "AuditTrimmed")[0] == 400
    gateway.call("AuditTrimmed")
    assert {one.action for one in entered(gateway.assistant.redis)} == {"AuditTrimmed"}
    assert verify_audit(gateway.assistant.redis, MASTER).problem == ""


def test_a_flood_of_strangers_is_counted(gateway: WholeGateway) -> None:
    for _ in range(STRANGERS_COUNT + 40):
        gateway.post("Action=Nothing")
    # A minute may have ended within.
    assert STRANGERS_COUNT <= len(entered(gateway.assistant.redis)) <= STRANGERS_COUNT + 41


def test_the_counted_rest_of_a_minute_is_entered_with_the_next(gateway: WholeGateway) -> None:
    moment = [60_000]
    audit = RefusalAudit(gateway.assistant.auditing, lambda: moment[0])
    audit.turn()
    for _ in range(STRANGERS_COUNT + 5):
        exchange = Exchange(HttpRequest("GET", "/", b"", [], b""), "192.0.2.1")
        audit.refused(exchange, api_error("InvalidAccessKeyId.NotFound"), is_entered=False)
    assert len(entered(gateway.assistant.redis)) == STRANGERS_COUNT
    moment[0] += 60_000
    audit.turn()
    last = entered(gateway.assistant.redis)[-1]
    assert (last.action, last.code, last.facts) == (
        *("RefusedRequests", "MoreRefusals"),
        {"InvalidAccessKeyId.NotFound": "5"},
    )


def test_a_failure_of_ours_is_no_refusal(gateway: WholeGateway) -> None:
    audit = RefusalAudit(gateway.assistant.auditing, lambda: 60_000)
    exchange = Exchange(HttpRequest("GET", "/", b"", [], b""), "192.0.2.1")
    audit.refused(exchange, api_error("ServiceUnavailable"), is_entered=False)
    assert entered(gateway.assistant.redis) == []


def test_keys_beyond_those_told_apart_are_counted_with_strangers(
    gateway: WholeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refusal_audit, "_KEYS_COUNT", 2)
    audit = RefusalAudit(gateway.assistant.auditing, lambda: 60_000)
    for number in range(STRANGERS_COUNT + 10):
        exchange = Exchange(HttpRequest("GET", "/", b"", [], b""), "192.0.2.1")
        exchange.caller = AccessKey(f"key-{number}", "s", active=True, principal="p")
        audit.refused(exchange, api_error("Forbidden.RAM"), is_entered=False)
    audit.close()
    *_, last = entered(gateway.assistant.redis)
    assert (last.who.kind, last.facts) == ("unknown", {"Forbidden.RAM": "8"})


def test_an_entry_stays_small_whatever_a_request_names(gateway: WholeGateway) -> None:
    gateway.call("DeleteCommand", {"CommandId": "c-" + "x" * 5_000, "Name": "x" * 5_000})
    assert max(len(encode_entry(one)) for one in entered(gateway.assistant.redis)) < 1_000


def test_what_was_counted_is_entered_when_the_gateway_ends(redis_server: RedisServer, tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_master_keys(home / "master-key.json", MASTER)
    with whole_gateway(redis_server.url(), home) as gateway:
        # So many that one minute has too many of them even if it ends within.
        for _ in range(2 * STRANGERS_COUNT + 10):
            gateway.post("Action=Nothing")
    redis = Redis(redis_server.url())
    more = [one for one in entered(redis) if one.code == "MoreRefusals"]
    redis.close()
    assert sum(int(one.facts["MissingParameter"]) for one in more) >= 10


def test_a_key_that_is_refused_all_the_time_is_throttled_and_may_still_read(gateway: WholeGateway) -> None:
    operator = AccessKeys(gateway.assistant.redis, MASTER).create("o", "operator")
    for _ in range(KEY_COUNT):
        call_as(gateway, operator, "DeleteCommand", CommandId="c-none")
    status, body = call_as(gateway, operator, "DeleteCommand", CommandId="c-none")
    # A minute may have ended within.
    if status == 400:
        assert b"Throttling.User" in body
        before = len(entered(gateway.assistant.redis))
        call_as(gateway, operator, "DeleteCommand", CommandId="c-none")
        assert len(entered(gateway.assistant.redis)) == before
    assert call_as(gateway, operator, "DescribeCommands")[0] == 200
    assert gateway.call("CreateActivation", {"InstanceCount": "1"})[0] == 200
    assert verify_audit(gateway.assistant.redis, MASTER).problem == ""


def test_a_key_that_waits_for_an_instance_to_appear_is_not_throttled(gateway: WholeGateway) -> None:
    before = len(entered(gateway.assistant.redis))
    # So many that one minute has too many of them even if it ends within.
    for _ in range(2 * KEY_COUNT):
        status, answer = gateway.call("DescribeCloudAssistantStatus", {"InstanceId.1": "mi-1"})
        assert (status, answer["Code"]) == (404, "InvalidInstance.NotFound")
    assert len(entered(gateway.assistant.redis)) == before
    assert gateway.call("CreateActivation", {"InstanceCount": "1"})[0] == 200


def test_no_secret_reaches_the_audit(gateway: WholeGateway) -> None:
    gateway.call(
        "CreateCommand",
        {"Name": "x", "Type": "RunShellScript", "CommandContent": "CANARY", "ContentEncoding": "PlainText"},
    )
    gateway.call("InvokeCommand", {"CommandId": "c-none", "InstanceId.1": "i-1", "Parameters": '{"a":"CANARY"}'})
    everything = b"".join(
        b"".join(fields) for _, fields in gateway.assistant.redis.call("XRANGE", keys.AUDIT, "-", "+")
    )
    assert b"CANARY" not in everything
    assert SECRET.encode() not in everything
