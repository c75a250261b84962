"""Promise 6: however much whoever has one instance's credentials writes into its branch, the others are still read.

The server drops a client whose answers grow too long, as ours in `deploy` does: a reader of all instances that took
everything would be dropped each time.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud_assistant.beat.retention import Retention
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.audit.refusals_of_agents import take_over
from cloud_assistant.broker_config.functions.firings import trim_queue_command
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.functions.reported import FIELD_BYTES, REFUSALS_BYTES
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.records import RepeatMode, Schedule
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.settings_table import LimitSettings
from cloud_assistant.producer import Assistant, Targets
from cloud_assistant.producer.invocations.describing import InvocationFilter
from cloud_assistant.producer.invocations.invoking import RunOptions
from cloud_assistant.producer.monitor_control import ReportedInspect
from cloud_assistant.producer.paging import PageRequest
from cloud_assistant.producer.security.program_rights import ControlProgram, program_rules, program_user
from cloud_assistant.producer.security.redis_users import password_digest, put_user
from harness.redis_server import RedisServer

YEARLY = Schedule(repeat_mode=RepeatMode.PERIOD, frequency="0 0 0 1 1 ?")
LIMIT = "normal 24mb 24mb 0"
#: More than the server lets a client have.
MUCH = b"x" * (30 * 1024 * 1024)


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that keeps users, and drops who asks for too much."""
    with RedisServer(tmp_path / "redis", keeps_users=True, config={"client-output-buffer-limit": LIMIT}) as server:
        yield server


@pytest.fixture
def thief(assistant: Assistant, connect: Callable[[str], Redis]) -> Redis:
    """The credentials of i-a; i-b is alive."""
    for one in ("i-a", "i-b"):
        assistant.add_instance(one)
    assistant.redis.call("HSET", keys.info("i-b"), "hostname", "b")
    return connect(assistant.trust.issue_credentials("i-a").credentials.redis_url)


FLOODS: dict[str, Callable[[Redis], object]] = {
    "a long fact": lambda thief: thief.call("HSET", keys.info("i-a"), "hostname", MUCH),
    "a fact that nobody asks for": lambda thief: thief.call("HSET", keys.info("i-a"), "x", MUCH),
    "a long name of a fact": lambda thief: thief.call("HSET", keys.info("i-a"), MUCH, "x"),
    "long facts that are asked for alone": lambda thief: thief.call(
        "HSET", keys.info("i-a"), *(one for name in ("key_ids", "boot_id", "os_type") for one in (name, MUCH))
    ),
    "many facts": lambda thief: [
        thief.call("HSET", keys.info("i-a"), *(one for fact in range(100_000) for one in (f"{turn}-{fact}", "x" * 50)))
        for turn in range(5)
    ],
    "a long name of what it has run": lambda thief: thief.call("ZADD", keys.instance_history("i-a"), 2**60, MUCH),
    "a long name of what it ran long ago": lambda thief: thief.call("ZADD", keys.instance_history("i-a"), 1, MUCH),
    "a long name of what it runs": lambda thief: thief.call("ZADD", keys.open_executions("i-a"), 1, MUCH, 2**60, MUCH),
    "a long reason": lambda thief: thief.call("HSETNX", keys.quarantine("i-a"), "reason", MUCH),
    "a long refusal": lambda thief: thief.call("XADD", keys.refusals("i-a"), "*", "code", MUCH),
    "many refusals": lambda thief: [
        thief.call("XADD", keys.refusals("i-a"), "*", "code", MUCH[: REFUSALS_BYTES // 8]) for _ in range(16)
    ],
}


@pytest.mark.parametrize("flood", FLOODS)
def test_others_are_read_and_it_is_cut_off(flood: str, assistant: Assistant, thief: Redis) -> None:
    assistant.run_command("true", Targets(everything=True))
    FLOODS[flood](thief)
    listed = {one.instance_id: one for one in assistant.describe_instances(page=PageRequest()).items}
    assert listed.keys() == {"i-a", "i-b"}
    assert listed["i-b"].connected
    assert bool(listed["i-a"].quarantined) == (flood == "a long reason")
    assistant.describe_invocations(InvocationFilter(), PageRequest(), with_rows=True)
    at_boot = RunOptions(schedule=Schedule(repeat_mode=RepeatMode.NEXT_REBOOT_ONLY))
    assistant.run_command("true", Targets(everything=True), at_boot)
    assistant.trust.rotate_master_key()
    assistant.trust.settle_rotation()
    assistant.trust.issue_credentials("i-a")
    timed = assistant.run_command("true", Targets(everything=True), RunOptions(schedule=YEARLY)).invoke_id
    assistant.stop_invocation(timed)
    Retention(assistant.redis, LimitSettings()).work()
    assistant.remove_instance("i-a")
    assert [one.instance_id for one in assistant.describe_instances(page=PageRequest()).items] == ["i-b"]


def test_what_another_has_refused_is_entered_beside_a_flood_of_which_the_number_is(
    assistant: Assistant, thief: Redis
) -> None:
    report = ("*", "code", "SignatureInvalid", "info", "forged")
    assistant.redis.call("XADD", keys.refusals("i-b"), *report)
    FLOODS["many refusals"](thief)
    counts = take_over(assistant.redis, assistant.auditing.chain, ["i-a", "i-b"])
    assert counts == {"i-a": 16, "i-b": 1}
    assert take_over(assistant.redis, assistant.auditing.chain, ["i-a", "i-b"]) == {}
    bodies = [dict(zip(one[::2], one[1::2], strict=True))[b"body"] for _, one in stream(assistant)[-2:]]
    assert b"MoreRefusals" in bodies[0]
    assert b'"16"' in bodies[0]
    assert b"SignatureInvalid" in bodies[1]
    # What comes later counts again, as little as it is.
    assistant.redis.call("XADD", keys.refusals("i-a"), *report)
    assert take_over(assistant.redis, assistant.auditing.chain, ["i-a", "i-b"]) == {"i-a": 1}


def stream(assistant: Assistant) -> list[tuple[bytes, list[bytes]]]:
    found: list[tuple[bytes, list[bytes]]] = assistant.redis.call("XRANGE", keys.AUDIT, "-", "+")
    return found


def test_its_row_is_listed_without_what_is_too_long_in_it(assistant: Assistant, thief: Redis) -> None:
    invoke_id = assistant.run_command("true", Targets(everything=True)).invoke_id
    row = keys.execution("i-a", execution_id(invoke_id, 0, "i-a"))
    thief.call("HSET", row, "state", "Failed", "error_code", "X", "error_info", MUCH)
    page = assistant.describe_invocations(InvocationFilter(), PageRequest(), with_rows=True, with_output=False)
    [listed] = page.items
    shown = {one.instance_id: one for one in listed.rows}
    assert (shown["i-a"].state, shown["i-a"].outcome.error_code, shown["i-a"].outcome.error_info) == ("Failed", "X", "")
    assert shown["i-b"].state == "Pending"


def test_much_junk_of_one_time_in_its_history_costs_no_more_than_of_many(
    assistant: Assistant, thief: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    thief.call("ZADD", keys.instance_history("i-a"), *(one for junk in range(5_000) for one in (0, f"junk-{junk}")))
    asked: list[str] = []
    call = Redis.call

    def noted(redis: Redis, *command: str | int, timeout_seconds: float | None = None) -> object:
        asked.append(str(command[0]))
        return call(redis, *command, timeout_seconds=timeout_seconds)

    monkeypatch.setattr(Redis, "call", noted)
    assert not assistant.describe_invocations(InvocationFilter(instance_id="i-a")).items
    assert asked.count("ZREVRANGEBYSCORE") < 60


def test_keys_of_others_are_replaced_whatever_waits_for_its_next_start(assistant: Assistant, thief: Redis) -> None:
    assistant.trust.issue_credentials("i-b")
    thief.call("HSET", keys.boot_bound("i-a"), "t-x", MUCH)
    for one in assistant.trust.rotate_master_key().instances:
        assistant.redis.call("HSET", keys.info(one.instance_id), "key_ids", one.next_key_id)
    assert assistant.trust.settle_rotation().waiting == []


def test_a_message_that_takes_long_to_read_is_not_read_by_a_beat(assistant: Assistant, thief: Redis) -> None:
    assistant.run_command("true", Targets(instance_ids=("i-a",)))
    thief.call("BRPOP", keys.queue("i-a"), "1")
    for padding_bytes, left_count in ((0, 0), (100_000, 1)):
        thief.call("LPUSH", keys.queue("i-a"), b'{"headers":{"id":"t-x"},"x":"' + b"x" * padding_bytes + b'"}')
        run(assistant.redis, trim_queue_command("i-a", 10))
        assert thief.call("LLEN", keys.queue("i-a")) == left_count


def test_all_that_a_true_agent_may_say_is_read(assistant: Assistant, thief: Redis) -> None:
    packages = b"p" * FIELD_BYTES
    thief.call("HSET", keys.info("i-a"), "packages", packages, "os_type", "Linux")
    (said,) = (one for one in assistant.describe_instances(page=PageRequest()).items if one.instance_id == "i-a")
    assert said.report == {"packages": packages.decode(), "os_type": "Linux"}


def test_flower_reads_as_much_with_the_rights_that_it_has(
    assistant: Assistant, thief: Redis, redis_server: RedisServer, connect: Callable[[str], Redis]
) -> None:
    user = program_user(ControlProgram.FLOWER)
    put_user(assistant.redis, user, password_digest("pw"), program_rules(ControlProgram.FLOWER, database=0))
    thief.call("HSET", keys.info("i-a"), "x", MUCH)
    flower = connect(redis_server.url(user=user, password="pw"))
    assert (ReportedInspect(flower, None).stats() or {}).keys() == {"i-b"}
