"""An order lies in one place for each instance: whose it is, and whether the instance can still take it."""

import msgspec
import pytest
from integration.upgrade.test_rollout_steps import (
    INSTANCE_IDS,
    MASTER,
    answer,
    assistant,
    begin,
    let_pass,
    orders,
    report,
)

from cloud_assistant.beat.rollout_steps import RolloutSteps
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.releases.rollouts import Rollout, Wish, load_rollouts, save_rollout
from cloud_assistant.broker_config.releases.upgrade_order import PROFILE_FIELD, read_order, read_signed
from cloud_assistant.broker_config.security.signing import MasterKeys
from cloud_assistant.producer import Assistant

__all__ = ["assistant"]

NEXT = Rollout(rollout_id="t-2", created_ms=2, version="3.0", url="http://x", signatures={"linux/x86_64": "x"})
NEW_MASTER = MasterKeys("k2", {**MASTER.keys, "k2": b"2" * 32})


def order_for(assistant: Assistant, instance_id: str) -> tuple[str, str]:
    """Of which roll-out its order is, and which key has signed it."""
    signed = read_signed(assistant.redis.call("HGET", keys.profile(instance_id), PROFILE_FIELD))
    return read_order(signed).rollout_id, signed.signature.partition(":")[0]


@pytest.mark.parametrize("end", ["Succeeded", "Failed"])
def test_a_roll_out_that_was_cancelled_during_trials_takes_no_order_of_the_next_one(
    assistant: Assistant, end: str
) -> None:
    steps = begin(assistant)
    given = orders(assistant)
    for instance_id, serial in given.items():
        answer(assistant, instance_id, serial, "Probation")
    steps.work()
    begin(assistant, wish=Wish.CANCEL)
    save_rollout(assistant.redis, msgspec.structs.replace(NEXT, at_once_count=20), MASTER)
    steps.work()
    assert {order_for(assistant, one)[0] for one in INSTANCE_IDS} == {"t-2"}
    for instance_id, serial in given.items():
        answer(assistant, instance_id, serial, end)
    steps.work()
    cancelled = next(one for one in load_rollouts(assistant.redis, MASTER).usable if one.rollout.rollout_id == "t-1")
    assert {one.stage for one in cancelled.members.values()} == {end}
    assert {order_for(assistant, one)[0] for one in INSTANCE_IDS} == {"t-2"}


@pytest.mark.parametrize("stage", ["", "Waiting", "Downloading"])
def test_who_is_registered_anew_gets_another_order_and_does_not_count_as_failed(
    assistant: Assistant, stage: str
) -> None:
    steps = begin(assistant)
    instance_id, serial = next(iter(orders(assistant).items()))
    if stage:
        answer(assistant, instance_id, serial, stage)
    steps.work()
    assistant.remove_instance(instance_id)
    assistant.add_instance(instance_id)
    # With the home that it had.
    report(assistant, instance_id, agent_version="1.0", os_type="Linux", arch="x86_64")
    report(assistant, instance_id, upgrade_serial=serial, upgrade_stage=stage)
    steps.work()
    assert orders(assistant)[instance_id] > serial
    member = load_rollouts(assistant.redis, MASTER).usable[0].members[instance_id]
    assert (member.stage, member.serial) == ("Ordered", orders(assistant)[instance_id])


def test_what_began_its_trial_before_it_was_registered_anew_has_had_its_order(assistant: Assistant) -> None:
    steps = begin(assistant)
    instance_id, serial = next(iter(orders(assistant).items()))
    answer(assistant, instance_id, serial, "Probation")
    assistant.redis.call("HDEL", keys.profile(instance_id), PROFILE_FIELD)
    steps.work()
    assert load_rollouts(assistant.redis, MASTER).usable[0].members[instance_id].stage == "Probation"
    assert instance_id not in orders(assistant)


def test_an_order_that_was_signed_with_an_earlier_key_is_made_anew_with_the_one_that_is_held(
    assistant: Assistant,
) -> None:
    begin(assistant)
    first, second = given = orders(assistant)
    steps = RolloutSteps(assistant.redis, NEW_MASTER)
    for one in given:
        assistant.redis.call("HSET", keys.KEY_IDS, one, "k1")
    steps.work()
    assert orders(assistant) == given, "what is signed with the key that is held stays"
    assistant.redis.call("HSET", keys.KEY_IDS, first, "k2.7")
    steps.work()
    assert order_for(assistant, first) == ("t-1", "k2.7")
    assert order_for(assistant, second) == ("t-1", "k1")
    found = read_signed(assistant.redis.call("HGET", keys.profile(first), PROFILE_FIELD))
    assert read_order(found).serial > given[first]


def test_who_is_not_entered_holds_the_first_of_the_current_master_key(assistant: Assistant) -> None:
    begin(assistant)
    given = orders(assistant)
    RolloutSteps(assistant.redis, NEW_MASTER).work()
    assert {order_for(assistant, one) for one in given} == {("t-1", "k2")}


def test_what_cannot_be_read_is_left_as_it_is(assistant: Assistant) -> None:
    steps = begin(assistant)
    spoilt, blocked = orders(assistant)
    assistant.redis.call("HSET", keys.profile(spoilt), PROFILE_FIELD, "x")
    assistant.redis.call("DEL", keys.profile(blocked))
    assistant.redis.call("SET", keys.profile(blocked), "x")
    before = load_rollouts(assistant.redis, MASTER).usable[0].members
    steps.work()
    assert load_rollouts(assistant.redis, MASTER).usable[0].members == before
    assert assistant.redis.call("HGET", keys.profile(spoilt), PROFILE_FIELD) == b"x"


def test_without_a_master_key_orders_stay_as_they_are(assistant: Assistant) -> None:
    rollout = Rollout(rollout_id="t-1", created_ms=1, version="2.0", url="http://x", signatures={"linux/x86_64": "x"})
    save_rollout(assistant.redis, rollout, None)
    steps = RolloutSteps(assistant.redis, None)
    steps.work()
    before = [assistant.redis.call("HGET", keys.profile(one), PROFILE_FIELD) for one in INSTANCE_IDS]
    assert len([one for one in before if one]) == 2
    steps.work()
    assert [assistant.redis.call("HGET", keys.profile(one), PROFILE_FIELD) for one in INSTANCE_IDS] == before


def test_nobody_becomes_an_instance_by_an_order(assistant: Assistant) -> None:
    assistant.remove_instance("i-4")
    # Its agent goes on; nobody has told it.
    report(assistant, "i-4", agent_version="1.0", os_type="Linux", arch="x86_64")
    steps = begin(assistant, instance_ids=("i-4", "i-5"), at_once_count=2)
    assert set(orders(assistant)) == {"i-5"}
    assert assistant.redis.call("EXISTS", keys.profile("i-4")) == 0
    answer(assistant, "i-5", orders(assistant)["i-5"], "Succeeded")
    steps.work()
    assert load_rollouts(assistant.redis, MASTER).usable[0].state == "Finished", "it does not wait for who is gone"


def test_a_trial_that_was_cut_off_keeps_its_order_to_be_repeated_until_the_roll_out_is_held(
    assistant: Assistant,
) -> None:
    steps = begin(assistant)
    given = orders(assistant)
    for instance_id, serial in given.items():
        answer(assistant, instance_id, serial, "Undecided")
    steps.work()
    assert orders(assistant) == given
    assert load_rollouts(assistant.redis, MASTER).usable[0].state == "Running"
    begin(assistant, wish=Wish.PAUSE)
    assert orders(assistant) == {}


def test_trials_that_are_never_repeated_stop_a_roll_out_in_the_end(assistant: Assistant) -> None:
    steps = begin(assistant)
    given = orders(assistant)
    for instance_id, serial in given.items():
        answer(assistant, instance_id, serial, "Undecided")
    steps.work()
    for instance_id in given:
        let_pass(assistant, instance_id, 781)
    steps.work()
    (progress,) = load_rollouts(assistant.redis, MASTER).usable
    assert (progress.state, progress.count("Undecided")) == ("Stopped", 2)
    assert orders(assistant) == {}
