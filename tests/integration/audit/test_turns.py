"""Who lost often enough is given the next place in the audit, and nobody can keep it from the others."""

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.audit import append_audit_command
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Argument
from cloud_assistant.broker_config.timed.timed_invocation import server_ms


def offer(redis: Redis, writer: str, number: int, mac: str, *, wants_turn: bool = False) -> list[bytes]:
    """Try to enter something behind the end that this writer has seen."""
    arguments: list[Argument] = [number, mac, writer, int(wants_turn), 1, b"body", f"mac of {writer} at {number + 1}"]
    reply: list[bytes] = run(redis, append_audit_command(arguments))
    return reply


@pytest.fixture
def end(redis: Redis) -> tuple[int, str]:
    """The end of an audit in which the slow writer has just lost, and asked for the next turn."""
    assert offer(redis, "quick", 0, "") == [b"ok"]
    assert offer(redis, "slow", 0, "", wants_turn=True) == [b"stale", b"1", b"mac of quick at 1"]
    return 1, "mac of quick at 1"


def test_the_others_wait_for_who_has_the_turn(redis: Redis, end: tuple[int, str]) -> None:
    assert offer(redis, "quick", *end) == [b"busy", b"1", end[1].encode()]
    assert redis.call("XLEN", keys.AUDIT) == 1
    assert offer(redis, "slow", *end) == [b"ok"]
    assert offer(redis, "quick", 2, "mac of slow at 2") == [b"ok"]
    numbers = [fields[1] for _, fields in redis.call("XRANGE", keys.AUDIT, "-", "+")]
    assert numbers == [b"1", b"2", b"3"]


def test_who_only_lost_has_no_turn(redis: Redis) -> None:
    offer(redis, "quick", 0, "")
    assert offer(redis, "slow", 0, "")[0] == b"stale"
    assert offer(redis, "quick", 1, "mac of quick at 1") == [b"ok"]


@pytest.mark.parametrize("seen", [(1, "mac of another"), (2, "mac of quick at 1")], ids=["mac", "number"])
def test_an_end_is_the_same_only_with_its_number_and_its_mac(redis: Redis, seen: tuple[int, str]) -> None:
    offer(redis, "quick", 0, "")
    assert offer(redis, "quick", *seen) == [b"stale", b"1", b"mac of quick at 1"]


@pytest.mark.parametrize("until_ms", [-1, 60_000], ids=["one that crashed in it", "one that wrote itself a minute"])
def test_a_turn_ends_by_itself_and_is_never_long(redis: Redis, end: tuple[int, str], until_ms: int) -> None:
    left_ms = int(redis.call("HGET", keys.AUDIT_HEAD, "turn_until_ms")) - server_ms(redis)
    assert 500 < left_ms <= 1_000
    redis.call("HSET", keys.AUDIT_HEAD, "turn_until_ms", server_ms(redis) + until_ms)
    assert offer(redis, "quick", *end) == [b"ok"]


def test_a_turn_that_makes_no_sense_holds_up_nobody(redis: Redis, end: tuple[int, str]) -> None:
    redis.call("HSET", keys.AUDIT_HEAD, "turn_until_ms", "nonsense")
    assert offer(redis, "quick", *end) == [b"ok"]
