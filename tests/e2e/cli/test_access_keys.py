"""`assist access-key`, and a key it made at the gateway."""

import gc
import json
import warnings
from collections.abc import Iterator

import pytest
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkecs.request.v20140526.CreateCommandRequest import CreateCommandRequest
from aliyunsdkecs.request.v20140526.DescribeCommandsRequest import DescribeCommandsRequest

from harness.system import System


@pytest.fixture(autouse=True)
def _collect_the_sdks_sockets() -> Iterator[None]:
    """The old SDK leaves its sockets to the garbage collector: let it come here, where nobody minds."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def client_of(system: System, key: dict[str, str], port: int) -> AcsClient:
    made = AcsClient(key["AccessKeyId"], key["AccessKeySecret"], "cn-hangzhou", port=port)
    made.add_endpoint("cn-hangzhou", "Ecs", "127.0.0.1")
    return made


def creation() -> CreateCommandRequest:
    request = CreateCommandRequest()
    request.set_accept_format("json")
    request.set_CommandContent("ZWNobyAxMjM=")
    request.set_Type("RunShellScript")
    request.set_Name("test")
    return request


def refusal(client: AcsClient, request: object) -> str:
    try:
        client.do_action_with_exception(request)
    except ServerException as exc:
        return str(exc.get_error_code())
    return ""


def test_keys_open_the_gateway_by_their_role_until_they_are_disabled(system: System) -> None:
    operator = system.assist("access-key", "create", "--name", "ops", "--output", "json").must_succeed().json
    viewer = (
        system.assist("access-key", "create", "--name", "eyes", "--role", "viewer", "--output", "json")
        .must_succeed()
        .json
    )
    # The same installation: programs of the control side share its master key.
    shared = {"CLOUD_ASSISTANT_SECURITY_MASTER_KEY_FILE": str(system.folder / "operator" / "master-key.json")}
    gateway = system.start_gateway(environment=shared)
    ops, eyes = (client_of(system, key, int(gateway.url.rpartition(":")[2])) for key in (operator, viewer))
    assert json.loads(ops.do_action_with_exception(creation()))["CommandId"].startswith("c-")
    assert json.loads(eyes.do_action_with_exception(DescribeCommandsRequest()))["TotalCount"] == 1
    assert refusal(eyes, creation()) == "Forbidden.RAM"

    system.assist("access-key", "disable", operator["AccessKeyId"]).must_succeed()
    assert refusal(ops, creation()) == "InvalidAccessKeyId.Inactive"
    system.assist("access-key", "enable", operator["AccessKeyId"]).must_succeed()
    assert refusal(ops, creation()) == ""
    system.assist("access-key", "delete", operator["AccessKeyId"]).must_succeed()
    assert refusal(ops, creation()) == "InvalidAccessKeyId.NotFound"

    listed = system.assist("access-key", "list", "--output", "json").must_succeed().json
    assert [(one["Name"], one["Role"], one["Active"]) for one in listed] == [("eyes", "viewer", True)]
    assert "Secret" not in json.dumps(listed)
    assert system.assist("access-key", "delete", "CANOBODY").exit_code == 5


def test_a_name_or_an_action_left_empty_or_misspelt_makes_no_key(system: System) -> None:
    for given, said in (
        (("--name", ""), "it is empty"),
        (("--name", "a", "--action", ""), "not an action of the API"),
        (("--name", "a", "--action", "nan"), "There are: CreateActivation"),
    ):
        refused = system.assist("access-key", "create", *given)
        assert refused.exit_code == 2
        assert said in refused.stderr
    assert system.assist("access-key", "list", "--output", "json").must_succeed().json == []
