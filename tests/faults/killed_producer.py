"""A producer that asks for one script on many instances and dies in the middle of writing them to the ledger."""

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from cloud_assistant.broker_config import dispatch
from cloud_assistant.broker_config.functions.function_library import run_ahead, run_all
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Command
from cloud_assistant.producer import Assistant, Targets
from cloud_assistant.producer.invocations.invoking import RunOptions

if __name__ == "__main__":
    redis_url, script, calls_before_death = sys.argv[1], sys.argv[2], int(sys.argv[3])
    calls = 0

    def count_one() -> None:
        global calls  # noqa: PLW0603 - this program is one script
        calls += 1
        if calls > calls_before_death:
            os.kill(os.getpid(), signal.SIGKILL)

    def deadly(*arguments: Any, **options: Any) -> Any:
        count_one()
        return run_all(*arguments, **options)

    def deadly_ahead(redis: Redis, commands: Iterable[Command]) -> Iterator[Any]:
        def counted() -> Iterator[Command]:
            for command in commands:
                count_one()
                yield command

        return run_ahead(redis, counted())

    setattr(dispatch, "run_all", deadly)  # noqa: B010 - mypy knows no such attribute
    setattr(dispatch, "run_ahead", deadly_ahead)  # noqa: B010 - as above
    with Assistant(redis_url) as assistant:
        assistant.run_command(script, Targets(everything=True), RunOptions(deliver_within_seconds=5))
