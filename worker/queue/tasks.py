"""The one Celery task of an agent: an entry point of a few lines in front of the executor."""

from collections.abc import Callable
from typing import Any, Protocol

from celery import Celery
from celery.exceptions import Ignore

from ...broker_config.functions.executions import NotClaimed
from ...broker_config.messages import RUN_COMMAND_TASK
from ...broker_config.results import Outcome
from ...broker_config.states import ExecutionState

_MOST_CHARACTERS = 200


class ExecutionNotSuccessful(Exception):
    """How an execution ended, in the one line that a monitor shows; never content or output."""

    def __repr__(self) -> str:
        return str(self)


class Runner(Protocol):
    """What the task hands an execution to."""

    def run(self, execution_id: str, payload_token: str) -> Outcome | NotClaimed | None:
        """Run it to its end."""


def register(app: Celery, runner: Runner, strategy: Callable[..., Any] | None = None) -> None:
    """Register the task with an app; there is no other, so no other message can start anything.

    ``strategy`` is how a worker takes its messages; without one it is Celery's own.
    """

    def run_command(execution_id: str, payload_token: str) -> None:
        end = runner.run(execution_id, payload_token)
        if end is None:
            raise Ignore
        if isinstance(end, NotClaimed):
            raise ExecutionNotSuccessful(f"not run: {end.reason}, the row is {end.state or 'gone'}")
        if end.state != ExecutionState.SUCCESS:
            raise ExecutionNotSuccessful(f"{end.error_code or end.state}: {end.error_info}"[:_MOST_CHARACTERS])

    # Celery brings tasks of its own (map, chord …) that would run for whoever can write to the queue.
    app.finalize()
    app.tasks.clear()
    # It becomes an attribute of a class, where a function, and since Python 3.14 a partial one, would be a method.
    options: dict[str, Any] = {"Strategy": staticmethod(strategy)} if strategy else {}
    app.task(
        run_command,
        name=RUN_COMMAND_TASK,
        ignore_result=True,
        shared=False,
        throws=(ExecutionNotSuccessful,),
        **options,
    )
