"""To whom a roll-out gives orders, what stands in them, and when it gives no more."""

from typing import Any

import pytest
from integration.upgrade.test_rollout_steps import INSTANCE_IDS, MASTER, answer, assistant, begin, orders, report

from cloud_assistant.beat.rollout_steps import RolloutSteps, chosen_of
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import RedisRefused
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Command
from cloud_assistant.broker_config.releases.rollouts import FINISHED, Progress, Rollout, Wish, load_rollouts
from cloud_assistant.broker_config.releases.upgrade_order import PROFILE_FIELD, read_order, read_signed
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.agent_versions import AgentVersions

__all__ = ["assistant"]


def progress_of(assistant: Assistant) -> Progress:
    (progress,) = load_rollouts(assistant.redis, MASTER).usable
    return progress


def join(assistant: Assistant, instance_id: str, **tags: str) -> None:
    assistant.add_instance(instance_id, tags=tags)
    report(assistant, instance_id, agent_version="1.0", os_type="Linux", arch="x86_64")


def has_order(assistant: Assistant, instance_id: str) -> bool:
    return assistant.redis.call("HGET", keys.profile(instance_id), PROFILE_FIELD) is not None


def test_an_order_says_all_that_was_asked_for(assistant: Assistant) -> None:
    begin(assistant, again=True, window="sat 02:00-04:30", probation_seconds=77.0)
    instance_id = next(iter(orders(assistant)))
    order = read_order(read_signed(assistant.redis.call("HGET", keys.profile(instance_id), PROFILE_FIELD)))
    assert (order.again, order.window, order.probation_seconds) == (True, "sat 02:00-04:30", 77.0)


@pytest.mark.parametrize(("chosen_count", "at_once"), [(1, 1), (10, 1), (11, 2)])
def test_a_tenth_is_on_its_way_at_once_and_never_nobody(assistant: Assistant, chosen_count: int, at_once: int) -> None:
    begin(assistant, instance_ids=tuple(INSTANCE_IDS[:chosen_count]))
    assert len(orders(assistant)) == at_once


def test_who_is_on_the_way_stays_so_where_fewer_shall_be_from_now_on(assistant: Assistant) -> None:
    begin(assistant, at_once_count=5)
    given = orders(assistant)
    begin(assistant, at_once_count=2)
    assert orders(assistant) == given


def test_a_share_is_at_least_one_and_another_one_in_each_roll_out() -> None:
    def chosen(rollout_id: str, count: int) -> list[str]:
        rollout = Rollout(rollout_id=rollout_id, created_ms=1, version="2.0", url="", signatures={}, share_percent=10.0)
        return chosen_of(rollout, INSTANCE_IDS[:count])

    assert len(chosen("t-1", 5)) == 1
    assert len({chosen(f"t-{number}", 20)[0] for number in range(20)}) > 5


def test_a_tag_without_a_value_is_not_one_of_any_value(assistant: Assistant) -> None:
    assistant.modify_instance("i-1", tags={"team": ""})
    assistant.modify_instance("i-2", tags={"team": "a"})
    begin(assistant, tags={"team": ""}, at_once_count=20)
    assert set(orders(assistant)) == {"i-1"}


def test_what_an_agent_says_in_another_way_than_a_true_one_holds_up_no_other(assistant: Assistant) -> None:
    report(assistant, "i-1", os_type=b"\xff")  # type: ignore[arg-type]
    assistant.redis.call("DEL", keys.info("i-2"))
    assistant.redis.call("SET", keys.info("i-2"), "x")
    begin(assistant, at_once_count=20, failures_percent=100.0)
    assert set(orders(assistant)) == set(INSTANCE_IDS) - {"i-1", "i-2"}


def test_who_left_the_selection_is_followed_to_its_end(assistant: Assistant) -> None:
    for one in ("i-1", "i-2"):
        assistant.modify_instance(one, tags={"env": "test"})
    steps = begin(assistant, tags={"env": "test"}, at_once_count=20, failures_percent=100.0)
    for one, serial in orders(assistant).items():
        assistant.modify_instance(one, tags={"env": "live"})
        answer(assistant, one, serial, "Succeeded" if one == "i-1" else "Failed")
    steps.work()
    assert orders(assistant) == {}
    # What has ended stays as it ended.
    report(assistant, "i-2", upgrade_stage="Succeeded")
    steps.work()
    assert {one: member.stage for one, member in progress_of(assistant).members.items()} == {
        "i-1": "Succeeded",
        "i-2": "Failed",
    }


def test_one_that_is_finished_gives_no_more_orders_whoever_joins(assistant: Assistant) -> None:
    assistant.modify_instance("i-1", tags={"env": "test"})
    assistant.modify_instance("i-2", tags={"env": "test"})
    steps = begin(assistant, tags={"env": "test"}, at_once_count=20)
    given = orders(assistant)
    answer(assistant, "i-1", given["i-1"], "Succeeded")
    answer(assistant, "i-2", given["i-2"], "Probation")
    assistant.modify_instance("i-2", tags={"env": "live"})
    steps.work()
    finished = progress_of(assistant)
    assert (finished.state, finished.members["i-2"].stage) == ("Finished", "Probation")
    # One is still on its way, so it is looked at.
    steps.work()
    assert progress_of(assistant).finished_ms == finished.finished_ms
    for ending in ("Probation", "Succeeded"):
        answer(assistant, "i-2", given["i-2"], ending)
        join(assistant, f"i-new-{ending}", env="test")
        steps.work()
        steps.work()
        assert not has_order(assistant, f"i-new-{ending}")
    assert progress_of(assistant).members["i-2"].stage == "Succeeded"
    assert progress_of(assistant).finished_ms == finished.finished_ms


def test_one_that_stopped_with_its_last_instance_is_not_finished(assistant: Assistant) -> None:
    steps = begin(assistant, instance_ids=("i-1",))
    answer(assistant, "i-1", orders(assistant)["i-1"], "Failed")
    for _ in range(2):
        steps.work()
    assert progress_of(assistant).state == "Stopped"
    assert assistant.redis.call("HGET", keys.rollout("t-1"), FINISHED) is None


def test_one_that_is_paused_or_stopped_is_open_until_it_is_cancelled(assistant: Assistant) -> None:
    steps = begin(assistant, instance_ids=("i-1",))
    versions = AgentVersions(assistant.redis, assistant.settings, MASTER, assistant.auditing)
    paused = versions.change("2.0", Wish.PAUSE)
    assert (paused.state, paused.is_open) == ("Paused", True)
    resumed = versions.change("2.0", Wish.RUN)
    assert (resumed.state, resumed.is_open) == ("Running", True)
    answer(assistant, "i-1", orders(assistant)["i-1"], "Failed")
    steps.work()
    stopped = versions.find()
    assert (stopped.state, stopped.is_open) == ("Stopped", True)
    cancelled = versions.change("2.0", Wish.CANCEL)
    assert (cancelled.state, cancelled.is_open) == ("Cancelled", False)


class Noted(Redis):
    """A connection that notes which commands were sent."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sent: list[str] = []

    def pipeline(self, commands: list[Command], *, timeout_seconds: float | None = None) -> list[Any]:  # type: ignore[override]
        self.sent += [str(command[0]) for command in commands]
        return super().pipeline(commands, timeout_seconds=timeout_seconds)


def test_where_nothing_has_changed_nothing_is_written(assistant: Assistant) -> None:
    begin(assistant)
    noted = Noted(assistant.redis.url)
    RolloutSteps(noted, MASTER).work()
    noted.close()
    assert not {"HSET", "HDEL", "MULTI"} & set(noted.sent)


def test_what_redis_refuses_to_write_is_told(assistant: Assistant) -> None:
    assistant.redis.call("DEL", keys.profile("i-1"))
    assistant.redis.call("SET", keys.profile("i-1"), "x")
    with pytest.raises(RedisRefused, match="WRONGTYPE"):
        begin(assistant, instance_ids=("i-1",))
