"""A body is taken whole, or refused, within size and time."""

import asyncio
from typing import Any

import pytest

from cloud_assistant.producer.gateway.api_errors import ApiError
from cloud_assistant.producer.gateway.serving.request_body import DISCARD_FACTOR, ClientLeft, RequestBody
from cloud_assistant.producer.gateway.serving.request_memory import RequestMemory


class Sender:
    """Hand out the given parts, then stall."""

    def __init__(self, *parts: bytes, ends: bool = True) -> None:
        self._messages = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        if ends:
            self._messages[-1]["more_body"] = False

    async def __call__(self) -> dict[str, Any]:
        if not self._messages:
            await asyncio.Event().wait()
        return self._messages.pop(0)

    @property
    def left_count(self) -> int:
        return len(self._messages)


def body_of(sender: Any, limit_bytes: int = 10, limit_seconds: float = 10.0) -> RequestBody:
    return RequestBody(sender, limit_bytes=limit_bytes, limit_seconds=limit_seconds)


def test_the_parts_are_put_together() -> None:
    body = body_of(Sender(b"ab", b"", b"cd"))
    assert asyncio.run(body.read()) == b"abcd"
    assert body.ended


def test_a_body_of_exactly_the_limit_is_taken() -> None:
    assert asyncio.run(body_of(Sender(b"0123456789")).read()) == b"0123456789"


def test_a_body_over_the_limit_is_refused_as_soon_as_that_is_known() -> None:
    sender = Sender(b"0123456789", b"x", b"never looked at")
    body = body_of(sender)
    with pytest.raises(ApiError, match="RequestEntityTooLarge"):
        asyncio.run(body.read())
    assert sender.left_count == 1
    assert not body.ended


def test_what_is_unwanted_is_thrown_away_to_its_end() -> None:
    body = body_of(Sender(*[b"x" * 10] * DISCARD_FACTOR))
    asyncio.run(body.discard())
    assert body.ended


def test_a_body_without_end_is_not_thrown_away_for_ever() -> None:
    sender = Sender(*[b"x" * 10] * 100)
    body = body_of(sender)
    asyncio.run(body.discard())
    assert not body.ended
    assert sender.left_count == 100 - DISCARD_FACTOR - 1


def test_a_body_that_stalls_is_refused() -> None:
    with pytest.raises(ApiError, match="RequestTimeout"):
        asyncio.run(body_of(Sender(b"a", ends=False), limit_seconds=0.05).read())


def test_throwing_away_a_body_that_stalls_ends_in_time() -> None:
    body = body_of(Sender(b"a", ends=False), limit_seconds=0.05)
    asyncio.run(body.discard())
    assert not body.ended


def test_a_client_that_leaves_is_noticed() -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    for wanted in (body_of(gone).read, body_of(gone).discard):
        with pytest.raises(ClientLeft):
            asyncio.run(wanted())


def test_what_is_thrown_away_and_what_is_whole_is_not_given_up_for_others() -> None:
    async def run() -> list[int]:
        noted: list[int] = []
        memory = RequestMemory(100, lambda: noted.append(1))
        whole = RequestBody(Sender(b"ab"), limit_bytes=10, limit_seconds=10, memory=memory)
        assert await whole.read() == b"ab"
        too_large = RequestBody(Sender(b"x" * 11, ends=False), limit_bytes=10, limit_seconds=1, memory=memory)
        with pytest.raises(ApiError, match="RequestEntityTooLarge"):
            await too_large.read()
        await too_large.discard()
        memory.part(lambda: None).hold(100, is_coming=False)
        assert [one.given_up for one in (whole, too_large)] == [False, False]
        return noted

    assert asyncio.run(run()) == []


def test_reading_and_throwing_away_have_one_time_together() -> None:
    async def run() -> None:
        body = body_of(Sender(b"a", ends=False), limit_seconds=2)
        with pytest.raises(ApiError, match="RequestTimeout"):
            await body.read()
        async with asyncio.timeout(1.8):
            await body.discard()

    asyncio.run(run())
