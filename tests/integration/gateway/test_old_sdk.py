"""The old Python SDK, unmodified, through the real server."""

import base64
import gc
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.profile import region_provider
from aliyunsdkcore.request import CommonRequest
from aliyunsdkecs.request.v20140526.CreateCommandRequest import CreateCommandRequest
from aliyunsdkecs.request.v20140526.DescribeCommandsRequest import DescribeCommandsRequest
from aliyunsdkecs.request.v20140526.DescribeInvocationResultsRequest import DescribeInvocationResultsRequest
from aliyunsdkecs.request.v20140526.InvokeCommandRequest import InvokeCommandRequest
from aliyunsdkecs.request.v20140526.RunCommandRequest import RunCommandRequest
from integration.gateway.running_gateway import arrived
from unit.producer.gateway.signing import now_text

# The SDK leaves its sockets to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

Client = Any


@pytest.fixture(autouse=True)
def _close_what_the_sdk_leaves_open() -> Iterator[None]:
    yield
    gc.collect()


def client_of(port: int, key: str = "testid", secret: str = "testsecret") -> Client:
    client = AcsClient(key, secret, "cn-hangzhou", port=port, auto_retry=False)
    client.add_endpoint("cn-hangzhou", "Ecs", "127.0.0.1")
    return client


def send(client: Client, request: Any) -> dict[str, Any]:
    request.set_accept_format("json")
    answer: dict[str, Any] = json.loads(client.do_action_with_exception(request))
    return answer


def refusal_of(client: Client, request: Any) -> ServerException:
    with pytest.raises(ServerException) as caught:
        client.do_action_with_exception(request)
    assert caught.value.get_request_id()
    return caught.value


def create_request() -> Any:
    request = CreateCommandRequest()
    request.set_CommandContent("ZWNobyAxMjM=")
    request.set_Type("RunShellScript")
    request.set_Name("test")
    request.set_Description("test")
    return request


def test_the_sample_of_2017_runs_from_create_to_result(port: int) -> None:
    client = client_of(port)
    command_id = send(client, create_request())["CommandId"]
    invoke = InvokeCommandRequest()
    invoke.set_Timed("false")
    invoke.set_InstanceIds(["i-1", "i-2"])
    invoke.set_CommandId(command_id)
    invoke_id = send(client, invoke)["InvokeId"]
    describe = DescribeInvocationResultsRequest()
    describe.set_InstanceId("i-1")
    describe.set_InvokeId(invoke_id)
    (result,) = send(client, describe)["Invocation"]["ResultLists"]["ResultItem"]
    assert result["Output"] == "MTIzCg=="
    assert arrived["InstanceIds"] == "i-1,i-2"


def by_client_port(port: int) -> Client:
    return client_of(port)


def by_region_provider(port: int) -> Client:
    region_provider.add_endpoint("Ecs", "test-region-2", "127.0.0.1")
    return AcsClient("testid", "testsecret", "test-region-2", port=port)


def by_endpoint_with_port(port: int) -> Client:
    client = AcsClient("testid", "testsecret", "cn-hangzhou")
    client.add_endpoint("cn-hangzhou", "Ecs", f"127.0.0.1:{port}")
    return client


def by_endpoint_with_scheme(port: int) -> Client:
    client = AcsClient("testid", "testsecret", "cn-hangzhou")
    client.add_endpoint("cn-hangzhou", "Ecs", f"http://127.0.0.1:{port}")
    return client


@pytest.mark.parametrize(
    "point_at", [by_client_port, by_region_provider, by_endpoint_with_port, by_endpoint_with_scheme]
)
def test_every_way_to_point_the_client_at_us_works(port: int, point_at: Callable[[int], Client]) -> None:
    assert send(point_at(port), create_request())["CommandId"] == "c-test"


@pytest.mark.parametrize("with_port", [False, True])
def test_an_endpoint_set_on_the_request_works(port: int, with_port: bool) -> None:
    request = create_request()
    request.set_endpoint(f"127.0.0.1:{port}" if with_port else "127.0.0.1")
    client = AcsClient("testid", "testsecret", "cn-hangzhou", **({} if with_port else {"port": port}))
    assert send(client, request)["CommandId"] == "c-test"


def test_awkward_characters_and_python_booleans_arrive(port: int) -> None:
    script = "echo {{name}} 你好 +*~/ %&=\n'()! \"\\"
    request = RunCommandRequest()
    request.set_Type("RunShellScript")
    request.set_CommandContent(script)
    request.set_InstanceIds([f"i-{number}" for number in range(1, 13)])
    request.set_KeepCommand(True)
    request.set_Tags([{"Key": "env", "Value": "prod"}])
    send(client_of(port), request)
    assert arrived["CommandContent"] == script
    assert arrived["KeepCommand"] == "True"
    assert arrived["InstanceIds"] == ",".join(f"i-{number}" for number in range(1, 13))


def test_parameters_in_the_body_are_signed_and_read(port: int) -> None:
    request = CommonRequest(domain="127.0.0.1", version="2014-05-26", action_name="RunCommand")
    request.set_protocol_type("http")
    request.set_method("POST")
    request.add_body_params("CommandContent", "echo +*~/ 你好 =&%")
    request.add_body_params("InstanceId.1", "i-1")
    send(client_of(port), request)
    assert arrived["CommandContent"] == "echo +*~/ 你好 =&%"


def test_a_get_is_answered(port: int) -> None:
    request = CommonRequest(domain="127.0.0.1", version="2014-05-26", action_name="DescribeInvocationResults")
    request.set_protocol_type("http")
    request.set_method("GET")
    assert send(client_of(port), request)["Invocation"]["TotalCount"] == 1


def test_temporary_credentials_are_refused(port: int) -> None:
    credential = StsTokenCredential("testid", "testsecret", "any-token")
    client = AcsClient(region_id="cn-hangzhou", port=port, credential=credential)
    client.add_endpoint("cn-hangzhou", "Ecs", "127.0.0.1")
    error = refusal_of(client, create_request())
    assert error.get_error_code() == "InvalidSecurityToken.MismatchWithAccessKey"


def test_a_wrong_secret_is_reported_as_such(port: int) -> None:
    error = refusal_of(client_of(port, secret="wrong"), create_request())
    assert error.get_error_code() == "InvalidAccessKeySecret"
    assert error.get_http_status() == 400


def test_an_unknown_key_is_404(port: int) -> None:
    error = refusal_of(client_of(port, key="nobody"), create_request())
    assert (error.get_error_code(), error.get_http_status()) == ("InvalidAccessKeyId.NotFound", 404)


def test_a_refusal_of_an_action_reaches_the_caller(port: int) -> None:
    request = InvokeCommandRequest()
    request.set_CommandId("c-other")
    error = refusal_of(client_of(port), request)
    assert (error.get_error_code(), error.get_http_status()) == ("InvalidCmdId.NotFound", 404)
    assert "DescribeCommands" in error.get_error_msg()


def test_an_unforeseen_error_is_500_with_no_detail(port: int) -> None:
    error = refusal_of(client_of(port), DescribeCommandsRequest())
    assert (error.get_error_code(), error.get_http_status()) == ("InternalError", 500)
    assert "Zero" not in error.get_error_msg()


def test_a_clock_16_minutes_off_is_told(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "aliyunsdkcore.auth.composer.rpc_signature_composer.helper.get_iso_8061_date", lambda: now_text(-960)
    )
    error = refusal_of(client_of(port), create_request())
    assert (error.get_error_code(), error.get_http_status()) == ("InvalidTimeStamp.Expired", 400)


@pytest.mark.parametrize("size_bytes", [24_000, 75_000, 200_000])
def test_a_large_script_of_any_text_arrives_in_the_query(port: int, size_bytes: int) -> None:
    script = "云助手" * (size_bytes // 27)
    request = RunCommandRequest()
    request.set_CommandContent(script)
    request.set_InstanceIds(["i-1"])
    send(client_of(port), request)
    assert arrived["CommandContent"] == script


def test_base64_content_arrives_as_sent(port: int) -> None:
    content = base64.b64encode(bytes(range(256)) * 72).decode()
    request = create_request()
    request.set_CommandContent(content)
    send(client_of(port), request)
    assert arrived["CommandContent"] == content
