"""Waiting for what this process has made: what it costs, and that nothing is lost where no look is taken."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.clock import monotonic_seconds
from cloud_assistant.broker_config.errors import NotFound, RedisUnreachable, WaitTimedOut
from cloud_assistant.broker_config.functions.executions import LivePiece, append_output
from cloud_assistant.broker_config.functions.function_library import TEXT_VERSION
from cloud_assistant.broker_config.ids import execution_id
from cloud_assistant.broker_config.ledger import load_invocation
from cloud_assistant.broker_config.redis.connection import Command
from cloud_assistant.broker_config.settings_table import LimitSettings, Settings
from cloud_assistant.producer import Assistant, RunOptions
from cloud_assistant.producer.fleet.targets import Targets
from cloud_assistant.producer.following import waiting
from cloud_assistant.producer.following.announcements import MISSED, Announcements
from cloud_assistant.producer.following.waiting import Ended, Event, Output, Progress
from harness.eventually import eventually
from harness.redis_server import RedisServer

from .conftest import AgentStandIn

ON_1 = Targets(instance_ids=["i-1"])
ON_ALL = Targets(everything=True)
#: Well below the interval of the looks that would find what no announcement told.
SOON_SECONDS = 1.5


@pytest.fixture
def exchanges(assistant: Assistant, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Command]]:
    """Each round trip of the assistant, as it is made; its subscription is there already."""
    made: list[Sequence[Command]] = []
    pipeline = assistant.redis.pipeline

    def counted(commands: Sequence[Command], **named: float | None) -> list[object]:
        made.append(commands)
        return pipeline(commands, **named)

    invoked = assistant.run_command("echo 123", ON_1)
    AgentStandIn(assistant.redis).run(invoked.invoke_id, "i-1")
    assistant.wait(invoked.invoke_id, timeout_seconds=10)
    monkeypatch.setattr(assistant.redis, "pipeline", counted)
    return made


def wait_soon(assistant: Assistant, invoke_id: str) -> str:
    """Wait for an invocation that has ended, and see that no look after seconds was needed."""
    began = monotonic_seconds()
    state = assistant.wait(invoke_id, timeout_seconds=10).status.state
    assert monotonic_seconds() - began < SOON_SECONDS
    return state


def test_a_request_and_its_wait_take_two_round_trips(
    assistant: Assistant, agent: AgentStandIn, exchanges: list[Sequence[Command]]
) -> None:
    invoked = assistant.run_command("echo 123", ON_1)
    assert [command[1] for command in exchanges[0]] == [
        f"ca_create_invocation_{TEXT_VERSION}",
        f"ca_create_executions_{TEXT_VERSION}",
    ]
    agent.run(invoked.invoke_id, "i-1")
    exchanges[1:] = []
    assert wait_soon(assistant, invoked.invoke_id) == "Success"
    [_, ending] = exchanges
    assert [command[0] for command in ending] == ["HGETALL", "TIME", "FCALL"]
    assert load_invocation(assistant.redis, invoked.invoke_id).settled == {"Success": 1}
    assert assistant.redis.call("ZSCORE", keys.INVOCATIONS_OPEN, invoked.invoke_id) is None


def test_ends_heard_while_waiting_for_another_invocation_are_kept_for_their_own_wait(
    assistant: Assistant, agent: AgentStandIn, exchanges: list[Sequence[Command]]
) -> None:
    invoked = [assistant.run_command("echo 123", ON_ALL).invoke_id for _ in range(3)]
    for invoke_id in reversed(invoked):
        agent.run(invoke_id, "i-1", "i-2", "i-3")
    exchanges.clear()
    assert [wait_soon(assistant, invoke_id) for invoke_id in invoked] == ["Success"] * 3
    asked = {command[1] for commands in exchanges for command in commands if command[0] == "FCALL"}
    assert asked == {f"ca_settle_invocation_{TEXT_VERSION}"}
    assert all(load_invocation(assistant.redis, one).settled == {"Success": 3} for one in invoked)


@pytest.mark.usefixtures("exchanges")
def test_what_ended_while_the_subscription_was_gone_is_found_at_once(assistant: Assistant, agent: AgentStandIn) -> None:
    invoked = [assistant.run_command("echo 123", ON_1).invoke_id for _ in range(3)]
    agent.run(invoked[0], "i-1")
    assert assistant.redis.call("CLIENT", "KILL", "TYPE", "pubsub") == 1
    agent.run(invoked[1], "i-1")
    # The first wait finds the subscription gone, and what it finds in the ledger is not told to the second.
    for invoke_id in invoked[:2]:
        assert wait_soon(assistant, invoke_id) == "Success"
    agent.run(invoked[2], "i-1")
    assert wait_soon(assistant, invoked[2]) == "Success"


def test_a_subscription_that_broke_between_waits_fails_no_later_one(
    redis_server: RedisServer, assistant: Assistant, agent: AgentStandIn
) -> None:
    with Assistant(settings=Settings(redis_url=redis_server.url())) as other:
        invoked = [other.run_command("echo 123", ON_1).invoke_id for _ in range(5)]
    for invoke_id in invoked[:4]:
        agent.run(invoke_id, "i-1")
    assert wait_soon(assistant, invoked[0]) == "Success"
    assert assistant.redis.call("CLIENT", "KILL", "TYPE", "pubsub") == 1
    # Those that have ended are found so by the first look: nobody reads what would tell of the end of the connection.
    assert [wait_soon(assistant, invoke_id) for invoke_id in invoked[1:4]] == ["Success"] * 3
    # Of the one that has not, its end is heard.
    events = assistant.follow(invoked[4], timeout_seconds=20, live=False)
    next(events)
    agent.run(invoked[4], "i-1")
    began = monotonic_seconds()
    assert any(isinstance(event, Ended) for event in events)
    assert monotonic_seconds() - began < SOON_SECONDS


def test_output_that_came_while_the_subscription_was_gone_is_shown_at_once(
    assistant: Assistant, agent: AgentStandIn
) -> None:
    invoke_id = assistant.run_command("make", ON_1).invoke_id
    agent.claim(invoke_id, "i-1")
    events = assistant.follow(invoke_id, timeout_seconds=20)

    def shown(data: bytes) -> bool:
        piece = LivePiece(
            offset_bytes=0, skipped_bytes=0, streams=f"1:{len(data)}", data=data, keep_count=9, ttl_ms=60_000
        )
        assert append_output(assistant.redis, "i-1", f"{invoke_id}.0@i-1", piece)
        began = monotonic_seconds()
        event = next(one for one in events if isinstance(one, Output))
        return event.data == data and monotonic_seconds() - began < SOON_SECONDS

    assert shown(b"begun\n")
    assert assistant.redis.call("CLIENT", "KILL", "TYPE", "pubsub") == 1
    # Nothing more is announced of it: the script is silent from now on.
    assert shown(b"a question for whoever looks on\n")


def test_a_target_that_was_refused_at_once_is_waited_for_like_any_other(
    redis_server: RedisServer, assistant: Assistant, agent: AgentStandIn
) -> None:
    settings = Settings(redis_url=redis_server.url(), limits=LimitSettings(queue_count=1))
    with Assistant(settings=settings) as narrow:
        first = narrow.run_command("echo 123", ON_1).invoke_id
        agent.run(first, "i-1")
        assert wait_soon(narrow, first) == "Success"
        # Its message is still in the queue: nobody has taken it out.
        full = narrow.run_command("echo 123", ON_1).invoke_id
        assert wait_soon(narrow, full) == "Failed"
        assert narrow.wait(full, timeout_seconds=10).results[0].outcome.error_code == "TaskConcurrencyLimit"


@pytest.mark.usefixtures("exchanges")
def test_an_end_that_may_still_be_replaced_is_not_taken_for_the_last_word(
    assistant: Assistant, agent: AgentStandIn
) -> None:
    invoke_id = assistant.run_command("echo 123", ON_ALL).invoke_id
    agent.run(invoke_id, "i-1", "i-2")
    agent.claim(invoke_id, "i-3")
    agent.lose(invoke_id, "i-3")
    assert wait_soon(assistant, invoke_id) == "PartialFailed"
    assert load_invocation(assistant.redis, invoke_id).settled is None
    assert assistant.redis.call("ZSCORE", keys.INVOCATIONS_OPEN, invoke_id) is None


def test_what_is_overdue_is_found_behind_however_many_that_go_on(
    assistant: Assistant, agent: AgentStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_ROWS_COUNT", 1)
    monkeypatch.setattr(waiting, "_LOOK_SECONDS", 0.05)
    invoke_id = assistant.run_command("sleep 99", ON_ALL).invoke_id
    for instance_id in ("i-1", "i-2", "i-3"):
        agent.claim(invoke_id, instance_id)
    events = assistant.follow(invoke_id, timeout_seconds=10, live=False)
    for instance_id in ("i-3", "i-1", "i-2"):
        assistant.redis.call("HSET", keys.execution(instance_id, f"{invoke_id}.0@{instance_id}"), "deadline_ms", 1)
        row = next(event.row for event in events if isinstance(event, Ended))
        assert (row.instance_id, row.outcome.error_code) == (instance_id, "ClientNotResponse")


@pytest.mark.usefixtures("exchanges")
def test_no_roll_up_is_stored_before_the_last_target_has_ended(assistant: Assistant, agent: AgentStandIn) -> None:
    invoke_id = assistant.run_command("echo 123", ON_ALL).invoke_id
    events = assistant.follow(invoke_id, timeout_seconds=20, live=False)
    # What is there already is told first: from now on the announcement alone says of the end.
    next(events)
    rows = []
    for number, instance_id in enumerate(("i-2", "i-1", "i-3"), 1):
        agent.run(invoke_id, instance_id)
        rows.append(next(event.row for event in events if isinstance(event, Ended)))
        settled = load_invocation(assistant.redis, invoke_id).settled
        assert settled == ({"Success": 3} if number == 3 else None)
    assert [row.instance_id for row in rows] == ["i-2", "i-1", "i-3"]


@pytest.mark.usefixtures("exchanges")
def test_an_announcement_that_says_another_state_than_the_row_decides_nothing(
    assistant: Assistant, agent: AgentStandIn
) -> None:
    invoke_id = assistant.run_command("echo 123", ON_1).invoke_id
    agent.claim(invoke_id, "i-1")
    execution = f"{invoke_id}.0@i-1"
    assistant.redis.call("HSET", keys.execution("i-1", execution), "state", "Failed")
    channel = load_invocation(assistant.redis, invoke_id).record.done_channel
    assistant.redis.call("PUBLISH", channel, f"end {execution} Success")
    assert wait_soon(assistant, invoke_id) == "Failed"
    assert load_invocation(assistant.redis, invoke_id).settled == {"Failed": 1}


@pytest.mark.usefixtures("exchanges")
def test_a_second_wait_for_the_same_invocation_answers_too(assistant: Assistant, agent: AgentStandIn) -> None:
    invoke_id = assistant.run_command("echo 123", ON_1).invoke_id
    agent.run(invoke_id, "i-1")
    assert [wait_soon(assistant, invoke_id) for _ in range(2)] == ["Success"] * 2


def test_what_is_announced_to_nobody_is_not_kept_without_bound(redis_server: RedisServer, assistant: Assistant) -> None:
    announcements = Announcements(assistant.redis)
    assert announcements.expect("t-unheard00") is None
    with announcements.listen("t-heard0000", announcements.own_channel) as box:
        expected = announcements.expect("t-unheard00")
        assert expected is not None
        for number in range(600):
            for name in ("output", "state"):
                message = f"{name} t-unheard00.0@i-{number} Running"
                assistant.redis.call("PUBLISH", announcements.own_channel, message)
        assistant.redis.call("PUBLISH", announcements.own_channel, "end t-heard0000.0@i-1 Success")
        heard = eventually(lambda: announcements.next(box, 1.0), within_seconds=10)
        assert [one.kind for one in heard] == ["end"]
        assert expected.messages[0] is MISSED
        assert len(expected.messages) < 600
        announcements.leave(expected)
    announcements.close()


def test_an_announcement_longer_than_any_is_not_kept(assistant: Assistant) -> None:
    """Every target of an invocation knows its channel: thousands of these would fill the memory of who waits."""
    announcements = Announcements(assistant.redis)
    with announcements.listen("t-heard0000", announcements.own_channel) as box:
        for words in (f"end t-heard0000.{'0' * 1_000_000}@i-1 Success", f"state t-heard0000.0@i-1 {'x' * 1_000_000}"):
            assistant.redis.call("PUBLISH", announcements.own_channel, words)
        assistant.redis.call("PUBLISH", announcements.own_channel, "end t-heard0000.0@i-1 Success")
        heard = eventually(lambda: announcements.next(box, 1.0, 9), within_seconds=10)
        assert [(one.kind, one.execution_id) for one in heard] == [("end", "t-heard0000.0@i-1")]
    announcements.close()


@pytest.mark.parametrize("is_remembered", [True, False], ids=["of this process", "of another"])
def test_an_invocation_that_redis_has_lost_is_waited_for_as_long_as_a_result_may_come_and_no_longer(
    assistant: Assistant, agent: AgentStandIn, monkeypatch: pytest.MonkeyPatch, is_remembered: bool
) -> None:
    monkeypatch.setattr(waiting, "_LOOK_SECONDS", 0.05)
    with Assistant(settings=assistant.settings) as other:
        maker = assistant if is_remembered else other
        found, lost = (maker.run_command("true", ON_1, RunOptions(timeout_seconds=10)).invoke_id for _ in range(2))
        events = [assistant.follow(one, timeout_seconds=20, live=False) for one in (found, lost)]
        for one in events:
            next(one)
        assistant.redis.call("FLUSHALL")
        # An agent that had begun brings its result all the same.
        agent.finish(found, "i-1")
        assert [type(one) for one in events[0]] == [Ended]
        monkeypatch.setattr(waiting, "_LATE_SECONDS", -9.5)
        with pytest.raises(NotFound, match=f"{lost} is gone from Redis"):
            list(events[1])


def test_what_was_gone_for_a_moment_and_came_back_is_waited_for_anew(
    assistant: Assistant, agent: AgentStandIn, exchanges: list[Sequence[Command]], monkeypatch: pytest.MonkeyPatch
) -> None:
    later = [0.0]
    monkeypatch.setattr(waiting, "_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(waiting, "monotonic_seconds", lambda: monotonic_seconds() + later[0])
    invoke_id = assistant.run_command("true", ON_1).invoke_id
    agent.claim(invoke_id, "i-1")
    names = keys.invocation(invoke_id), keys.execution("i-1", execution_id(invoke_id, 0, "i-1"))

    def is_missed() -> bool:
        return any(command[0] == "EXISTS" for commands in list(exchanges) for command in commands)

    with ThreadPoolExecutor(1) as threads:
        waited = threads.submit(assistant.wait, invoke_id)
        for _ in range(2):
            exchanges.clear()
            for name in names:
                agent.redis.call("RENAME", name, f"{name}:aside")
            eventually(lambda: is_missed() or waited.done(), what="it is missed")
            for name in names:
                agent.redis.call("RENAME", f"{name}:aside", name)
            exchanges.clear()
            eventually(lambda: len(exchanges) > 4 or waited.done(), what="it is found again")
            later[0] += 1000
        agent.finish(invoke_id, "i-1")
        assert waited.result(20).status.state == "Success"


def test_a_wait_ends_with_its_time_also_where_redis_is_away(
    redis_server: RedisServer, assistant: Assistant, agent: AgentStandIn
) -> None:
    invoke_id = assistant.run_command("true", ON_1).invoke_id
    agent.claim(invoke_id, "i-1")
    began = monotonic_seconds()
    with pytest.raises(WaitTimedOut):
        assistant.wait(invoke_id, timeout_seconds=0.1)
    assert monotonic_seconds() - began < SOON_SECONDS
    events = assistant.follow(invoke_id, timeout_seconds=1, live=False)
    next(events)
    redis_server.kill()
    with pytest.raises(RedisUnreachable):
        list(events)


def test_the_ledger_is_looked_at_now_and_then_and_no_more_often(
    assistant: Assistant, agent: AgentStandIn, exchanges: list[Sequence[Command]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "_LOOK_SECONDS", 0.2)
    invoke_id = assistant.run_command("true", ON_1).invoke_id
    agent.claim(invoke_id, "i-1")
    exchanges.clear()
    shown: list[Event] = []
    with pytest.raises(WaitTimedOut, match=f"1 of 1 targets of {invoke_id}"):
        shown.extend(assistant.follow(invoke_id, timeout_seconds=1, live=False))
    assert shown == [Progress("i-1", "Pending"), Progress("i-1", "Running")], "each state once"
    asked = [command[0] for commands in exchanges for command in commands]
    assert 1 <= asked.count("FCALL") <= 5
    assert set(asked) == {"FCALL", "HGETALL", "TIME"}


def test_a_state_that_is_announced_is_shown_at_once(assistant: Assistant, agent: AgentStandIn) -> None:
    invoke_id = assistant.run_command("true", ON_ALL).invoke_id
    agent.claim(invoke_id, "i-1")
    agent.run(invoke_id, "i-2")
    events = assistant.follow(invoke_id, timeout_seconds=20, live=False)
    assert [next(events), next(events)] == [Progress("i-1", "Running"), Progress("i-3", "Pending")]
    assert isinstance(next(events), Ended)
    assistant.stop_invocation(invoke_id, ["i-1"])
    began = monotonic_seconds()
    assert next(events) == Progress("i-1", "Stopping")
    assert monotonic_seconds() - began < SOON_SECONDS
