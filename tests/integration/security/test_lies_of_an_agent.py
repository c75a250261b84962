"""Promise 6: whoever holds one instance's credentials may lie about that instance, and spoils nothing of the others."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.reported import OUTPUT_BYTES
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.ledger import load_invocation, status_of
from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.timed.timed_invocation import load_timed
from cloud_assistant.producer import Assistant, Targets
from cloud_assistant.producer.following.waiting import Ended, Output
from cloud_assistant.producer.gateway.actions.action import Call
from cloud_assistant.producer.gateway.actions.parameters import Parameters
from cloud_assistant.producer.gateway.actions.table import action_registry
from cloud_assistant.producer.invocations.describing import InvocationFilter
from cloud_assistant.producer.invocations.describing_results import ResultFilter
from cloud_assistant.producer.invocations.invoking import RunOptions
from cloud_assistant.producer.metrics import Metrics
from cloud_assistant.producer.monitor_control import ReportedInspect
from cloud_assistant.producer.packages import Packages
from cloud_assistant.producer.paging import PageRequest
from cloud_assistant.producer.security.caller import AccessKey
from cloud_assistant.producer.shapes import as_text, instance_shape, result_shape

#: What is said, by where: of the instance itself, or in its row of an invocation.
OF_ITSELF: dict[str, tuple[Any, ...]] = {
    "a word for a number": ("HSET", keys.info("i-a"), "running_count", "many", "clock_offset_ms", "nan"),
    "a number that nothing holds": ("HSET", keys.info("i-a"), "disk_free_bytes", "9" * 30, "slots", "9" * 5000),
    "a moment of no calendar": ("HSET", keys.info("i-a"), "heartbeat_ms", "9" * 15),
    "a field that is no text": ("HSET", keys.info("i-a"), b"\xff\xfe", b"\xff"),
    "a system that is no text": ("HSET", keys.info("i-a"), "os_type", b"\xff"),
    "another's place on a page": ("HSET", keys.info("i-a"), "pool", "mine", "total", "mine", "broker", "mine"),
    "keys that are no text": ("HSET", keys.info("i-a"), "key_ids", b"\xff"),
    "packages nested without end": (
        *("HSET", keys.info("i-a"), "packages"),
        '[{"name":"a","version":"1","status":"Installed","x":' + "[" * 5_000,
    ),
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


#: What is in the indexes of its branch: no text, no execution, and one of another instance.
JUNK = (b"\xff", "junk", "t-0123456789.0@i-b")


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
    everybody = {f"InstanceId.{number}": one for number, one in enumerate(("i-a", "i-b", "i-c"), 1)}
    assistant.redis.call("HSET", keys.info("i-b"), "hostname", "b")
    stats = ReportedInspect(assistant.redis, None).stats() or {}
    assert "i-b" in stats
    assert "mine" not in [stats.get("i-a", {}).get(name) for name in ("pool", "total", "broker")]
    assert len(Packages(assistant).status(["i-a", "i-b", "i-c"])) == 3
    described(assistant, "RunCommand", Type="RunShellScript", CommandContent="true", **everybody)
    assistant.trust.rotate_master_key()
    assistant.trust.settle_rotation()
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
    assert assistant.stop_invocation(invoke_id).keys() >= {"i-b", "i-c"}
    described(assistant, "DescribeInvocationResults")
    described(assistant, "DescribeInvocations", IncludeOutput="true", InvokeId=invoke_id)
    assistant.trust.verify_results(invoke_id)
    assert b"cloud_assistant_instances" in metrics.rendered()[0]


def test_what_is_no_execution_of_its_own_in_its_history_is_passed_over(assistant: Assistant, agent: Redis) -> None:
    invoke_id = assistant.run_command("true", Targets(instance_ids=("i-a", "i-b"))).invoke_id
    for one in (*JUNK, execution_id(invoke_id, 0, "i-b")):
        agent.call("ZADD", keys.instance_history("i-a"), 1, one)
    for wanted in (ResultFilter(instance_id="i-a"), ResultFilter(instance_id="i-a", record_status="Pending")):
        for page in (PageRequest(), PageRequest(max_results=10)):
            (found,) = assistant.describe_invocation_results(wanted, page).items
            assert found.row.execution_id == execution_id(invoke_id, 0, "i-a")
    for page in (PageRequest(), PageRequest(max_results=10)):
        (listed,) = assistant.describe_invocations(InvocationFilter(instance_id="i-a"), page).items
        assert listed.stored.record.invoke_id == invoke_id
    described(assistant, "DescribeInvocations", InstanceId="i-a")


@pytest.mark.parametrize("page", [PageRequest(), PageRequest(max_results=10)], ids=["by number", "by token"])
def test_an_invocation_that_was_for_others_is_not_listed_for_an_instance_that_claims_it(
    assistant: Assistant, agent: Redis, page: PageRequest
) -> None:
    own = assistant.run_command("true", Targets(instance_ids=("i-a", "i-b"))).invoke_id
    foreign = assistant.run_command("true", Targets(instance_ids=("i-b",))).invoke_id
    for instance_id in ("i-a", "i-b"):
        agent.call("ZADD", keys.instance_history("i-a"), "inf", execution_id(foreign, 0, instance_id))
    agent.call("HSET", keys.execution("i-a", execution_id(foreign, 0, "i-a")), "state", "Success", "output", "lie")
    listed = assistant.describe_invocations(InvocationFilter(instance_id="i-a"), page, with_rows=True).items
    assert [(one.stored.record.invoke_id, [row.instance_id for row in one.rows]) for one in listed] == [(own, ["i-a"])]
    for wanted in (ResultFilter(instance_id="i-a"), ResultFilter(instance_id="i-a", include_history=True)):
        found = assistant.describe_invocation_results(wanted, page).items
        assert [one.row.invoke_id for one in found] == [own]


def test_junk_in_its_history_is_not_counted(assistant: Assistant, agent: Redis) -> None:
    assistant.run_command("true", Targets(instance_ids=("i-a", "i-b")))
    for one in (*JUNK, "t-0123456789.0@i-a x"):
        agent.call("ZADD", keys.instance_history("i-a"), 1, one)
    for wanted in (ResultFilter(instance_id="i-a"), ResultFilter(instance_id="i-a", include_history=True)):
        assert assistant.describe_invocation_results(wanted).total_count == 1


@pytest.mark.parametrize("page", [PageRequest(), PageRequest(max_results=10)], ids=["by number", "by token"])
def test_a_score_that_it_writes_in_two_ways_does_not_hold_a_listing_up(
    assistant: Assistant, agent: Redis, page: PageRequest
) -> None:
    invoke_id = assistant.run_command("true", Targets(instance_ids=["i-a"])).invoke_id
    junk = [one for number in range(300) for one in (("0", "-0")[number % 2], f"junk-{number:03}")]
    agent.call("ZADD", keys.instance_history("i-a"), *junk)
    results = assistant.describe_invocation_results(ResultFilter(instance_id="i-a", record_status="Pending"), page)
    assert [one.row.invoke_id for one in results.items] == [invoke_id]
    listed = assistant.describe_invocations(InvocationFilter(instance_id="i-a"), page)
    assert [one.stored.record.invoke_id for one in listed.items] == [invoke_id]


def test_what_is_no_output_does_not_end_the_following_of_the_others(assistant: Assistant, agent: Redis) -> None:
    invoke_id = assistant.run_command("true", Targets(instance_ids=("i-a", "i-b"))).invoke_id
    lying, other = (keys.execution(one, execution_id(invoke_id, 0, one)) for one in ("i-a", "i-b"))
    agent.call("HSET", lying, "state", "Running")
    output = keys.live_output("i-a", execution_id(invoke_id, 0, "i-a"))
    agent.call("XADD", output, "*", "offset", "many", "streams", b"\xff")
    agent.call("XADD", output, "*", "offset", "-5", "skipped", "9" * 30, "streams", "x:y", "data", "z")
    for row in (lying, other):
        assistant.redis.call("HSET", row, "state", "Failed")
    rows = [one.row for one in assistant.follow(invoke_id, timeout_seconds=10) if isinstance(one, Ended)]
    assert {row.instance_id for row in rows} == {"i-a", "i-b"}


def test_more_output_than_a_true_agent_sends_is_not_read(assistant: Assistant, agent: Redis) -> None:
    invoke_id = assistant.run_command("true", Targets(instance_ids=("i-a", "i-b"))).invoke_id
    rows = [keys.execution(one, execution_id(invoke_id, 0, one)) for one in ("i-a", "i-b")]
    agent.call("HSET", rows[0], "state", "Running")
    output = keys.live_output("i-a", execution_id(invoke_id, 0, "i-a"))
    piece = bytes(OUTPUT_BYTES // 16)
    for _ in range(17):
        agent.call("XADD", output, "*", "offset", "0", "streams", "1:1", "data", piece)
    for row in rows:
        assistant.redis.call("HSET", row, "state", "Failed")
    events = list(assistant.follow(invoke_id, timeout_seconds=10))
    assert {one.row.instance_id for one in events if isinstance(one, Ended)} == {"i-a", "i-b"}
    assert not [one for one in events if isinstance(one, Output)]


def test_a_lie_about_what_is_unfinished_keeps_it_from_being_removed_no_more_than_others(
    assistant: Assistant, agent: Redis
) -> None:
    invoke_id = assistant.run_command("true", Targets(instance_ids=("i-a", "i-b"))).invoke_id
    other = execution_id(invoke_id, 0, "i-b")
    for one in (*JUNK, other):
        agent.call("ZADD", keys.open_executions("i-a"), 1, one)
    assistant.trust.deregister("i-a")
    left = assistant.redis.call("KEYS", keys.instance_branch("i-a") + "*")
    assert {one.partition(b"}:")[2].partition(b":")[0] for one in left} <= {b"exec", b"history"}
    # Otherwise nobody would tell how it ended, should that instance fall silent.
    assert assistant.redis.call("ZSCORE", keys.DEADLINES, other) is not None


def test_a_lie_about_what_is_unfinished_does_not_keep_a_schedule_from_being_stopped(
    assistant: Assistant, agent: Redis
) -> None:
    options = RunOptions(schedule=Schedule(repeat_mode=RepeatMode.PERIOD, frequency="0 0 0 1 1 ?"))
    invoke_id = assistant.run_command("true", Targets(instance_ids=("i-a", "i-b")), options).invoke_id
    agent.call("ZADD", keys.open_executions("i-a"), 1, invoke_id.encode() + b".\xff")
    assistant.stop_invocation(invoke_id)
    assert load_timed(assistant.redis, invoke_id).status == "stopped"
