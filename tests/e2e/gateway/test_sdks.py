"""Today's SDK, unmodified, from a command to its result on real agents: sync, async, its version 1 mode."""

import asyncio
import json
import urllib.request
from typing import Any

import pytest
from alibabacloud_ecs20140526 import models
from alibabacloud_ecs20140526.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient
from aliyunsdkecs.request.v20140526.DescribeRegionsRequest import DescribeRegionsRequest
from e2e.gateway.real_gateway import FINAL, RealGateway
from unit.producer.gateway.signing import v1_query

from harness.eventually import eventually
from harness.new_sdk import REGION, SDK_MARKS, sdk_client
from harness.new_sdk import closed_sdk_sessions as closed_sdk_sessions

pytestmark = SDK_MARKS

MODES = [{}, {"signature_algorithm": "v2"}]


def client_of(real: RealGateway, *, key_id: str = "", **options: Any) -> Client:
    return sdk_client(real.port, key_id or real.key_id, real.secret, **options)


@pytest.mark.parametrize("mode", MODES, ids=["V3", "V1"])
def test_create_invoke_and_read_the_result(real: RealGateway, mode: dict[str, str]) -> None:
    client = client_of(real, **mode)
    command_id = client.create_command(
        models.CreateCommandRequest(
            region_id=REGION,
            name="from the SDK",
            type="RunShellScript",
            command_content="ZWNobyAxMjM=",
            tag=[models.CreateCommandRequestTag(key="env", value="test")],
        )
    ).body.command_id
    (shown,) = client.describe_commands(
        models.DescribeCommandsRequest(region_id=REGION, command_id=command_id)
    ).body.commands.command
    assert (shown.name, shown.tags.tag[0].tag_key) == ("from the SDK", "env")
    invoke_id = client.invoke_command(
        models.InvokeCommandRequest(region_id=REGION, command_id=command_id, instance_id=["i-one", "i-two"])
    ).body.invoke_id

    def results() -> Any:
        found = client.describe_invocation_results(
            models.DescribeInvocationResultsRequest(region_id=REGION, invoke_id=invoke_id)
        ).body.invocation.invocation_results.invocation_result
        return found if all(one.invocation_status in FINAL for one in found) else None

    found = eventually(results, within_seconds=30)
    assert [(one.instance_id, one.output, one.exit_code) for one in found] == [
        ("i-one", "MTIzCg==", 0),
        ("i-two", "MTIzCg==", 0),
    ]
    (invocation,) = client.describe_invocations(
        models.DescribeInvocationsRequest(region_id=REGION, invoke_id=invoke_id)
    ).body.invocations.invocation
    assert (invocation.invocation_status, invocation.invoke_status) == ("Success", "Finished")


def test_the_same_with_await(real: RealGateway) -> None:
    async def run() -> str:
        client = client_of(real)
        script = "printf '%s' '你好 +*~/ %&='"
        answer = await client.run_command_async(
            models.RunCommandRequest(
                region_id=REGION, type="RunShellScript", command_content=script, instance_id=["i-one"]
            )
        )
        invoke_id: str = answer.body.invoke_id
        return invoke_id

    invoke_id = asyncio.run(run())
    real.results(invoke_id)
    answer = real.call("DescribeInvocationResults", InvokeId=invoke_id, ContentEncoding="PlainText")
    assert answer["Invocation"]["InvocationResults"]["InvocationResult"][0]["Output"] == "你好 +*~/ %&="


def test_pages_files_instances_and_tags_of_the_typed_client(real: RealGateway, tmp_path: Any) -> None:
    client = client_of(real)
    (status,) = client.describe_cloud_assistant_status(
        models.DescribeCloudAssistantStatusRequest(region_id=REGION, instance_id=["i-one"])
    ).body.instance_cloud_assistant_status_set.instance_cloud_assistant_status
    assert status.cloud_assistant_status == "true"
    invoke_id = client.send_file(
        models.SendFileRequest(
            region_id=REGION,
            instance_id=["i-one"],
            name="sent.txt",
            target_dir=str(tmp_path),
            content="typed",
            overwrite=True,
        )
    ).body.invoke_id

    def status_of_file() -> str:
        (file,) = client.describe_send_file_results(
            models.DescribeSendFileResultsRequest(region_id=REGION, invoke_id=invoke_id)
        ).body.invocations.invocation
        found: str = file.invocation_status
        return found if found not in ("Pending", "Running") else ""

    assert eventually(status_of_file, within_seconds=45) == "Success"
    client.tag_resources(
        models.TagResourcesRequest(
            region_id=REGION,
            resource_type="instance",
            resource_id=["i-one"],
            tag=[models.TagResourcesRequestTag(key="sdk", value="yes")],
        )
    )
    listed = client.list_tag_resources(
        models.ListTagResourcesRequest(region_id=REGION, resource_type="instance", resource_id=["i-one"])
    ).body.tag_resources.tag_resource
    assert ("sdk", "yes") in [(one.tag_key, one.tag_value) for one in listed]
    (region,) = client.describe_regions(models.DescribeRegionsRequest()).body.regions.region
    assert region.region_id == "local"


def test_a_wrong_secret_is_the_error_that_users_of_the_old_sdk_know(real: RealGateway) -> None:
    client = AcsClient(real.key_id, "wrong", REGION, port=real.port, auto_retry=False)
    client.add_endpoint(REGION, "Ecs", "127.0.0.1")
    with pytest.raises(ServerException) as caught:
        client.do_action_with_exception(DescribeRegionsRequest())
    assert caught.value.get_error_code() == "InvalidAccessKeySecret"


def test_an_unknown_key_is_404_and_a_refusal_has_its_code(real: RealGateway) -> None:
    with pytest.raises(ClientException) as caught:
        client_of(real, key_id="nobody").describe_regions(models.DescribeRegionsRequest())
    assert (caught.value.code, caught.value.status_code) == ("InvalidAccessKeyId.NotFound", 404)
    with pytest.raises(ClientException) as caught:
        client_of(real).delete_command(models.DeleteCommandRequest(region_id=REGION, command_id="c-absent"))
    assert (caught.value.code, caught.value.status_code) == ("InvalidCmdId.NotFound", 404)


def get(url: str) -> tuple[str, bytes]:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=20) as response:
        return response.headers["content-type"], response.read()


def test_a_get_of_2017_is_answered_in_the_format_it_asks_for(real: RealGateway) -> None:
    for wanted, kind, start in (("json", "application/json", b"{"), (None, "text/xml", b"<?xml")):
        query = v1_query(
            "DescribeRegions", {}, method="GET", secret=real.secret, AccessKeyId=real.key_id, Format=wanted
        )
        content_type, body = get(f"{real.url}/?{query}")
        assert content_type.startswith(kind)
        assert body.startswith(start)


def test_health_and_metrics_are_there(real: RealGateway) -> None:
    assert json.loads(get(f"{real.url}/healthz")[1]) == {"healthy": True}
    real.results(real.run("exit 3"))
    text = get(f"{real.url}/metrics")[1].decode()
    assert "cloud_assistant_instances_online 2.0" in text
    assert 'cloud_assistant_executions_total{error_code="ExitCodeNonzero",state="Failed"}' in text
    assert "cloud_assistant_redis_up 1.0" in text
    assert "i-one" not in text
