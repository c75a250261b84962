"""Two changes of one roll-out in the same moment: neither undoes the other, be it an operator's or a beat's."""

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import pytest
from integration.upgrade.test_rollout_beginning import ALL, versions, versions_of
from integration.upgrade.test_rollout_steps import COUNT, MASTER, answer, assistant, orders, report

from cloud_assistant.beat.rollout_steps import RolloutSteps
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Command
from cloud_assistant.broker_config.releases.rollouts import Wish
from cloud_assistant.producer import Assistant, Targets
from cloud_assistant.producer.agent_versions import AgentVersions, RolloutOptions

__all__ = ["assistant", "versions"]


class Interrupted(Redis):
    """A connection on which somebody else does something just before the first roll-out is written."""

    def __init__(self, assistant: Assistant, meanwhile: Callable[[], object]) -> None:
        super().__init__(assistant.redis.url)
        self._meanwhile: list[Callable[[], object]] = [meanwhile]

    def pipeline(self, commands: Sequence[Command], *, timeout_seconds: float | None = None) -> list[Any]:
        if self._meanwhile and any(_writes_rollout(command) for command in commands):
            self._meanwhile.pop()()
        return super().pipeline(commands, timeout_seconds=timeout_seconds)


def _writes_rollout(command: Command) -> bool:
    names = [str(part) for part in command[1:5]]
    return command[0] in ("HSET", "HDEL", "FCALL") and any(
        name == keys.ROLLOUTS or (name.startswith(keys.rollout("")) and not name.endswith(":members")) for name in names
    )


def test_a_pause_does_not_bring_back_what_somebody_cancels_meanwhile(
    assistant: Assistant, versions: AgentVersions
) -> None:
    versions.begin("2.0", ALL, RolloutOptions())
    redis = Interrupted(assistant, lambda: versions.change("2.0", Wish.CANCEL))
    with closing(redis), pytest.raises(Refused) as refused:
        versions_of(assistant, redis).change("2.0", Wish.PAUSE)
    assert refused.value.code == "RolloutOver"
    assert versions.find().state == "Cancelled"


def test_one_that_is_widened_stays_paused_where_somebody_pauses_it_meanwhile(
    assistant: Assistant, versions: AgentVersions
) -> None:
    versions.begin("2.0", ALL, RolloutOptions(share_percent=10))
    with closing(Interrupted(assistant, lambda: versions.change("2.0", Wish.PAUSE))) as redis:
        wider = versions_of(assistant, redis).begin("2.0", ALL, RolloutOptions(share_percent=50))
    assert (wider.state, wider.rollout.share_percent) == ("Paused", 50)


def test_one_that_a_beat_finishes_in_the_moment_in_which_it_is_widened_goes_on(
    assistant: Assistant, versions: AgentVersions
) -> None:
    """Whichever of the two comes first."""
    report(assistant, "i-1", agent_version="2.0")
    for meanwhile in ("beat", "operator"):
        versions.begin("2.0", Targets(instance_ids=("i-1",)), RolloutOptions())

        def widen(redis: Redis | None = None) -> None:
            versions_of(assistant, redis).begin("2.0", ALL, RolloutOptions())

        def step(redis: Redis | None = None) -> None:
            RolloutSteps(redis or assistant.redis, MASTER).work()

        first, second = (step, widen) if meanwhile == "beat" else (widen, step)
        with closing(Interrupted(assistant, first)) as redis:
            second(redis)
        assert versions.find().state == "Running"
        assert versions.find().rollout.instance_ids == []
        step()
        assert len(orders(assistant)) == COUNT // 10
        versions.change("2.0", Wish.CANCEL)
        step()


def test_one_that_a_beat_stops_in_the_moment_in_which_it_is_resumed_goes_on_with_those_failures_forgiven(
    assistant: Assistant, versions: AgentVersions
) -> None:
    versions.begin("2.0", ALL, RolloutOptions())
    steps = RolloutSteps(assistant.redis, MASTER)
    steps.work()
    for instance_id, serial in orders(assistant).items():
        answer(assistant, instance_id, serial, "Failed")
    versions.change("2.0", Wish.PAUSE)
    with closing(Interrupted(assistant, steps.work)) as redis:
        versions_of(assistant, redis).change("2.0", Wish.RUN)
    assert (versions.find().state, versions.find().rollout.forgiven_count) == ("Running", 2)
    steps.work()
    assert versions.find().state == "Running"
