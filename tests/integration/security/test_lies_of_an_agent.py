"""Promise 6: whoever holds one instance's credentials may lie about that instance, and spoils nothing of the others."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.ledger import load_invocation, status_of
from cloud_assistant.broker_config.redis_client import Redis
from cloud_assistant.producer import Assistant, Targets
from cloud_assistant.producer.describing import InvocationFilter, ResultFilter
from cloud_assistant.producer.gateway.access_keys import AccessKey
from cloud_assistant.producer.gateway.action_table import action_registry
from cloud_assistant.producer.gateway.actions import Call
from cloud_assistant.producer.gateway.parameters import Parameters
from cloud_assistant.producer.metrics import Metrics
from cloud_assistant.producer.paging import PageRequest
from cloud_assistant.producer.shapes import as_text, instance_shape, result_shape

#: What is said, by where: of the instance itself, or in its row of an invocation.
OF_ITSELF: dict[str, tuple[Any, ...]] = {
    "a word for a number": ("HSET", keys.info("i-a"), "running_count", "many", "clock_offset_ms", "nan"),
    "a number that nothing holds": ("HSET", keys.info("i-a"), "disk_free_bytes", "9" * 30, "slots", "9" * 5000),
    "a moment of no calendar": ("HSET", keys.info("i-a"), "heartbeat_ms", "9" * 15),
    "a field that is no text": ("HSET", keys.info("i-a"), b"\xff\xfe", b"\xff"),
    "an execution at the end of time": ("ZADD", keys.instance_history("i-a"), "inf", "t-none.0@i-a"),
}
IN_A_ROW: dict[str, tuple[Any, ...]] = {
    "an unknown state": ("state", "Weird"),
    "a state that is no text": ("state", b"\xff\xfe"),
    "several states": ("state", "Success\nFailed"),
    "several codes": ("state", "Success", "error_code", "A\nFailed B\nFailed"),
    "an exit code that is none": ("state", "Success", "exit_code", "zero"),
    "steps and notes that are none": ("state", "Success", "steps", "{", "notes", "1"),
    "a signature that is none": ("state", "Success", "result_mac", b"\xff:\xff", b"\xff", "x"),
    "streams that are none": ("state", "Success", "streams", "x:y,:,1:-5"),
    "times of no calendar": ("state", "Success", "started_ms", "9" * 15, "finished_ms", "9" * 40),
}


@pytest.fixture
def agent(assistant: Assistant, connect: Callable[[str], Redis]) -> Redis:
    """The credentials of i-a, one of three instances."""
    for one in ("i-a", "i-b", "i-c"):
        assistant.add_instance(one)
    return connect(assistant.trust.issue_credentials("i-a").credentials.redis_url)


def described(assistant: Assistant, action: str, **parameters: str) -> None:
    """Have the gateway's action answer, and its answer be written."""
    caller = AccessKey("", "", active=True, principal="test")
    answer = action_registry(assistant).find(action)
    assert answer is not None
    msgspec.json.encode(answer(Call(action, Parameters(parameters), caller, "r")))


@pytest.mark.parametrize("lie", OF_ITSELF)
def test_a_lie_about_itself_spoils_no_listing_of_the_fleet(lie: str, assistant: Assistant, agent: Redis) -> None:
    agent.call(*OF_ITSELF[lie])
    found = assistant.describe_instances(page=PageRequest()).items
    assert {one["InstanceId"] for one in map(instance_shape, found)} == {"i-a", "i-b", "i-c"}
    msgspec.json.encode([instance_shape(one) for one in found])
    described(assistant, "DescribeInstances")
    described(assistant, "DescribeCloudAssistantStatus")
    described(assistant, "DescribeManagedInstances")
    assistant.remove_instance("i-a")


@pytest.mark.parametrize("lie", IN_A_ROW)
def test_a_lie_in_its_row_leaves_the_results_of_the_others(lie: str, assistant: Assistant, agent: Redis) -> None:
    metrics = Metrics(assistant.redis)
    invoke_id = assistant.run_command("true", Targets(instance_ids=("i-a", "i-b", "i-c"))).invoke_id
    agent.call("HSET", keys.execution("i-a", execution_id(invoke_id, 0, "i-a")), *IN_A_ROW[lie])
    counts = status_of(assistant.redis, load_invocation(assistant.redis, invoke_id)).counts
    assert counts["Pending"] == 2
    assert sum(counts.values()) == 3
    page = assistant.describe_invocation_results(ResultFilter(invoke_id=invoke_id), PageRequest())
    shapes = {one["InstanceId"]: one for one in (result_shape(item, as_text) for item in page.items)}
    msgspec.json.encode(shapes)
    assert [shapes[one]["InvocationStatus"] for one in ("i-b", "i-c")] == ["Pending", "Pending"]
    assistant.describe_invocations(InvocationFilter(), PageRequest(), with_rows=True)
    described(assistant, "DescribeInvocationResults")
    described(assistant, "DescribeInvocations", IncludeOutput="true", InvokeId=invoke_id)
    assistant.trust.verify_results(invoke_id)
    assert b"cloud_assistant_instances" in metrics.rendered()[0]
