"""Which messages a beat removes from the old end of a queue, and at which it stops."""

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.firings import trim_queue_command
from cloud_assistant.broker_config.functions.function_library import run
from cloud_assistant.broker_config.redis.client import Redis

QUEUE = keys.queue("i-1")


def message(name: str) -> str:
    return f'{{"headers": {{"id": "t-{name}.0@i-1"}}}}'


def enter(redis: Redis, name: str, state: str, *, is_open: bool = True) -> None:
    execution = f"t-{name}.0@i-1"
    redis.call("HSET", keys.execution("i-1", execution), "state", state)
    if is_open:
        redis.call("ZADD", keys.open_executions("i-1"), 1, execution)


def left_after(redis: Redis, *messages: str | bytes, most_count: int = 10) -> list[bytes]:
    """What stays of messages, the oldest given first, and see that the count that is told is true."""
    redis.call("LPUSH", QUEUE, *messages)
    removed_count = run(redis, trim_queue_command("i-1", most_count))
    left: list[bytes] = redis.call("LRANGE", QUEUE, 0, -1)[::-1]
    assert removed_count == len(messages) - len(left)
    return left


@pytest.mark.parametrize("state", ["Pending", "Running", "Stopping"])
def test_it_stops_at_the_first_whose_execution_is_open(redis: Redis, state: str) -> None:
    # Also one that is claimed: when the claim's answer was lost, the message is what starts it.
    enter(redis, "open", state)
    enter(redis, "over", "Success", is_open=False)
    left = left_after(redis, message("over"), message("gone"), message("open"), message("over"))
    assert left == [message("open").encode(), message("over").encode()]


def test_it_looks_at_so_many_and_no_more(redis: Redis) -> None:
    assert len(left_after(redis, *[message("gone")] * 5, most_count=3)) == 2


@pytest.mark.parametrize(
    "odd",
    [
        b"\xff",
        "[1]",
        "5",
        '"text"',
        "null",
        "{}",
        '{"headers": 5}',
        '{"headers": {"id": 5}}',
        '{"headers": {"id": []}}',
        # Longer than any of ours: it is not even read.
        '{"headers": {"id": "t-gone.0@i-1"}, "x": "' + "x" * 65_536 + '"}',
    ],
    ids=lambda odd: odd[:30],
)
@pytest.mark.parametrize("is_any_open", [True, False])
def test_what_is_not_ours_stays_only_as_long_as_something_is_open(
    redis: Redis, odd: str | bytes, is_any_open: bool
) -> None:
    if is_any_open:
        enter(redis, "open", "Pending")
    left = left_after(redis, message("gone"), odd, message("gone"))
    assert len(left) == (2 if is_any_open else 0)


def test_an_empty_queue_is_left_as_it_is(redis: Redis) -> None:
    assert run(redis, trim_queue_command("i-1", 10)) == 0
