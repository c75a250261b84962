"""What a client of the service relies on, end to end with real agents, where no other test of this folder shows it."""

import base64
import http.client
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from e2e.gateway.real_gateway import FINAL, RealGateway, text_of
from unit.producer.gateway.signing import now_text, v1_parameters, v1_query, v3_headers

from harness.eventually import eventually

CHINESE = "云助手"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def exchange(
    real: RealGateway, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", real.port, timeout=30)
    try:
        connection.request(method, target, body, dict(headers or {}))
        response = connection.getresponse()
        return response.status, response.headers["content-type"], response.read()
    finally:
        connection.close()


def signed(real: RealGateway, action: str, parameters: Mapping[str, str], **options: str | None) -> str:
    given: dict[str, str | None] = {"secret": real.secret, "AccessKeyId": real.key_id, **options}
    return v1_query(action, {"RegionId": "cn-hangzhou", **parameters}, **given)


def code(answer: tuple[int, str, bytes]) -> tuple[int, str]:
    return answer[0], json.loads(answer[2])["Code"]


# Requests of clients that are not here any more


def test_a_form_post_with_nothing_in_the_query_runs(real: RealGateway) -> None:
    form = signed(
        real,
        "RunCommand",
        {"Type": "RunShellScript", "CommandContent": "echo form", "InstanceId.1": "i-one", "Timed": "false"},
    )
    status, _, body = exchange(real, "POST", "/", form.encode(), FORM)
    assert status == 200, body
    (result,) = real.results(json.loads(body)["InvokeId"])
    assert text_of(result) == "form\n"


def test_a_request_split_between_query_and_form_runs(real: RealGateway) -> None:
    business = {"Type": "RunShellScript", "CommandContent": "echo '+*~/ =&%'", "InstanceId.1": "i-one"}
    every = v1_parameters("RunCommand", business, secret=real.secret, AccessKeyId=real.key_id)
    query = urlencode({name: value for name, value in every.items() if name not in business})
    status, _, body = exchange(real, "POST", f"/?{query}", urlencode(business).encode(), FORM)
    assert status == 200, body
    (result,) = real.results(json.loads(body)["InvokeId"])
    assert text_of(result) == "+*~/ =&%\n"


def test_a_get_through_a_proxy_runs(real: RealGateway) -> None:
    query = signed(
        real,
        "RunCommand",
        {"Type": "RunShellScript", "CommandContent": "echo get", "InstanceId.1": "i-one"},
        method="GET",
        Format="json",
    )
    status, _, body = exchange(real, "GET", f"http://ecs.example.com/?{query}")
    assert status == 200, body
    (result,) = real.results(json.loads(body)["InvokeId"])
    assert text_of(result) == "get\n"


# What must be refused


def test_signatures_times_and_nonces(real: RealGateway) -> None:
    def post(**options: str | None) -> tuple[int, str]:
        return code(exchange(real, "POST", "/?" + signed(real, "DescribeRegions", {}, **options)))

    assert post(secret="wrong") == (400, "SignatureDoesNotMatch")
    assert post(AccessKeyId="nobody") == (404, "InvalidAccessKeyId.NotFound")
    assert post(Timestamp=now_text(-16 * 60)) == (400, "InvalidTimeStamp.Expired")
    assert post(Timestamp=now_text(16 * 60)) == (400, "InvalidTimeStamp.Expired")
    assert post(SecurityToken="made-up") == (400, "InvalidSecurityToken.MismatchWithAccessKey")
    query = "/?" + signed(real, "DescribeRegions", {}, SignatureNonce=uuid.uuid4().hex)
    assert exchange(real, "POST", query)[0] == 200
    assert code(exchange(real, "POST", query)) == (400, "SignatureNonceUsed")


def test_what_version_3_signs_cannot_be_changed(real: RealGateway) -> None:
    query = {"Type": "RunShellScript", "CommandContent": "true", "InstanceId.1": "i-one"}
    for changed in ({}, {"x-acs-action": "DeleteCommand"}, {"x-acs-date": now_text(-60)}):
        headers = v3_headers(
            "RunCommand", query, called_name=f"127.0.0.1:{real.port}", key_id=real.key_id, secret=real.secret
        )
        answer = exchange(real, "POST", "/?" + urlencode(query), headers={**headers, **changed})
        assert answer[1] == "application/json;charset=utf-8"
        assert (answer[0] == 200) == (not changed), answer
    headers = v3_headers(
        "RunCommand", query, called_name=f"127.0.0.1:{real.port}", key_id=real.key_id, secret=real.secret
    )
    assert exchange(real, "POST", "/?" + urlencode(query), b"tampered=1", {**headers, **FORM})[0] == 400


# Sizes, formats, parameters


def test_a_script_of_24_kilobytes_of_chinese_runs(real: RealGateway) -> None:
    tail = "\necho done"
    script = ": '" + CHINESE * ((24 * 1024 * 3 // 4 - len(tail) - 6) // 9) + "'" + tail
    (result,) = real.results(real.run(script))
    assert text_of(result) == "done\n"


def test_a_file_of_32_kilobytes_of_chinese_arrives(real: RealGateway, tmp_path: Path) -> None:
    content = CHINESE * (24 * 1024 // 9)
    query = signed(
        real, "SendFile", {"Name": "n", "TargetDir": str(tmp_path), "Content": content, "InstanceId.1": "i-one"}
    )
    # All in the query, as the SDKs send it: about 72 KB.
    assert len(query) > 70_000
    status, _, body = exchange(real, "POST", f"/?{query}")
    assert status == 200, body
    eventually((tmp_path / "n").exists, within_seconds=45)
    assert (tmp_path / "n").read_text() == content


@pytest.mark.parametrize(
    ("wanted", "kind"), [(None, "text/xml"), ("XML", "text/xml"), ("json", "application/json"), ("JSON", "application")]
)
def test_formats_of_answers_and_errors(real: RealGateway, wanted: str | None, kind: str) -> None:
    for action in ("DescribeCommands", "DescribeNothing"):
        answer = exchange(real, "POST", "/?" + signed(real, action, {}, Format=wanted))
        assert answer[1].startswith(kind)
        root = b"<DescribeCommandsResponse>" if action == "DescribeCommands" else b"<Error>"
        assert (root in answer[2]) == (kind == "text/xml")
    refused = exchange(real, "POST", "/?" + signed(real, "DescribeCommands", {}, Format="yaml"))
    assert code(refused) == (400, "InvalidParameter.Format")


def test_lists_go_by_number_and_truth_values_by_word(real: RealGateway) -> None:
    instances = {"InstanceId.10": "i-two", "InstanceId.9": "i-one"}
    for keep, count in (("True", 1), ("true", 1), ("False", 0), ("FALSE", 0)):
        answer = real.call(
            "RunCommand", {"Type": "RunShellScript", "CommandContent": "true", "KeepCommand": keep, **instances}
        )
        assert len(real.call("DescribeCommands", CommandId=answer["CommandId"])["Commands"]["Command"]) == count
        assert [one["InstanceId"] for one in real.results(answer["InvokeId"])] == ["i-one", "i-two"]


# Statuses


@pytest.mark.parametrize(
    ("script", "status", "legacy"),
    [
        ("true", "Success", "Finished"),
        ("false", "Failed", "Finished"),
        ("test $CA_INSTANCE_ID = i-one || test {{ACS::InstanceId}} = i-one", "PartialFailed", "Finished"),
    ],
)
def test_an_invocation_sums_up_its_instances(real: RealGateway, script: str, status: str, legacy: str) -> None:
    invoke_id = real.run(script, "i-one", "i-two", EnableParameter="true")
    real.results(invoke_id)

    def summed_up() -> dict[str, Any]:
        (invocation,) = real.call("DescribeInvocations", InvokeId=invoke_id)["Invocations"]["Invocation"]
        found: dict[str, Any] = invocation
        return found

    found = summed_up()
    assert (found["InvocationStatus"], found["InvokeStatus"]) == (status, legacy)
    for word in (status, legacy):
        listed = real.call("DescribeInvocations", InvokeId=invoke_id, InvokeStatus=word)["Invocations"]["Invocation"]
        assert [one["InvokeId"] for one in listed] == [invoke_id]


def test_a_timeout_is_failed_in_the_old_word_and_ends_on_time(real: RealGateway) -> None:
    (result,) = real.results(real.run("echo before; sleep 60", Timeout="10"))
    assert (result["InvocationStatus"], result["InvokeRecordStatus"]) == ("Timeout", "Failed")
    assert (result["ErrorCode"], text_of(result)) == ("ExecutionTimeout", "before\n")


# Timed invocations


def test_a_timed_invocation_is_listed_changed_and_stopped(real: RealGateway) -> None:
    invoke_id = real.run("echo {{n}}", Frequency="0 0 3 * * *", EnableParameter="true", Parameters='{"n": "1"}')
    (found,) = real.call("DescribeInvocations", InvokeId=invoke_id, Timed="true")["Invocations"]["Invocation"]
    assert (found["RepeatMode"], found["Timed"], found["InvocationStatus"]) == ("Period", True, "Scheduled")
    changed = real.call(
        "ModifyInvocationAttribute",
        InvokeId=invoke_id,
        Frequency="0 30 3 * * *",
        CommandContent="echo changed {{n}}",
        EnableParameter="true",
    )
    assert changed["CommandId"] != found["CommandId"]
    (found,) = real.call("DescribeInvocations", InvokeId=invoke_id)["Invocations"]["Invocation"]
    assert base64.b64decode(found["CommandContent"]) == b"echo changed {{n}}"
    assert found["Frequency"] == "0 30 3 * * *"
    real.call("StopInvocation", InvokeId=invoke_id)
    (found,) = real.call("DescribeInvocations", InvokeId=invoke_id)["Invocations"]["Invocation"]
    assert (found["Timed"], found["InvokeStatus"]) == (False, "Stopped")


def test_a_timed_invocation_fires_and_its_history_is_told(real: RealGateway) -> None:
    real.system.start_beat(environment={"CLOUD_ASSISTANT_BEAT_MINIMUM_INTERVAL_SECONDS": "1"})
    invoke_id = real.run("echo fired", Frequency="*/10 * * * * *", Timeout="10")

    def history() -> list[dict[str, Any]] | None:
        answer = real.call("DescribeInvocationResults", InvokeId=invoke_id, IncludeHistory="true")
        found: list[dict[str, Any]] = answer["Invocation"]["InvocationResults"]["InvocationResult"]
        return found if found and all(one["InvocationStatus"] in FINAL for one in found) else None

    fired = eventually(history, within_seconds=40)
    assert text_of(fired[0]) == "fired\n"
    assert fired[0]["Repeats"] >= 1
    real.call("StopInvocation", InvokeId=invoke_id)
