"""A beat dies between a due time and its executions; another one goes on."""

import pytest
from faults import timed_load
from faults.agents import start_crashing_beat
from faults.scene import Scene

from cloud_assistant.broker_config.timed.firing_rows import Firing, FiringStatus, latest_firings
from cloud_assistant.broker_config.timed.timed_invocation import server_ms
from harness.eventually import eventually
from harness.system import System

_PERIOD_SECONDS = 5
#: More than one call writes.
_MANY_COUNT = 450


def first_whole_firing(scene: Scene) -> Firing:
    """Wait until the first due time is decided about and has all its executions."""

    def decided() -> Firing | None:
        rows = latest_firings(scene.redis, scene.timed[0].invoke_id, 0, 10)
        return rows[-1] if rows and rows[-1].status != FiringStatus.DISPATCHING else None

    return eventually(decided, 25, "the first due time is decided about", every_seconds=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("point", ["before the decision", "after the decision"])
def test_a_due_time_is_fired_once_though_its_beat_died(quick_system: System, scene: Scene, point: str) -> None:
    quick_system.start_agent()
    beat = start_crashing_beat(quick_system, point)
    timed_load.begin(scene, ["i-one"], [_PERIOD_SECONDS])
    beat.wait(15)
    quick_system.start_beat()

    firing = first_whole_firing(scene)
    timed_load.end(scene)

    assert (firing.status, firing.created_count) == (FiringStatus.FIRED, 1)
    scene.settle()


@pytest.mark.slow
def test_a_firing_for_many_targets_is_completed_by_another_beat(quick_system: System, scene: Scene) -> None:
    names = ["i-one", *(f"i-away{number:04d}" for number in range(_MANY_COUNT - 1))]
    scene.register(*names)
    quick_system.start_agent()
    beat = start_crashing_beat(quick_system, "between two parts")
    timed_load.begin(scene, names, [_PERIOD_SECONDS])
    beat.wait(15)
    quick_system.start_beat()

    firing = first_whole_firing(scene)
    timed_load.end(scene)

    assert (firing.status, firing.created_count) == (FiringStatus.FIRED, _MANY_COUNT)
    scene.settle()


@pytest.mark.slow
def test_due_times_without_any_beat_have_rows_as_soon_as_there_is_one(quick_system: System, scene: Scene) -> None:
    quick_system.start_agent()
    timed_load.begin(scene, ["i-one"], [_PERIOD_SECONDS])
    third_due_ms = scene.timed[0].from_ms + 3 * _PERIOD_SECONDS * 1000
    eventually(lambda: server_ms(scene.redis) > third_due_ms, 40, "three due times have passed", every_seconds=0.2)
    quick_system.start_beat()

    def missed_and_made_up_for() -> bool:
        rows = latest_firings(scene.redis, scene.timed[0].invoke_id, 0, 10)
        return {one.reason for one in rows} == {"", "misfire"}

    eventually(missed_and_made_up_for, 10, "the latest due time is fired, those before it are skipped")
    timed_load.end(scene)
    eventually(lambda: server_ms(scene.redis) > scene.timed[0].until_ms + 3_500, 10, "the checker asks for every row")
    scene.settle()
