"""Pages over an index reach every member once, also where many of them have the same score."""

from collections.abc import Iterator, Sequence

import pytest

from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.producer.paging import FILTERED_COUNT_MAX, PageRequest, read_page
from harness.redis_server import RedisServer

INDEX = "ca:test:index"


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    made = Redis(redis_server.url())
    yield made
    made.close()


def fill(redis: Redis, *counts: int) -> list[str]:
    """Enter so many members of each score; answers all of them in the order of pages."""
    members = [(score, f"m-{score}-{number:05}") for score, count in enumerate(counts) for number in range(count)]
    redis.call("ZADD", INDEX, *(part for member in members for part in member))
    return [name for _, name in sorted(members, reverse=True)]


def load(names: Sequence[str]) -> list[str | None]:
    return list(names)


def is_even(name: str) -> bool:
    return int(name[-1]) % 2 == 0


@pytest.mark.parametrize("size", [1, 50])
def test_pages_by_token_reach_all_of_one_score_and_what_comes_after(redis: Redis, size: int) -> None:
    expected = [name for name in fill(redis, 260, 3, 260) if is_even(name)]
    found: list[str] = []
    token = ""
    while True:
        request = PageRequest(max_results=size, next_token=token)
        page = read_page(redis, INDEX, request, load, keep=is_even, filters="even")
        found += page.items
        token = page.next_token
        if not token:
            break
    assert found == expected


def test_a_token_alone_asks_for_the_next_page(redis: Redis) -> None:
    expected = fill(redis, 25)
    found: list[str] = []
    token = ""
    while len(found) < 25:
        page = read_page(redis, INDEX, PageRequest(next_token=token, max_results=0 if token else 10), load)
        found += page.items
        token = page.next_token
    assert (found, token) == (expected, "")


@pytest.mark.parametrize("size", [7, 50])
def test_a_page_by_number_is_whole_behind_what_is_counted(redis: Redis, size: int) -> None:
    expected = fill(redis, FILTERED_COUNT_MAX + 3 * size)
    number = FILTERED_COUNT_MAX // size + 2
    page = read_page(redis, INDEX, PageRequest(number=number, size=size), load, keep=lambda _: True)
    assert page.items == expected[(number - 1) * size : number * size]
    assert page.total_count == number * size + 1


@pytest.mark.parametrize("gone_count", [1, 5])
def test_none_is_passed_over_because_others_of_its_score_are_gone(redis: Redis, gone_count: int) -> None:
    expected = fill(redis, 300)
    found: list[str] = []

    def load_and_remove(names: Sequence[str]) -> list[str | None]:
        found.extend(names)
        redis.call("ZREM", INDEX, *names[-gone_count:])
        return list(names)

    read_page(redis, INDEX, PageRequest(max_results=50), load_and_remove, keep=lambda _: False)
    assert found == expected


@pytest.mark.parametrize("more_count", [0, 1, 500])
def test_matches_are_counted_to_one_beyond_the_limit(redis: Redis, more_count: int) -> None:
    fill(redis, *([100] * (FILTERED_COUNT_MAX // 100)), *([more_count] if more_count else []))
    page = read_page(redis, INDEX, PageRequest(), load, keep=lambda _: True)
    assert page.total_count == FILTERED_COUNT_MAX + min(1, more_count)
