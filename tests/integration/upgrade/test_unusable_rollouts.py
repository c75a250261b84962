"""A roll-out that cannot be read, or that the holder of the master key did not write, stops no other, and goes."""

import json
from collections.abc import Callable

import pytest
from integration.upgrade.test_rollout_steps import MASTER, answer, assistant, begin, orders

from cloud_assistant.beat.rollout_steps import RolloutSteps
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import NotFound, RecordUnreadable, Refused
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.releases.rollouts import FINISHED, HALTED, Rollout, Wish, load_rollouts, save_rollout
from cloud_assistant.broker_config.releases.upgrade_order import PROFILE_FIELD
from cloud_assistant.broker_config.security.signing import MasterKeys
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.agent_versions import AgentVersions
from cloud_assistant.producer.cli import main

__all__ = ["assistant"]

Spoil = Callable[[Redis], None]


def write(redis: Redis, master: MasterKeys | None = MASTER) -> None:
    signatures = {"linux/x86_64": "x"}
    bad = Rollout(rollout_id="t-bad", created_ms=2, version="3.0", url="http://gateway", signatures=signatures)
    save_rollout(redis, bad, master)


def written_and(*command: str | bytes) -> Spoil:
    def spoil(redis: Redis) -> None:
        write(redis)
        redis.call(*command)

    return spoil


def stored(text: str | bytes) -> Spoil:
    return lambda redis: redis.call("HSET", keys.ROLLOUTS, "t-bad", text)


UNUSABLE: dict[str, Spoil] = {
    "no JSON": stored(b"\xff{"),
    "no record": stored('{"record": "{}"}'),
    "progress": written_and("SET", keys.rollout("t-bad"), "x"),
    "finished": written_and("HSET", keys.rollout("t-bad"), FINISHED, "soon"),
    "halted": written_and("HSET", keys.rollout("t-bad"), HALTED, b"\xff"),
    "members": written_and("SET", keys.rollout_members("t-bad"), "x"),
    "member": written_and("HSET", keys.rollout_members("t-bad"), "i-0", "x"),
    "not sealed": lambda redis: write(redis, None),
}


def versions_of(assistant: Assistant) -> AgentVersions:
    return AgentVersions(assistant.redis, assistant.settings, MASTER, assistant.auditing)


@pytest.mark.parametrize("spoil", UNUSABLE.values(), ids=UNUSABLE)
def test_it_stops_no_other_and_can_be_removed(
    assistant: Assistant, spoil: Spoil, caplog: pytest.LogCaptureFixture
) -> None:
    steps = begin(assistant, at_once_count=1)
    [(first, serial)] = orders(assistant).items()
    answer(assistant, first, serial, "Succeeded")
    spoil(assistant.redis)
    for _ in range(2):
        steps.work()
    [second] = orders(assistant)
    assert second != first
    assert sum("left alone" in line for line in caplog.messages) == 1, "it is said once"

    versions = versions_of(assistant)
    assert versions.find().rollout.version == "2.0"
    [unusable] = versions.unusable()
    assert (unusable.rollout_id, unusable.why.code) in [("t-bad", "RecordUnreadable"), ("t-bad", "SealBroken")]
    with pytest.raises(type(unusable.why)):
        versions.find("t-bad")
    # It is known by its version too, where that can be read.
    assert unusable.version == ("" if spoil in (UNUSABLE["no JSON"], UNUSABLE["no record"]) else "3.0")
    assert not versions.remove_unusable("t-1"), "it can be used"
    assert versions.remove_unusable("t-bad")
    assert (versions.unusable(), len(versions.all())) == ([], 1)
    assert assistant.redis.call("EXISTS", keys.rollout("t-bad"), keys.rollout_members("t-bad")) == 0
    with pytest.raises(NotFound):
        versions.find("3.0")


def test_what_it_has_ordered_is_taken_back_and_nothing_else(assistant: Assistant) -> None:
    begin(assistant, instance_ids=("i-1",))
    RolloutSteps(assistant.redis, MASTER).work()
    signatures = {"linux/x86_64": "x"}
    bad = Rollout(
        rollout_id="t-bad",
        created_ms=2,
        version="3.0",
        url="http://gateway",
        signatures=signatures,
        instance_ids=("i-2", "i-3"),
        at_once_count=2,
    )
    save_rollout(assistant.redis, bad, MASTER)
    RolloutSteps(assistant.redis, MASTER).work()
    assert set(orders(assistant)) == {"i-1", "i-2", "i-3"}
    # It knows of i-1 too, which has another's order by now, and of i-0, which has what is none.
    assistant.redis.call("HSET", keys.rollout_members("t-bad"), "i-1", "{}", "i-0", "{}")
    assistant.redis.call("HSET", keys.profile("i-0"), PROFILE_FIELD, "x")
    assert versions_of(assistant).remove_unusable("t-bad")
    assert assistant.redis.call("HGET", keys.profile("i-0"), PROFILE_FIELD) == b"x"
    assistant.redis.call("HDEL", keys.profile("i-0"), PROFILE_FIELD)
    assert set(orders(assistant)) == {"i-1"}


def test_cancelling_what_is_not_sealed_leaves_the_true_ones_that_are_over(assistant: Assistant) -> None:
    steps = begin(assistant, instance_ids=("i-1",))
    answer(assistant, "i-1", orders(assistant)["i-1"], "Succeeded")
    steps.work()
    versions = versions_of(assistant)
    with pytest.raises(Refused) as refused:
        versions.change("2.0", Wish.CANCEL)
    assert refused.value.code == "RolloutOver"
    forged = Rollout(rollout_id="t-2", created_ms=2**50, version="2.0", url="http://x", signatures={})
    save_rollout(assistant.redis, forged, None)
    assert versions.change("2.0", Wish.CANCEL).rollout.rollout_id == "t-2"
    assert {one.rollout.rollout_id: one.state for one in versions.all()} == {"t-1": "Finished", "t-2": "Cancelled"}


def test_the_command_line_tells_and_removes_it(assistant: Assistant, capsys: pytest.CaptureFixture[str]) -> None:
    assistant.redis.call("HSET", keys.ROLLOUTS, "t-bad", "x")
    with pytest.raises(RecordUnreadable, match="t-bad --cancel"):
        versions_of(assistant).find()
    arguments = ["--redis-url", assistant.redis.url, "--home", str(assistant.settings.home), "--output", "json"]
    write_one = Rollout(rollout_id="t-1", created_ms=1, version="2.0", url="http://gateway", signatures={})
    save_rollout(assistant.redis, write_one, None)

    assert main([*arguments, "agent-version", "status"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["Version"] == "2.0"
    assert "the roll-out t-bad cannot be read" in shown.err
    assert main([*arguments, "agent-version", "rollout", "t-bad", "--cancel"]) == 0
    assert json.loads(capsys.readouterr().out) == {"RolloutId": "t-bad", "State": "Removed"}
    assert load_rollouts(assistant.redis, None).unusable == []


def test_a_beat_without_the_master_key_orders_nothing_that_its_producer_signs(
    assistant: Assistant, caplog: pytest.LogCaptureFixture
) -> None:
    write(assistant.redis, MASTER)
    keyless = RolloutSteps(assistant.redis, None)
    for _ in range(2):
        keyless.work()
    assert orders(assistant) == {}
    assert sum("version 3.0 is sealed, and no master key is here" in line for line in caplog.messages) == 1
    RolloutSteps(assistant.redis, MASTER).work()
    assert orders(assistant)
