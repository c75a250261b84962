"""Have several things done at the same moment."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from cloud_assistant.broker_config.errors import CloudAssistantError


def at_once(*works: Callable[[], object]) -> list[object]:
    """Begin all of it together; answers what each returned, or the refusal that it raised."""
    ready = Barrier(len(works))

    def one(work: Callable[[], object]) -> object:
        ready.wait(10)
        try:
            return work()
        except CloudAssistantError as exc:
            return exc

    with ThreadPoolExecutor(len(works)) as threads:
        return list(threads.map(one, works))
