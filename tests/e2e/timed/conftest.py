"""A system whose schedules may be due every second, and what an operator reads of them."""

from dataclasses import dataclass
from typing import Any

import pytest

from cloud_assistant.producer.paging import PageRequest
from cloud_assistant.producer.timed.shapes import firing_shape
from harness.eventually import eventually
from harness.system import Outcome, System

OFTEN = {"CLOUD_ASSISTANT_BEAT_MINIMUM_INTERVAL_SECONDS": "1", "CLOUD_ASSISTANT_BEAT_SWEEP_SECONDS": "0.3"}


@dataclass
class Operator:
    """Somebody with a shell; everything goes through ``assist``."""

    system: System

    def run(self, *arguments: str) -> Outcome:
        return self.system.assist(*arguments)

    def json(self, *arguments: str) -> Any:
        return self.system.assist(*arguments, "--output", "json").must_succeed().json

    def invoke(self, script: str, *options: str, frequency: str = "* * * * * *") -> str:
        """Make a timed invocation for all instances and answer its id."""
        made = self.system.assist("run", script, "--all", "--timeout", "10", "--frequency", frequency, *options)
        return made.must_succeed().stdout.strip()

    def history(self, invoke_id: str, status: str = "") -> list[dict[str, Any]]:
        """The rows of a timed invocation, the earliest due time first.

        Not through ``assist``: tests ask again and again until the rows are those that they wait for.
        """
        with self.system.operator() as operator:
            found = operator.timed.history(invoke_id, PageRequest(size=500, size_max=500)).items
        rows = [firing_shape(view) for view in reversed(found)]
        return [row for row in rows if status in ("", row["Status"])]

    def wait_for_fired(self, invoke_id: str, count: int) -> list[dict[str, Any]]:
        """Wait until so many due times were fired and all that they run is over."""

        def enough() -> list[dict[str, Any]] | None:
            rows = self.history(invoke_id, "fired")
            over = [row for row in rows if row["Counts"] and set(row["Counts"]) <= {"Success", "Failed"}]
            return over if len(over) >= count else None

        return eventually(enough, 40, f"{invoke_id} fired {count} times", every_seconds=0.2)

    def due_times(self, *arguments: str) -> list[str]:
        """What a preview says, in UTC."""
        return [one["Utc"] for one in self.json("timed", "preview", *arguments)["DueTimes"]]


@pytest.fixture
def often(system: System) -> System:
    system.environment.update(OFTEN)
    return system


@pytest.fixture
def operator(often: System) -> Operator:
    return Operator(often)
