"""A pause ends early when the client leaves or the gateway stops."""

import asyncio
from collections.abc import Callable
from typing import Any

from cloud_assistant.producer.gateway.serving.interruption import Interruption


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


def test_a_ring_ends_the_pause_and_whoever_rings_is_left_once_it_is_over() -> None:
    left: list[bool] = []

    def listen(ring: Callable[[], None]) -> Callable[[], None]:
        # Twice, as two announcements that come together do.
        ring()
        ring()
        return lambda: left.append(True)

    async def run() -> tuple[bool, list[str]]:
        told: list[str] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(str(context)))
        async with Interruption(stay, asyncio.Event()) as interruption:
            async with asyncio.timeout(10):
                is_interrupted = await interruption.comes_within(60_000, listen)
        await asyncio.sleep(0)
        return is_interrupted, told

    assert asyncio.run(run()) == (False, [])
    assert left == [True]


def test_a_ring_for_a_gateway_that_has_stopped_is_heard_by_nobody() -> None:
    rings: list[Callable[[], None]] = []

    def listen(ring: Callable[[], None]) -> Callable[[], None]:
        rings.append(ring)
        return lambda: None

    async def run() -> None:
        async with Interruption(stay, asyncio.Event()) as interruption:
            await interruption.comes_within(1, listen)

    asyncio.run(run())
    rings[0]()
