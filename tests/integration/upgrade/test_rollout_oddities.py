"""Roll-outs among clocks that are wrong, and agents that say what no true one says."""

import time

import pytest
from integration.upgrade.test_rollout_steps import INSTANCE_IDS, MASTER, answer, assistant, begin, orders, report

from cloud_assistant.beat.rollout_steps import RolloutSteps
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.releases.rollouts import load_rollouts
from cloud_assistant.broker_config.releases.upgrade_order import PROFILE_FIELD, read_order, read_signed
from cloud_assistant.producer import Assistant

__all__ = ["assistant"]


def test_an_agent_whose_last_order_was_of_a_later_time_gets_a_newer_one(assistant: Assistant) -> None:
    # By a clock that was a month ahead.
    earlier = now_ms() + 30 * 86_400_000
    for one in INSTANCE_IDS:
        report(assistant, one, upgrade_serial=earlier, upgrade_stage="Succeeded")
    steps = begin(assistant)
    given = orders(assistant)
    assert set(given.values()) == {earlier + 1}
    for instance_id, serial in given.items():
        order = read_order(read_signed(assistant.redis.call("HGET", keys.profile(instance_id), PROFILE_FIELD)))
        assert order.expires_ms < now_ms() + 8 * 86_400_000
        answer(assistant, instance_id, serial, "Succeeded")
    steps.work()
    members = load_rollouts(assistant.redis, MASTER).usable[0].members
    assert {members[one].stage for one in given} == {"Succeeded"}


def test_a_beat_whose_clock_is_ahead_gives_up_nobody(assistant: Assistant, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(assistant)
    given = orders(assistant)
    true_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: true_ns() + 3_600 * 10**9)
    RolloutSteps(assistant.redis, MASTER).work()
    assert orders(assistant) == given


def test_of_what_an_agent_says_as_much_is_kept_as_a_true_one_would_say(assistant: Assistant) -> None:
    steps = begin(assistant)
    (instance_id, serial), *_ = orders(assistant).items()
    report(assistant, instance_id, upgrade_serial=serial, upgrade_stage="s" * 100_000, upgrade_reason="r" * 100_000)
    steps.work()
    member = load_rollouts(assistant.redis, MASTER).usable[0].members[instance_id]
    assert (member.stage, member.reason) == ("s" * 32, "r" * 300)
