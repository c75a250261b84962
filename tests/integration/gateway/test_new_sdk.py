"""The new Python SDK, unmodified, through the real server: sync, async, and its version 1 mode."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from alibabacloud_ecs20140526 import models
from alibabacloud_ecs20140526.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException, ServerException, ThrottlingException
from integration.gateway.running_gateway import arrived, running_gateway

from cloud_assistant.producer.gateway.app import AppLimits
from harness.new_sdk import SDK_MARKS, sdk_client
from harness.new_sdk import closed_sdk_sessions as closed_sdk_sessions

pytestmark = SDK_MARKS


SCRIPT = "echo {{name}} 你好 +*~/ %&=\n'()! \"\\"


def client_of(port: int, key: str = "testid", secret: str = "testsecret", **options: Any) -> Client:
    return sdk_client(port, key, secret, **options)


def run_request(script: str = SCRIPT) -> models.RunCommandRequest:
    return models.RunCommandRequest(
        region_id="cn-hangzhou",
        type="RunShellScript",
        command_content=script,
        instance_id=["i-1", "i-2"],
        keep_command=False,
        parameters={"name": "Jack"},
        frequency="0 */10 * * * *",
    )


@pytest.mark.parametrize("mode", [{}, {"signature_algorithm": "v2"}], ids=["V3", "V1"])
def test_a_call_arrives_whole(port: int, mode: dict[str, str]) -> None:
    response = client_of(port, **mode).run_command(run_request())
    assert response.body.invoke_id == "t-test"
    assert response.body.request_id == response.headers["x-acs-request-id"]
    assert arrived == {"CommandContent": SCRIPT, "InstanceIds": "i-1,i-2", "KeepCommand": "False"}


@pytest.mark.parametrize("mode", [{}, {"signature_algorithm": "v2"}], ids=["V3", "V1"])
def test_an_async_call_arrives_whole(port: int, mode: dict[str, str]) -> None:
    response = asyncio.run(client_of(port, **mode).run_command_async(run_request()))
    assert response.body.invoke_id == "t-test"
    assert arrived == {"CommandContent": SCRIPT, "InstanceIds": "i-1,i-2", "KeepCommand": "False"}


def test_typed_results_are_read(port: int) -> None:
    request = models.DescribeInvocationResultsRequest(region_id="cn-hangzhou", invoke_id="t-7", max_results=10)
    (result,) = (
        client_of(port).describe_invocation_results(request).body.invocation.invocation_results.invocation_result
    )
    assert (result.invoke_id, result.exit_code, result.output) == ("t-7", 0, "MTIzCg==")


@pytest.mark.parametrize("mode", [{}, {"signature_algorithm": "v2"}], ids=["V3", "V1"])
def test_temporary_credentials_are_refused(port: int, mode: dict[str, str]) -> None:
    client = client_of(port, "testid", security_token="any-token", type="sts", **mode)
    with pytest.raises(ClientException) as caught:
        client.run_command(run_request())
    assert caught.value.code == "InvalidSecurityToken.MismatchWithAccessKey"


@pytest.mark.parametrize(
    ("key", "secret", "code", "status"),
    [
        ("testid", "wrong", "SignatureDoesNotMatch", 400),
        ("nobody", "testsecret", "InvalidAccessKeyId.NotFound", 404),
        ("disabled", "testsecret", "InvalidAccessKeyId.Inactive", 400),
        ("reader", "testsecret", "Forbidden.RAM", 403),
    ],
)
@pytest.mark.parametrize("mode", [{}, {"signature_algorithm": "v2"}], ids=["V3", "V1"])
def test_a_refusal_is_the_sdks_own_exception(
    port: int, key: str, secret: str, code: str, status: int, mode: dict[str, str]
) -> None:
    with pytest.raises(ClientException) as caught:
        client_of(port, key, secret, **mode).run_command(run_request())
    assert caught.value.code == code
    assert caught.value.status_code == status
    assert caught.value.message.startswith(f"code: {status}, ")


def test_an_unforeseen_error_is_a_server_exception(port: int) -> None:
    with pytest.raises(ServerException) as caught:
        client_of(port).describe_commands(models.DescribeCommandsRequest(region_id="cn-hangzhou"))
    assert (caught.value.code, caught.value.status_code) == ("InternalError", 500)


def test_an_action_we_do_not_have_is_a_client_exception(port: int) -> None:
    with pytest.raises(ClientException) as caught:
        client_of(port).describe_disks(models.DescribeDisksRequest(region_id="cn-hangzhou"))
    assert (caught.value.code, caught.value.status_code) == ("InvalidAction.NotFound", 404)


@pytest.mark.parametrize("size_bytes", [24_000, 75_000, 200_000])
@pytest.mark.parametrize("call_async", [False, True])
def test_a_large_script_arrives(port: int, size_bytes: int, call_async: bool) -> None:
    script = "云助手" * (size_bytes // 27)
    client = client_of(port)
    if call_async:
        asyncio.run(client.run_command_async(run_request(script)))
    else:
        client.run_command(run_request(script))
    assert arrived["CommandContent"] == script


@contextmanager
def overloaded_port() -> Iterator[int]:
    with running_gateway(limits=AppLimits(requests_count=0)) as server:
        yield int(server.url.rpartition(":")[2])


def test_overload_is_the_sdks_throttling_exception() -> None:
    with overloaded_port() as port, pytest.raises(ThrottlingException) as caught:
        client_of(port).run_command(run_request())
    assert caught.value.code == "ServiceUnavailable"
    assert caught.value.retry_after == 1
