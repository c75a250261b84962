"""A pause ends early when the client leaves or the gateway stops."""

import asyncio
from typing import Any

from cloud_assistant.producer.gateway.interruption import Interruption


async def stay() -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


async def leave() -> dict[str, Any]:
    return {"type": "http.disconnect"}


def test_a_pause_without_interruption_ends_by_itself() -> None:
    async def run() -> list[bool]:
        async with Interruption(stay, asyncio.Event()) as interruption:
            return [await interruption.comes_within(5), await interruption.comes_within(5)]

    assert asyncio.run(run()) == [False, False]


def test_a_client_that_leaves_interrupts() -> None:
    async def run() -> bool:
        async with Interruption(leave, asyncio.Event()) as interruption:
            return await interruption.comes_within(60_000)

    assert asyncio.run(run())


def test_a_stop_interrupts_even_one_that_came_before() -> None:
    async def run() -> bool:
        stopping = asyncio.Event()
        stopping.set()
        async with Interruption(stay, stopping) as interruption:
            return await interruption.comes_within(60_000)

    assert asyncio.run(run())


def test_nothing_is_left_behind() -> None:
    async def run() -> int:
        async with Interruption(stay, asyncio.Event()) as interruption:
            await interruption.comes_within(1)
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1
