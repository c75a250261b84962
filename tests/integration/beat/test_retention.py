"""Nothing is kept for ever: after retention the key space is what it was before."""

from dataclasses import replace

import pytest
from integration.beat.conftest import Timing

from cloud_assistant.beat import removal, retention
from cloud_assistant.beat.removal import remove_executions, remove_invocation
from cloud_assistant.beat.retention import Retention
from cloud_assistant.beat.sweeper import Sweeper, trim_queues
from cloud_assistant.beat.unfinished import Unfinished
from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.executions import Claimed, LivePiece, append_output
from cloud_assistant.broker_config.ledger import StoredInvocation, load_invocations
from cloud_assistant.broker_config.records import RepeatMode
from cloud_assistant.broker_config.settings_table import LimitSettings
from cloud_assistant.producer import Assistant, RunOptions, Targets
from cloud_assistant.producer.file_delivery import FileRequest
from cloud_assistant.producer.invocations.describing import InvocationFilter
from cloud_assistant.producer.invocations.describing_results import ResultFilter
from cloud_assistant.producer.timed.modifying import TimedModification
from harness.eventually import eventually

KEEP_NOTHING = replace(LimitSettings(), history_days=0.0)


def key_space(timing: Timing) -> set[str]:
    """Every key but those that go by themselves within seconds: whose turn it is."""
    found = {one.decode() for one in timing.redis.call("KEYS", "*")}
    return {one for one in found if not one.startswith(keys.beat_turn(""))}


def used(assistant: Assistant, timing: Timing) -> str:
    """An invocation that ran on i-1 with live output, was refused on i-2, and is over."""
    invoke_id = assistant.run_command(
        "true", Targets(instance_ids=["i-1", "i-2"]), RunOptions(deliver_within_seconds=1, tags={"team": "ops"})
    ).invoke_id
    timing.claim(invoke_id, 0)
    execution = f"{invoke_id}.0@i-1"
    piece = LivePiece(offset_bytes=0, skipped_bytes=0, streams="", data=b"123", keep_count=10, ttl_ms=60_000)
    append_output(timing.redis, "i-1", execution, piece)
    timing.finish(invoke_id, 0)
    timing.assistant.stop_invocation(invoke_id)
    return invoke_id


def settle_all(timing: Timing) -> None:
    Sweeper(timing.redis).work()
    Unfinished(timing.redis, None, 100).work()


def test_a_finished_invocation_leaves_nothing_behind(timing: Timing) -> None:
    before = key_space(timing)
    used(timing.assistant, timing)
    settle_all(timing)
    Retention(timing.redis, KEEP_NOTHING).work()
    assert key_space(timing) == before
    # The messages that nobody took went with it.
    assert timing.redis.call("EXISTS", keys.queue("i-2")) == 0


def test_a_timed_invocation_that_is_over_leaves_nothing_behind(timing: Timing) -> None:
    before = key_space(timing)
    beat = timing.start_beat(CLOUD_ASSISTANT_BEAT_SWEEP_SECONDS="0.2")
    invoke_id = timing.invoke("i-1", "i-2", jitter_seconds=0.5, overlap="queue")
    timing.wait_for_firings(invoke_id, 3)
    timing.assistant.stop_invocation(invoke_id, ["i-1"])
    timing.assistant.stop_invocation(invoke_id)
    eventually(lambda: timing.redis.call("HGET", keys.invocation(invoke_id), "finished_ms"), what="it is settled")
    beat.stop()
    Retention(timing.redis, KEEP_NOTHING).work()
    assert key_space(timing) == before


def test_a_boot_bound_invocation_that_is_over_leaves_nothing_behind(timing: Timing) -> None:
    timing.redis.call("HSET", keys.info("i-1"), "boot_id", "b")
    before = key_space(timing)
    invoke_id = timing.invoke("i-1", "i-2", frequency="", repeat_mode=RepeatMode.EVERY_REBOOT)
    timing.assistant.stop_invocation(invoke_id)
    settle_all(timing)
    Retention(timing.redis, KEEP_NOTHING).work()
    assert key_space(timing) == before


def test_a_timed_invocation_that_was_changed_leaves_nothing_behind(timing: Timing) -> None:
    before = key_space(timing)
    invoke_id = timing.invoke(frequency="0 0 0 1 1 *")
    for script in (b"echo 1", b"echo 2"):
        timing.assistant.timed.modify(invoke_id, TimedModification(content=script))
    timing.assistant.stop_invocation(invoke_id)
    settle_all(timing)
    Retention(timing.redis, KEEP_NOTHING).work()
    # Old work orders go by themselves, a day after they could last be needed.
    left = [one for one in key_space(timing) - before if timing.redis.call("PTTL", one) < 0]
    assert left == []


def test_what_a_deleted_command_ran_is_found_until_retention_takes_it(timing: Timing) -> None:
    before = key_space(timing)
    assistant = timing.assistant
    command_id = assistant.create_command(name="n", type="RunShellScript", content="true")
    invoke_id = assistant.invoke_command(command_id, Targets(instance_ids=["i-1"])).invoke_id
    timing.claim(invoke_id, 0)
    timing.finish(invoke_id, 0)
    assistant.delete_command(command_id)

    def found() -> list[str]:
        invocations = assistant.describe_invocations(InvocationFilter(command_id=command_id)).items
        results = assistant.describe_invocation_results(ResultFilter(command_id=command_id)).items
        return [*(one.stored.record.invoke_id for one in invocations), *(one.row.invoke_id for one in results)]

    assert found() == [invoke_id, invoke_id]
    Retention(timing.redis, KEEP_NOTHING).work()
    assert found() == []
    assert key_space(timing) == before


def test_what_is_unfinished_or_goes_on_is_kept_however_old(timing: Timing) -> None:
    once = timing.assistant.run_command("true", Targets(instance_ids=["i-1"])).invoke_id
    timed = timing.invoke(frequency="0 0 0 1 1 *")
    before = key_space(timing)
    Retention(timing.redis, KEEP_NOTHING).work()
    assert key_space(timing) == before
    assert timing.state(once, 0) == "Pending"
    assert timing.timed(timed).status == "active"


def test_a_history_within_its_days_is_kept(timing: Timing) -> None:
    invoke_id = used(timing.assistant, timing)
    settle_all(timing)
    Retention(timing.redis, LimitSettings()).work()
    assert timing.state(invoke_id, 0) == "Success"


def test_of_too_many_the_oldest_finished_go_first(timing: Timing) -> None:
    made = [used(timing.assistant, timing) for _ in range(4)]
    unfinished = timing.assistant.run_command("true", Targets(instance_ids=["i-1"])).invoke_id
    settle_all(timing)
    Retention(timing.redis, replace(LimitSettings(), history_count=3)).work()
    kept = [one.decode() for one in timing.redis.call("ZRANGE", keys.INVOCATIONS, 0, -1)]
    assert kept == [*made[2:], unfinished]


def test_firings_of_a_schedule_that_goes_on_are_limited(timing: Timing) -> None:
    beat = timing.start_beat()
    invoke_id = timing.invoke()
    timing.wait_for_firings(invoke_id, 3)
    timing.assistant.timed.pause(invoke_id)
    beat.stop()
    rows = timing.firings(invoke_id)
    limits = replace(LimitSettings(), history_count=20)
    for number in range(20):
        due_ms = rows[0].due_ms - (number + 1) * 1000
        timing.redis.pipeline_or_raise(
            [
                ("HSET", keys.firing(invoke_id, due_ms), "status", "skipped", "due_ms", due_ms, "count", 1),
                ("ZADD", keys.firings(invoke_id), due_ms, due_ms),
            ]
        )
    Retention(timing.redis, limits).work()
    left = timing.firings(invoke_id)
    assert len(left) == timing.redis.call("ZCARD", keys.firings(invoke_id)) == 10
    assert left[-1].due_ms == rows[-1].due_ms
    assert len([one for one in key_space(timing) if one.startswith(keys.firing(invoke_id, 1)[:-1])]) == 10


def test_what_waits_for_an_instance_that_is_away_is_kept_however_long_ago_it_was_due(timing: Timing) -> None:
    beat = timing.start_beat()
    invoke_id = timing.invoke(frequency="0 0 0 1 1 *")
    timing.set_back(invoke_id, timing.server_ms() - 1000)
    (firing,) = timing.wait_for_firings(invoke_id, 1)
    beat.stop()

    Retention(timing.redis, KEEP_NOTHING).work()
    assert timing.state(invoke_id, firing) == "Pending"
    assert isinstance(timing.claim(invoke_id, firing), Claimed)
    timing.finish(invoke_id, firing)

    # The next year.
    timing.redis.call("HSET", keys.firing(invoke_id, firing.due_ms), "deadline_ms", timing.server_ms() - 600_000)
    Retention(timing.redis, KEEP_NOTHING).work()
    assert timing.firings(invoke_id) == []
    assert timing.state(invoke_id, firing) == ""


def test_a_history_entry_whose_row_went_by_itself_goes_too(timing: Timing) -> None:
    timing.redis.call("ZADD", keys.instance_history("i-1"), 1, "t-00000000gone.0@i-1")
    Retention(timing.redis, LimitSettings()).work()
    assert timing.redis.call("EXISTS", keys.instance_history("i-1")) == 0


def test_a_removal_that_is_cut_off_is_finished_by_the_next(timing: Timing) -> None:
    before = key_space(timing)
    invoke_id = used(timing.assistant, timing)
    settle_all(timing)
    # As if a beat had died after the rows and before the rest.
    remove_executions(timing.redis, invoke_id, 0, ["i-1", "i-2"])
    trim_queues(timing.redis, ["i-1", "i-2"])
    timing.redis.call("DEL", keys.invocation_targets(invoke_id))
    Retention(timing.redis, KEEP_NOTHING).work()
    assert key_space(timing) == before


@pytest.mark.parametrize("index", [keys.INVOCATIONS, keys.FILES])
def test_an_entry_whose_invocation_is_gone_goes_too(timing: Timing, index: str) -> None:
    """As if a beat had died before the very last step of a removal."""
    timing.redis.call("ZADD", index, 1, "t-00000000gone")
    Retention(timing.redis, LimitSettings()).work()
    assert timing.redis.call("EXISTS", index) == 0


def test_a_file_that_was_sent_leaves_nothing_behind(timing: Timing) -> None:
    before = key_space(timing)
    request = FileRequest(name="motd", target_directory="/tmp", content=b"123")
    invoke_id = timing.assistant.send_file(request, Targets(instance_ids=["i-1", "i-2"])).invoke_id
    timing.claim(invoke_id, 0)
    timing.finish(invoke_id, 0)
    timing.assistant.stop_invocation(invoke_id)
    settle_all(timing)
    Retention(timing.redis, KEEP_NOTHING).work()
    assert key_space(timing) == before


@pytest.fixture
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two entries of an index in one go."""
    monkeypatch.setattr(retention, "_BATCH_COUNT", 2)


def run_on_i_1(timing: Timing) -> str:
    return timing.assistant.run_command("true", Targets(instance_ids=["i-1"])).invoke_id


def end(timing: Timing, *invoke_ids: str) -> None:
    for one in invoke_ids:
        timing.claim(one, 0)
        timing.finish(one, 0)
    settle_all(timing)


def kept(timing: Timing) -> list[str]:
    return [one.decode() for one in timing.redis.call("ZRANGE", keys.INVOCATIONS, 0, -1)]


@pytest.mark.usefixtures("small_steps")
def test_no_more_are_removed_than_are_too_many(timing: Timing) -> None:
    made = [run_on_i_1(timing) for _ in range(5)]
    end(timing, *made)
    Retention(timing.redis, replace(LimitSettings(), history_count=3)).work()
    assert kept(timing) == made[2:]


@pytest.mark.usefixtures("small_steps")
def test_what_is_unfinished_does_not_make_newer_ones_too_many(timing: Timing) -> None:
    made = [run_on_i_1(timing) for _ in range(6)]
    end(timing, *made[2:])
    Retention(timing.redis, replace(LimitSettings(), history_count=3)).work()
    assert kept(timing) == [*made[:2], *made[3:]]


@pytest.mark.usefixtures("small_steps")
def test_all_that_is_old_goes_in_one_turn_where_there_is_time(timing: Timing) -> None:
    end(timing, *(run_on_i_1(timing) for _ in range(5)))
    Retention(timing.redis, KEEP_NOTHING).work()
    assert kept(timing) == []


@pytest.fixture(params=["as many as a turn looks at", "no time is left"])
def short_turn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A turn ends long before it has looked at everything; answers what ends it."""
    why: str = request.param
    if why == "no time is left":
        monkeypatch.setattr(retention, "_TURN_SECONDS", -1.0)
    else:
        monkeypatch.setattr(retention, "_LOOKED_AT_PER_TURN", 2)
    return why


@pytest.mark.usefixtures("small_steps")
def test_a_turn_that_ends_early_is_gone_on_with_by_the_next(timing: Timing, short_turn: str) -> None:
    made = [run_on_i_1(timing) for _ in range(6)]
    end(timing, *made[2:])
    retiring = Retention(timing.redis, KEEP_NOTHING)
    left = []
    for _ in range(3):
        retiring.work()
        left.append(len(kept(timing)))
    assert (left[0], left[-1]) == (6, 2) if short_turn == "as many as a turn looks at" else left == [6, 5, 4]
    # At the end of the index it begins anew.
    end(timing, *made[:2])
    for _ in range(10):
        retiring.work()
    assert kept(timing) == []


def put_firing(timing: Timing, invoke_id: str, due_ms: int, **fields: str | int) -> None:
    pairs = [part for pair in {"status": "fired", "due_ms": due_ms, "count": 1, **fields}.items() for part in pair]
    timing.redis.pipeline_or_raise(
        [
            ("HSET", keys.firing(invoke_id, due_ms), *pairs),
            ("ZADD", keys.firings(invoke_id), due_ms, due_ms),
        ]
    )


def test_a_firing_that_may_still_run_is_kept_for_its_timeout_and_the_way_of_its_result(timing: Timing) -> None:
    invoke_id = timing.invoke(frequency="0 0 0 1 1 *", timeout_seconds=100)
    now_ms = timing.server_ms()
    for due_ms, ago_seconds in ((1, 390), (2, 410)):
        put_firing(timing, invoke_id, due_ms, deadline_ms=now_ms - ago_seconds * 1000)
    Retention(timing.redis, KEEP_NOTHING).work()
    assert [one.due_ms for one in timing.firings(invoke_id)] == [1]


def test_a_firing_whose_dispatch_goes_on_is_kept_until_a_beat_has_ended_it(timing: Timing) -> None:
    """Without it nobody could: the schedule would have it open for good."""
    invoke_id = timing.invoke(frequency="0 0 0 1 1 *")
    for due_ms in (1, 2):
        put_firing(timing, invoke_id, due_ms, status="dispatching", next_place=1, target_count=2, deadline_ms=3)
        timing.redis.call("ZADD", keys.TIMED_DISPATCHING, 1, f"{invoke_id} {due_ms}")
    timing.redis.call("HSET", keys.timed(invoke_id), "open_due_ms", 2)
    Retention(timing.redis, KEEP_NOTHING).work()
    assert [one.due_ms for one in timing.firings(invoke_id)] == [2]
    assert timing.redis.call("ZRANGE", keys.TIMED_DISPATCHING, 0, -1) == [f"{invoke_id} 2".encode()]


def test_more_firings_than_go_at_once_go_with_their_invocation(timing: Timing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "_FIRINGS_COUNT", 1)
    before = key_space(timing)
    invoke_id = timing.invoke(frequency="0 0 0 1 1 *")
    for due_ms in (1, 2, 3):
        put_firing(timing, invoke_id, due_ms, deadline_ms=1)
    timing.assistant.stop_invocation(invoke_id)
    settle_all(timing)
    [stored] = load_invocations(timing.redis, [invoke_id])
    assert isinstance(stored, StoredInvocation)
    remove_invocation(timing.redis, invoke_id, stored)
    assert key_space(timing) == before


def firings_left(timing: Timing, invoke_ids: list[str]) -> list[int]:
    return [timing.redis.call("ZCARD", keys.firings(one)) for one in invoke_ids]


@pytest.mark.usefixtures("small_steps", "short_turn")
def test_schedules_that_a_turn_has_no_time_for_are_looked_at_by_the_next(timing: Timing) -> None:
    for _ in range(5):
        timing.invoke(frequency="0 0 0 1 1 *")
    made = [one.decode() for one in timing.redis.call("ZRANGE", keys.INVOCATIONS_TIMED, 0, -1)]
    retiring = Retention(timing.redis, KEEP_NOTHING)
    left = []
    for _ in range(4):
        for one in made:
            put_firing(timing, one, 1, deadline_ms=1)
        retiring.work()
        left.append(firings_left(timing, made))
    assert left == [[0, 0, 1, 1, 1], [1, 1, 0, 0, 1], [1, 1, 1, 1, 0], [0, 0, 1, 1, 1]]


def test_a_timed_invocation_that_goes_on_is_kept_whatever_is_said_of_its_end(timing: Timing) -> None:
    """As where a release that could not read its schedule counted it as over, and this one can."""
    invoke_id = timing.invoke(frequency="0 0 0 1 1 *")
    timing.redis.call("HSET", keys.invocation(invoke_id), "finished_ms", 1)
    Retention(timing.redis, KEEP_NOTHING).work()
    assert kept(timing) == [invoke_id]


def test_no_index_names_what_was_removed(timing: Timing) -> None:
    before = key_space(timing)
    invoke_id = run_on_i_1(timing)
    end(timing, invoke_id)
    for index in (keys.TIMED_DUE, keys.TIMED_BOOT, keys.INVOCATIONS_OPEN, keys.INVOCATIONS_TIMED):
        timing.redis.call("ZADD", index, 1, invoke_id)
    [stored] = load_invocations(timing.redis, [invoke_id])
    assert isinstance(stored, StoredInvocation)
    timing.redis.call("ZADD", keys.open_executions("i-1"), 1, f"{invoke_id}.0@i-1")
    timing.redis.call("SADD", keys.command_open(stored.record.command.command_id), invoke_id)
    remove_invocation(timing.redis, invoke_id, stored)
    assert key_space(timing) == before
