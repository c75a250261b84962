"""Roll-outs that are begun, widened and changed by operators, several at a time."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from integration.upgrade.test_rollout_steps import MASTER, answer, assistant, orders

from cloud_assistant.beat.rollout_steps import RolloutSteps
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import NotFound, Refused, RequestInvalid
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Command
from cloud_assistant.broker_config.releases.publisher_signing import AGENT_NAME, Statement, parse, sign
from cloud_assistant.broker_config.releases.rollouts import KEPT_COUNT, Wish, load_rollouts
from cloud_assistant.producer import Assistant, Targets
from cloud_assistant.producer.agent_versions import AgentVersions, RolloutOptions
from cloud_assistant.producer.file_store.catalogue import Catalogue

__all__ = ["assistant"]

ALL = Targets(everything=True)


class Hooked(Redis):
    """A connection on which somebody else does something before the first roll-out is written."""

    before: Callable[[], object] | None = None

    def pipeline(self, commands: Sequence[Command], *, timeout_seconds: float | None = None) -> list[Any]:
        if self.before and any(command[:2] == ("HSET", keys.ROLLOUTS) for command in commands):
            before, self.before = self.before, None
            before()
        return super().pipeline(commands, timeout_seconds=timeout_seconds)


def versions_of(assistant: Assistant, redis: Redis | None = None) -> AgentVersions:
    return AgentVersions(redis or assistant.redis, assistant.settings, MASTER, assistant.auditing)


@pytest.fixture
def versions(assistant: Assistant) -> AgentVersions:
    """An installation in which versions 2.0 and 3.0 are published."""
    key = Ed25519PrivateKey.generate()
    for version in ("2.0", "3.0"):
        statement = Statement(name=AGENT_NAME, version=version, os="linux", arch="x86_64", sha256="a" * 64, size=1)
        Catalogue(assistant.redis).add(parse(sign(key, statement)))
    return versions_of(assistant)


@pytest.mark.parametrize("version", ["2.0", "3.0"])
def test_of_two_that_are_begun_in_the_same_moment_one_is_open(
    assistant: Assistant, versions: AgentVersions, version: str
) -> None:
    hooked = Hooked(assistant.redis.url)
    hooked.before = lambda: versions.begin(version, ALL, RolloutOptions())
    with pytest.raises(Refused) as refused:
        versions_of(assistant, hooked).begin("2.0", ALL, RolloutOptions())
    hooked.close()
    assert refused.value.code == "RolloutOpen"
    found = {one.rollout.version if one.is_open else "": one.state for one in versions.all()}
    assert found == {version: "Running", "": "Cancelled"}


def test_another_version_waits_until_the_open_one_is_over(versions: AgentVersions) -> None:
    first = versions.begin("2.0", ALL, RolloutOptions(share_percent=10))
    versions.change("2.0", Wish.PAUSE)
    with pytest.raises(Refused, match=r"the roll-out of 2\.0 is paused"):
        versions.begin("3.0", ALL, RolloutOptions())
    wider = versions.begin("2.0", ALL, RolloutOptions())
    assert (wider.rollout.rollout_id, wider.state, wider.rollout.share_percent) == (
        first.rollout.rollout_id,
        "Paused",
        100,
    )
    assert wider.rollout.created_ms == first.rollout.created_ms
    versions.change("2.0", Wish.CANCEL)
    with pytest.raises(Refused) as refused:
        versions.change("2.0", Wish.RUN)
    assert refused.value.code == "RolloutOver"
    assert versions.begin("3.0", ALL, RolloutOptions()).state == "Running"


def test_one_that_is_widened_keeps_what_was_forgiven(assistant: Assistant, versions: AgentVersions) -> None:
    versions.begin("2.0", ALL, RolloutOptions())
    steps = RolloutSteps(assistant.redis, MASTER)
    steps.work()
    for instance_id, serial in orders(assistant).items():
        answer(assistant, instance_id, serial, "Failed")
    steps.work()
    assert versions.find().state == "Stopped"
    versions.change("2.0", Wish.RUN)
    assert versions.begin("2.0", ALL, RolloutOptions(at_once_count=1)).rollout.forgiven_count == 2
    steps.work()
    assert versions.find().state == "Running"


@pytest.mark.parametrize("percent", [0, -1, 100.5, float("nan"), float("inf")])
def test_a_share_that_makes_no_sense_is_refused(versions: AgentVersions, percent: float) -> None:
    for options in (RolloutOptions(share_percent=percent), RolloutOptions(failures_percent=percent)):
        with pytest.raises(RequestInvalid):
            versions.begin("2.0", ALL, options)
    with pytest.raises(RequestInvalid):
        versions.begin("2.0", ALL, RolloutOptions(window="at night"))
    with pytest.raises(NotFound):
        versions.begin("4.0", ALL, RolloutOptions())
    assert versions.all() == []


@pytest.mark.parametrize("seconds", [0.0, 0.5, -1.0, 86_401.0, float("nan"), float("inf")])
def test_a_trial_has_an_end_that_comes(versions: AgentVersions, seconds: float) -> None:
    with pytest.raises(RequestInvalid, match="1 to 86400 seconds"):
        versions.begin("2.0", ALL, RolloutOptions(probation_seconds=seconds))
    with pytest.raises(RequestInvalid, match="at least one instance"):
        versions.begin("2.0", ALL, RolloutOptions(at_once_count=-1))
    assert versions.all() == []


def test_the_last_twenty_are_remembered(assistant: Assistant, versions: AgentVersions) -> None:
    begun = []
    for _ in range(KEPT_COUNT + 2):
        begun.append(versions.begin("2.0", ALL, RolloutOptions()).rollout.rollout_id)
        versions.change("2.0", Wish.CANCEL)
    assert {one.rollout.rollout_id for one in load_rollouts(assistant.redis, MASTER).usable} == set(begun[2:])


def test_who_is_named_is_named_once_and_is_there(assistant: Assistant, versions: AgentVersions) -> None:
    for wrong in ("i-typo", "i-20"):
        with pytest.raises(NotFound, match=f"no instance {wrong} is registered"):
            versions.begin("2.0", Targets(instance_ids=("i-1", wrong)), RolloutOptions())
    for both in (Targets(instance_ids=("i-1",), tags={"a": "b"}), Targets(instance_ids=("i-1",), everything=True)):
        with pytest.raises(RequestInvalid, match="exclude one another"):
            versions.begin("2.0", both, RolloutOptions())
    assert versions.all() == []
    named = versions.begin("2.0", Targets(instance_ids=("i-2", "i-1", "i-2")), RolloutOptions())
    assert list(named.rollout.instance_ids) == ["i-2", "i-1"]
    RolloutSteps(assistant.redis, MASTER).work()
    assert len(orders(assistant)) == 1
