"""A roll-out reaches few instances at once, stops when too many fail, and takes back what has not begun."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cloud_assistant.beat.rollout_steps import RolloutSteps, chosen_of
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.errors import RedisUnreachable, Refused
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.redis.connection import Command
from cloud_assistant.broker_config.releases.publisher_signing import AGENT_NAME
from cloud_assistant.broker_config.releases.rollouts import Member, Rollout, Wish, load_rollouts, save_rollout
from cloud_assistant.broker_config.releases.upgrade_order import PROFILE_FIELD, read_order, read_signed
from cloud_assistant.broker_config.security.signing import MasterKeys, new_master_keys
from cloud_assistant.broker_config.settings_table import Settings
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.agent_versions import AgentVersions
from harness.redis_server import RedisServer

MASTER = new_master_keys()
COUNT = 20
INSTANCE_IDS = [f"i-{number}" for number in range(COUNT)]


@pytest.fixture
def assistant(redis_server: RedisServer, tmp_path: Path) -> Iterator[Assistant]:
    with Assistant(settings=Settings(redis_url=redis_server.url(), home=str(tmp_path))) as made:
        for number in range(COUNT):
            made.add_instance(f"i-{number}")
            report(made, f"i-{number}", agent_version="1.0", os_type="Linux", arch="x86_64")
        yield made


def report(assistant: Assistant, instance_id: str, **fields: str | int) -> None:
    """What the agent of an instance would say."""
    pairs = [part for pair in fields.items() for part in pair]
    assistant.redis.call("HSET", keys.info(instance_id), *pairs)


def begin(assistant: Assistant, **changes: object) -> RolloutSteps:
    given = {"rollout_id": "t-1", "created_ms": 1, "version": "2.0", "url": "http://gateway"}
    rollout = Rollout(**{**given, "signatures": {"linux/x86_64": AGENT_NAME}, **changes})  # type: ignore[arg-type]
    save_rollout(assistant.redis, rollout, MASTER)
    steps = RolloutSteps(assistant.redis, MASTER)
    steps.work()
    return steps


def orders(assistant: Assistant) -> dict[str, int]:
    """Instances with an order, and its serial."""
    found = {}
    for number in range(COUNT):
        raw = assistant.redis.call("HGET", keys.profile(f"i-{number}"), PROFILE_FIELD)
        if raw:
            signed = read_signed(raw)
            order = read_order(signed)
            assert order.instance_id == f"i-{number}"
            assert MASTER.sign(order.instance_id, signed.message).decode() == signed.signature
            found[order.instance_id] = order.serial
    return found


def answer(assistant: Assistant, instance_id: str, serial: int, stage: str) -> None:
    version = "2.0" if stage == "Succeeded" else "1.0"
    report(assistant, instance_id, agent_version=version, upgrade_serial=serial, upgrade_stage=stage)


@pytest.mark.parametrize("failure", ["Failed", "Refused", "Lost"])
def test_a_bad_version_reaches_no_more_than_the_first_few(
    assistant: Assistant, failure: str, caplog: pytest.LogCaptureFixture
) -> None:
    steps = begin(assistant)
    reached = orders(assistant)
    assert len(reached) == 2
    for instance_id, serial in reached.items():
        answer(assistant, instance_id, serial, failure)
    steps.work()
    steps.work()
    (progress,) = load_rollouts(assistant.redis, MASTER).usable
    assert progress.state == "Stopped"
    assert sum("stopped: 2 of 20" in line for line in caplog.messages) == 1, "it is said once"
    assert orders(assistant) == {}
    assert set(progress.members) == set(reached)


def test_a_good_version_reaches_everybody_in_its_turn(assistant: Assistant) -> None:
    steps = begin(assistant)
    rounds_count = 0
    while (reached := orders(assistant)) and rounds_count < COUNT:
        rounds_count += 1
        for instance_id, serial in reached.items():
            answer(assistant, instance_id, serial, "Succeeded")
        steps.work()
    assert rounds_count == 10
    assert load_rollouts(assistant.redis, MASTER).usable[0].state == "Finished"


def test_a_share_is_widened_without_changing_who_had_it(assistant: Assistant) -> None:
    begin(assistant, share_percent=10.0, at_once_count=COUNT)
    first = set(orders(assistant))
    begin(assistant, share_percent=50.0, at_once_count=COUNT)
    second = set(orders(assistant))
    assert (len(first), len(second)) == (2, 10)
    assert first < second


def test_a_pause_takes_back_what_has_not_begun(assistant: Assistant) -> None:
    steps = begin(assistant, at_once_count=3)
    first, *_ = given = orders(assistant)
    answer(assistant, first, given[first], "Probation")
    steps.work()
    begin(assistant, at_once_count=3, wish=Wish.PAUSE)
    assert set(orders(assistant)) == {first}


def test_machines_that_are_away_or_of_another_kind_do_not_hold_it_up(assistant: Assistant) -> None:
    for number in range(10):
        assistant.redis.call("DEL", keys.info(f"i-{number}"))
    for number in range(10, 15):
        report(assistant, f"i-{number}", arch="riscv64")
    begin(assistant, at_once_count=COUNT, failures_percent=100.0)
    assert set(orders(assistant)) == {f"i-{number}" for number in range(15, 20)}


def let_pass(assistant: Assistant, instance_id: str, seconds: float) -> None:
    """Let what is written of an instance have happened so much earlier."""
    name = keys.rollout_members("t-1")
    member = msgspec.json.decode(assistant.redis.call("HGET", name, instance_id), type=Member)
    earlier = {"changed_ms": member.changed_ms, "away_ms": member.away_ms}
    earlier = {field: int(at - seconds * 1000) for field, at in earlier.items() if at}
    fresh = msgspec.json.encode(msgspec.structs.replace(member, **earlier))
    assistant.redis.call("HSET", name, instance_id, fresh)


@pytest.mark.parametrize("stage", ["", "Waiting", "Downloading"])
def test_machines_that_go_before_they_begin_neither_hold_it_up_nor_count_as_failed(
    assistant: Assistant, stage: str
) -> None:
    steps = begin(assistant)
    first = orders(assistant)
    for instance_id, serial in first.items():
        if stage:
            answer(assistant, instance_id, serial, stage)
    steps.work()
    for instance_id in first:
        # The window is the next night's; then the machine is switched off.
        let_pass(assistant, instance_id, 7200)
        assistant.redis.call("DEL", keys.info(instance_id))
    steps.work()
    assert set(orders(assistant)) == set(first)
    for instance_id in first:
        let_pass(assistant, instance_id, 781)
    steps.work()
    second = orders(assistant)
    assert len(second) == 2
    assert not set(second) & set(first)
    assert load_rollouts(assistant.redis, MASTER).usable[0].state == "Running"
    for instance_id, serial in second.items():
        answer(assistant, instance_id, serial, "Succeeded")
    for instance_id in first:
        report(assistant, instance_id, agent_version="1.0", os_type="Linux", arch="x86_64")
    begin(assistant, at_once_count=COUNT)
    assert set(first) <= set(orders(assistant))


def test_one_that_goes_during_its_trial_is_lost_when_it_stays_away(assistant: Assistant) -> None:
    steps = begin(assistant, failures_percent=100.0)
    instance_id, serial = next(iter(orders(assistant).items()))
    answer(assistant, instance_id, serial, "Probation")
    steps.work()
    let_pass(assistant, instance_id, 7200)
    assistant.redis.call("DEL", keys.info(instance_id))
    steps.work()
    assert load_rollouts(assistant.redis, MASTER).usable[0].members[instance_id].stage == "Probation"
    let_pass(assistant, instance_id, 781)
    steps.work()
    assert load_rollouts(assistant.redis, MASTER).usable[0].members[instance_id].stage == "Lost"


def test_an_agent_that_never_takes_its_order_does_not_hold_it_up(assistant: Assistant) -> None:
    steps = begin(assistant, failures_percent=100.0)
    silent, back = orders(assistant)
    assistant.redis.call("DEL", keys.info(back))
    steps.work()
    let_pass(assistant, silent, 781)
    let_pass(assistant, back, 781)
    # One that was away has its time from now on.
    report(assistant, back, agent_version="1.0", os_type="Linux", arch="x86_64")
    steps.work()
    members = load_rollouts(assistant.redis, MASTER).usable[0].members
    assert (members[silent].stage, members[back].stage) == ("Refused", "Ordered")
    assert silent not in orders(assistant)
    assert len(orders(assistant)) == 2
    steps.work()
    assert load_rollouts(assistant.redis, MASTER).usable[0].members[back].stage == "Ordered"


def test_who_can_only_write_to_redis_starts_no_roll_out(assistant: Assistant) -> None:
    rollout = Rollout(rollout_id="t-2", created_ms=1, version="2.0", url="http://x", signatures={"linux/x86_64": "x"})
    forger = MasterKeys("k1", {"k1": b"\0" * 32})
    save_rollout(assistant.redis, rollout, forger)
    RolloutSteps(assistant.redis, MASTER).work()
    assert orders(assistant) == {}
    usable, [unusable] = load_rollouts(assistant.redis, MASTER)
    assert (usable, unusable.version, unusable.why.code) == ([], "2.0", "SealBroken")
    assert msgspec.json.decode(assistant.redis.call("HGET", keys.ROLLOUTS, "t-2"))["seal"]


@pytest.mark.parametrize("made_by", [None, MasterKeys("k1", {"k1": b"\0" * 32})], ids=["nobody", "another"])
def test_what_is_not_sealed_with_the_master_key_can_be_cancelled(
    assistant: Assistant, made_by: MasterKeys | None
) -> None:
    for number, version in enumerate(("2.0", "3.0", "2.0", "4.0"), 1):
        rollout = Rollout(rollout_id=f"t-{number}", created_ms=number, version=version, url="http://x", signatures={})
        save_rollout(assistant.redis, rollout, MASTER if version == "3.0" else made_by)
    versions = AgentVersions(assistant.redis, assistant.settings, MASTER, assistant.auditing)
    for wish in (Wish.PAUSE, Wish.RUN):
        with pytest.raises(Refused, match=r"version [24]\.0 in Redis was not written by"):
            versions.change("2.0", wish)
    assert versions.change("2.0", Wish.CANCEL).state == "Cancelled"
    assert versions.change("4.0", Wish.CANCEL).state == "Cancelled"
    assert [(one.rollout.version, one.state) for one in versions.all()] == [
        ("4.0", "Cancelled"),
        ("2.0", "Cancelled"),
        ("3.0", "Running"),
        ("2.0", "Cancelled"),
    ]


def test_a_forged_one_is_not_cancelled_in_place_of_the_true_one(assistant: Assistant) -> None:
    begin(assistant)
    forged = Rollout(rollout_id="t-2", created_ms=2**50, version="2.0", url="http://x", signatures={})
    save_rollout(assistant.redis, forged, None)
    versions = AgentVersions(assistant.redis, assistant.settings, MASTER, assistant.auditing)
    assert versions.change("2.0", Wish.CANCEL).rollout.rollout_id == "t-2"
    assert {one.state for one in versions.all()} == {"Cancelled"}


class CutOff(Redis):
    """A connection of a beat that is killed when so many commands of those that give orders have reached Redis."""

    arrives_count = 0

    def pipeline(self, commands: Sequence[Command], *, timeout_seconds: float | None = None) -> list[Any]:
        if not any(PROFILE_FIELD in command for command in commands):
            return super().pipeline(commands, timeout_seconds=timeout_seconds)
        super().pipeline(commands[: self.arrives_count])
        self.close()
        raise RedisUnreachable("killed")


@pytest.mark.parametrize("arrives_count", range(1, 7))
def test_an_order_that_a_beat_gave_as_it_died_is_taken_back_like_any_other(
    assistant: Assistant, arrives_count: int
) -> None:
    rollout = Rollout(rollout_id="t-1", created_ms=1, version="2.0", url="http://x", signatures={"linux/x86_64": "x"})
    save_rollout(assistant.redis, rollout, MASTER)
    dying = CutOff(assistant.redis.url)
    dying.arrives_count = arrives_count
    with pytest.raises(RedisUnreachable):
        RolloutSteps(dying, MASTER).work()
    members = load_rollouts(assistant.redis, MASTER).usable[0].members
    assert {one: member.serial for one, member in members.items()} == orders(assistant)
    assert len(members) == (2 if arrives_count == 6 else 0)
    save_rollout(assistant.redis, msgspec.structs.replace(rollout, wish=Wish.CANCEL), MASTER)
    RolloutSteps(assistant.redis, MASTER).work()
    assert orders(assistant) == {}


def test_one_that_stopped_by_itself_goes_on_with_the_failures_so_far_forgiven(assistant: Assistant) -> None:
    steps = begin(assistant)
    versions = AgentVersions(assistant.redis, assistant.settings, MASTER, assistant.auditing)
    for stopped_count in (1, 2):
        for instance_id, serial in orders(assistant).items():
            answer(assistant, instance_id, serial, "Failed")
        steps.work()
        assert versions.find().halted
        resumed = versions.change("2.0", Wish.RUN)
        assert (resumed.state, resumed.rollout.forgiven_count) == ("Running", 2 * stopped_count)
        steps.work()
        assert (versions.find().state, len(orders(assistant))) == ("Running", 2)
    # One failure more is not too many.
    instance_id, serial = next(iter(orders(assistant).items()))
    answer(assistant, instance_id, serial, "Failed")
    steps.work()
    assert versions.find().state == "Running"
    # What has ended stays as it ended, whatever is made of the machine afterwards.
    answer(assistant, instance_id, serial, "Succeeded")
    steps.work()
    assert versions.find().members[instance_id].stage == "Failed"
    paused = versions.change("2.0", Wish.PAUSE)
    assert (paused.state, paused.rollout.forgiven_count) == ("Paused", 4)


def test_a_share_that_is_through_is_not_the_end(assistant: Assistant) -> None:
    steps = begin(assistant, share_percent=10.0)
    while reached := orders(assistant):
        for instance_id, serial in reached.items():
            answer(assistant, instance_id, serial, "Succeeded")
        steps.work()
    (progress,) = load_rollouts(assistant.redis, MASTER).usable
    assert (progress.state, progress.count("Succeeded")) == ("Running", 2)
    begin(assistant)
    assert orders(assistant)


def test_it_is_for_those_named_or_with_all_tags_alone_and_waits_for_them(assistant: Assistant) -> None:
    tags: dict[str, str | None] = {"env": "test", "team": None}
    steps = begin(assistant, tags=tags, at_once_count=COUNT)
    assert load_rollouts(assistant.redis, MASTER).usable[0].state == "Running"
    assistant.modify_instance("i-1", tags={"env": "test", "team": "a"})
    assistant.modify_instance("i-2", tags={"env": "test"})
    assistant.modify_instance("i-3", tags={"env": "live", "team": "a"})
    steps.work()
    assert set(orders(assistant)) == {"i-1"}
    begin(assistant, instance_ids=("i-4", "i-5"), at_once_count=COUNT)
    assert set(orders(assistant)) == {"i-1", "i-4", "i-5"}


def test_who_runs_the_version_already_gets_no_order(assistant: Assistant) -> None:
    report(assistant, "i-1", agent_version="2.0")
    begin(assistant, at_once_count=COUNT)
    assert set(orders(assistant)) == {f"i-{number}" for number in range(COUNT)} - {"i-1"}
    member = load_rollouts(assistant.redis, MASTER).usable[0].members["i-1"]
    assert (member.stage, member.reason) == ("Succeeded", "ran it already")


def test_an_order_may_wait_for_its_window_for_a_week(assistant: Assistant) -> None:
    begin(assistant)
    instance_id, serial = next(iter(orders(assistant).items()))
    order = read_order(read_signed(assistant.redis.call("HGET", keys.profile(instance_id), PROFILE_FIELD)))
    assert (order.serial, order.expires_ms - serial) == (serial, 7 * 24 * 3600 * 1000)


def test_whose_order_cannot_be_signed_keeps_no_place_from_others(
    assistant: Assistant, caplog: pytest.LogCaptureFixture
) -> None:
    first = chosen_of(Rollout(rollout_id="t-1", created_ms=1, version="", url="", signatures={}), INSTANCE_IDS)[:3]
    for one in first:
        assistant.redis.call("HSET", keys.KEY_IDS, one, "k9")
    steps = begin(assistant)
    steps.work()
    assert (len(orders(assistant)), set(orders(assistant)) & set(first)) == (2, set())
    said = [line for line in caplog.messages if line.startswith("no order for ")]
    assert len(said) == len(set(said)) == 3, "once for each"
    assistant.redis.call("HDEL", keys.KEY_IDS, first[0])
    for instance_id, serial in orders(assistant).items():
        answer(assistant, instance_id, serial, "Succeeded")
    steps.work()
    assert first[0] in orders(assistant), "as soon as it can be signed"
    assert [line for line in caplog.messages if line.startswith("no order for ")] == said
    # And anew when that is over.
    assistant.redis.call("HSET", keys.KEY_IDS, first[0], "k9")
    steps.work()
    assert first[0] not in orders(assistant), "nor does it keep one that it cannot take"
    assert sum(line.startswith(f"no order for {first[0]}:") for line in caplog.messages) == 2


def test_who_downloads_for_more_than_a_day_is_given_up(assistant: Assistant) -> None:
    steps = begin(assistant, failures_percent=100.0)
    (slow, serial), (away, _) = given = list(orders(assistant).items())
    for instance_id, its_serial in given:
        answer(assistant, instance_id, its_serial, "Downloading")
    steps.work()
    for hours, word in ((23, "Downloading"), (25, "Refused")):
        set_back(assistant, slow, hours)
        steps.work()
        member = load_rollouts(assistant.redis, MASTER).usable[0].members[slow]
        assert (member.stage, member.serial) == (word, serial)
    assert member.reason == "it was still downloading after a day"
    assert slow not in orders(assistant)
    assert len(orders(assistant)) == 2, "another one has its place"
    # Away all night, it has its time anew.
    set_back(assistant, away, 25, away_ms=1)
    steps.work()
    assert load_rollouts(assistant.redis, MASTER).usable[0].members[away].stage == "Downloading"


def set_back(assistant: Assistant, instance_id: str, hours: int, **changes: int) -> None:
    """Have an instance be in its stage for so long."""
    member = load_rollouts(assistant.redis, MASTER).usable[0].members[instance_id]
    changed = msgspec.structs.replace(member, changed_ms=now_ms() - hours * 3_600_000, **changes)
    assistant.redis.call("HSET", keys.rollout_members("t-1"), instance_id, msgspec.json.encode(changed))
