"""Who listens hears what is announced, whatever becomes of the connection and of others who listen beside him."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from cloud_assistant.broker_config.clock import monotonic_seconds
from cloud_assistant.broker_config.dispatch import Dispatched
from cloud_assistant.broker_config.errors import RedisNotTrusted, RedisUnreachable, Refused
from cloud_assistant.broker_config.functions.executions import LivePiece, append_output
from cloud_assistant.broker_config.ledger import load_invocation
from cloud_assistant.broker_config.redis import client as redis_client
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.settings_table import Settings
from cloud_assistant.producer import Assistant
from cloud_assistant.producer.fleet.targets import Targets
from cloud_assistant.producer.following.announcements import Announcement, Announcements, Box
from cloud_assistant.producer.following.recent_invocations import RecentInvocations
from cloud_assistant.producer.following.waiting import Ended, Output
from harness.certificates import Authority
from harness.eventually import eventually
from harness.redis_server import RedisServer
from harness.tcp_proxy import TcpProxy
from harness.tls_terminator import TlsTerminator

from .conftest import AgentStandIn

ON_1 = Targets(instance_ids=["i-1"])
#: Well below the interval of the looks that would find what no announcement told.
SOON_SECONDS = 1.5


@pytest.fixture
def other(redis_server: RedisServer) -> Iterator[Assistant]:
    """The one of another process."""
    with Assistant(settings=Settings(redis_url=redis_server.url())) as made:
        yield made


def test_a_subscription_that_broke_as_another_wait_ended_fails_no_later_one(
    assistant: Assistant, other: Assistant, agent: AgentStandIn
) -> None:
    foreign = other.run_command("true", ON_1).invoke_id
    heard, own = (assistant.run_command("true", ON_1).invoke_id for _ in range(2))
    for invoke_id in (heard, own, foreign):
        agent.run(invoke_id, "i-1")
    assistant.wait(heard, timeout_seconds=10)
    own_later = assistant.run_command("true", ON_1).invoke_id
    assert assistant.redis.call("CLIENT", "KILL", "TYPE", "pubsub") == 1
    # It is found by the first look, and nobody reads: that the connection is gone is noticed as its channel is left.
    assert assistant.wait(foreign, timeout_seconds=10).status.state == "Success"
    agent.run(own_later, "i-1")
    began = monotonic_seconds()
    for invoke_id in (own_later, own):
        assert assistant.wait(invoke_id, timeout_seconds=10).status.state == "Success"
    assert monotonic_seconds() - began < SOON_SECONDS


def test_who_begins_to_listen_beside_others_takes_nothing_from_them(
    assistant: Assistant, other: Assistant, agent: AgentStandIn
) -> None:
    foreign = other.run_command("true", ON_1).invoke_id
    events = assistant.follow(foreign, timeout_seconds=20, live=False)
    next(events)
    for _ in range(2):
        assistant.listen_soon(live=False)
    own = assistant.run_command("true", ON_1).invoke_id
    for invoke_id in (foreign, own):
        agent.run(invoke_id, "i-1")
    began = monotonic_seconds()
    assert any(isinstance(event, Ended) for event in events)
    assert assistant.wait(own, timeout_seconds=10).status.state == "Success"
    assert monotonic_seconds() - began < SOON_SECONDS


def publish(redis: Redis, channel: str, *messages: str) -> None:
    for one in messages:
        redis.call("PUBLISH", channel, one)


def shown(agent: AgentStandIn, invoke_id: str, data: bytes) -> None:
    piece = LivePiece(offset_bytes=0, skipped_bytes=0, streams="", data=data, keep_count=9, ttl_ms=60_000)
    assert append_output(agent.redis, "i-1", f"{invoke_id}.0@i-1", piece)


def test_a_line_that_went_silent_is_noticed_and_nobody_stays_deaf(
    redis_server: RedisServer, agent: AgentStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_client, "_SILENT_SECONDS", 0.2)
    monkeypatch.setattr(redis_client, "_LATE_SECONDS", 0.2)
    with TcpProxy(redis_server.port) as line, Assistant(f"redis://127.0.0.1:{line.port}/0") as assistant:
        invoke_id = assistant.run_command("make", ON_1).invoke_id
        agent.claim(invoke_id, "i-1")
        events = assistant.follow(invoke_id, timeout_seconds=20)
        shown(agent, invoke_id, b"begun\n")
        assert next(event.data for event in events if isinstance(event, Output)) == b"begun\n"
        # A firewall has forgotten the connection: no byte comes through it any more, nor its end.
        line.half_open(serve_new_connections=True)
        assistant.redis.close()
        shown(agent, invoke_id, b"a question for whoever looks on\n")
        assert next(event.data for event in events if isinstance(event, Output)) == b"a question for whoever looks on\n"
        agent.finish(invoke_id, "i-1")
        began = monotonic_seconds()
        assert [type(event) for event in events] == [Ended]
        assert monotonic_seconds() - began < SOON_SECONDS


def test_a_line_on_which_nothing_is_said_is_asked_and_kept(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_client, "_SILENT_SECONDS", 0.5)
    monkeypatch.setattr(redis_client, "_LATE_SECONDS", 0.3)
    with TcpProxy(redis_server.port) as line:
        redis, distant = Redis(redis_server.url()), Redis(f"redis://127.0.0.1:{line.port}/0")
        listening = distant.subscribe("channel")
        redis.call("CONFIG", "RESETSTAT")
        for _ in range(30):
            publish(redis, "channel", "word")
            assert listening.next(5) == ("channel", b"word")
            assert listening.next(0.02) is None
        assert b"cmdstat_ping" not in redis.call("INFO", "commandstats"), "as long as something is said nobody asks"
        for _ in range(30):
            assert listening.next(0.04) is None
        line.half_open()

        def is_given_up() -> bool:
            try:
                return listening.next(0.02) is not None
            except RedisUnreachable:
                return True

        eventually(is_given_up, what="that it is dead is noticed")
        listening.close()
        redis.close()


def test_what_somebody_read_who_was_interrupted_is_not_lost_to_others(
    assistant: Assistant, agent: AgentStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = assistant.run_command("true", ON_1).invoke_id
    agent.run(first, "i-1")
    assistant.wait(first, timeout_seconds=10)
    second, third = (assistant.run_command("true", ON_1).invoke_id for _ in range(2))
    put = Box.put

    def interrupted(box: Box, one: Announcement) -> None:
        monkeypatch.setattr(Box, "put", put)
        raise KeyboardInterrupt

    monkeypatch.setattr(Box, "put", interrupted)
    agent.run(second, "i-1")
    with pytest.raises(KeyboardInterrupt):
        assistant.wait(third, timeout_seconds=10)
    began = monotonic_seconds()
    assert assistant.wait(second, timeout_seconds=10).status.state == "Success"
    assert monotonic_seconds() - began < SOON_SECONDS


@pytest.fixture
def announcements(assistant: Assistant) -> Iterator[Announcements]:
    made = Announcements(assistant.redis)
    yield made
    made.close()


def test_each_announcement_comes_once_and_output_only_to_who_wants_it(
    assistant: Assistant, announcements: Announcements
) -> None:
    own = announcements.own_channel
    with announcements.listen("t-1", own, wants_output=False) as quiet:
        expected = announcements.expect("t-2")
        assert expected is not None
        with announcements.listen("t-2", own, expected=expected), announcements.listen("t-1", own) as live:
            publish(assistant.redis, own, "end t-2.0@i-1 Failed", "output t-1.0@i-1", "end t-1.0@i-1 Success")
            heard = {box.invoke_id: announcements.next(box, 5, 9) for box in (live, expected)}
            while len(heard["t-1"]) < 2:
                heard["t-1"] += announcements.next(live, 5, 9)
            assert [one.kind for one in heard["t-1"]] == ["output", "end"]
            assert [one.execution_id for one in announcements.next(quiet, 5, 9)] == ["t-1.0@i-1"]
            assert [one.execution_id for one in heard["t-2"]] == ["t-2.0@i-1"]


def test_all_that_is_there_is_read_at_once(assistant: Assistant, announcements: Announcements) -> None:
    with announcements.listen("t-1", announcements.own_channel) as box:
        publish(assistant.redis, announcements.own_channel, *(f"end t-1.0@i-{number} Success" for number in range(5)))
        assert len(announcements.next(box, 5, 9)) > 1


def test_who_has_left_gets_nothing_more_and_his_channel_is_left(
    assistant: Assistant, announcements: Announcements
) -> None:
    with announcements.listen("t-1", "channel") as first, announcements.listen("t-1", "channel"):
        pass
    with announcements.listen("t-1", announcements.own_channel) as second:
        eventually(lambda: assistant.redis.call("PUBSUB", "NUMSUB", "channel")[1] == 0, what="nobody listens there")
        publish(assistant.redis, announcements.own_channel, "end t-1.0@i-1 Success")
        assert [one.kind for one in announcements.next(second, 5)] == ["end"]
        assert list(first.messages) == []
    with announcements.listen("t-1", "channel") as again:
        publish(assistant.redis, "channel", "end t-1.0@i-1 Success")
        assert [one.kind for one in announcements.next(again, 5)] == ["end"]


def test_who_waits_beside_the_one_that_reads_is_told_at_once(assistant: Assistant, agent: AgentStandIn) -> None:
    invoked = [assistant.run_command("true", ON_1).invoke_id for _ in range(2)]
    reads, waits = (assistant.follow(one, timeout_seconds=20, live=False) for one in invoked)
    for events in (reads, waits):
        next(events)
    reader = threading.Thread(target=list, args=(reads,))
    reader.start()
    took: list[float] = []

    def wait() -> None:
        assert any(isinstance(event, Ended) for event in waits)
        took.append(monotonic_seconds())

    waiter = threading.Thread(target=wait)
    waiter.start()
    began = monotonic_seconds()
    agent.run(invoked[1], "i-1")
    waiter.join()
    assert took[0] - began < SOON_SECONDS
    agent.run(invoked[0], "i-1")
    reader.join()


def test_who_began_while_redis_was_away_is_not_passed_over_by_one_who_begins_later(
    redis_server: RedisServer, assistant: Assistant, announcements: Announcements
) -> None:
    redis_server.kill()
    with announcements.listen("t-1", "channel") as box:
        redis_server.start()
        announcements.listen_soon(wants_output=False)
        announcements.expect("t-2")
        publish(assistant.redis, "channel", "end t-1.0@i-1 Success")
        assert announcements.next(box, 5)
        eventually(lambda: assistant.redis.call("PUBLISH", "channel", "end t-1.0@i-2 Success"), what="it is heard")


@pytest.mark.parametrize("how", ["heard", "refused", "partly refused", "forgotten"])
def test_who_has_left_keeps_nobody_from_beginning(
    assistant: Assistant, other: Assistant, announcements: Announcements, how: str
) -> None:
    recent = RecentInvocations(assistant.redis, announcements)
    stored = load_invocation(assistant.redis, other.run_command("true", ON_1).invoke_id)

    def dispatch() -> Dispatched:
        if how == "refused":
            raise Refused("no")
        return Dispatched(int(how == "forgotten"), 1)

    with announcements.listen("t-1", announcements.own_channel):
        if how != "heard":
            with suppress(Refused):
                recent.make(stored, ["i-1"], dispatch)
    recent.forget(stored.record.invoke_id)
    # Now nobody listens.
    announcements.close()
    announcements.listen_soon(wants_output=False)
    assert announcements.expect("t-2") is not None


def test_what_is_announced_elsewhere_than_its_invocation_says_is_passed_over(
    assistant: Assistant, announcements: Announcements
) -> None:
    """Each target of an invocation may announce on its channel what it likes, of other invocations too."""
    with announcements.listen("t-1", "channel") as other, announcements.listen("t-2", announcements.own_channel) as own:
        publish(assistant.redis, "channel", "end t-2.0@i-1 Success", "end t-1.0@i-1 Success")
        assert [one.execution_id for one in announcements.next(other, 5, 9)] == ["t-1.0@i-1"]
        assert list(own.messages) == []


def test_a_server_that_is_not_trusted_any_more_is_told_and_not_waited_for(
    redis_server: RedisServer, tmp_path: Path, agent: AgentStandIn
) -> None:
    trusted, stranger = (Authority(tmp_path / name) for name in ("ca", "another"))
    with (
        TlsTerminator(redis_server.port, trusted.issue("server", "127.0.0.1")) as door,
        Assistant(f"rediss://127.0.0.1:{door.port}/0?ca={trusted.ca}") as assistant,
    ):
        invoke_id = assistant.run_command("true", ON_1).invoke_id
        agent.claim(invoke_id, "i-1")
        events = assistant.follow(invoke_id, timeout_seconds=20, live=False)
        next(events)
        door.renew(stranger.issue("server", "127.0.0.1"))
        assert agent.redis.call("CLIENT", "KILL", "TYPE", "pubsub") == 1
        assistant.redis.close()
        began = monotonic_seconds()
        with pytest.raises(RedisNotTrusted):
            list(events)
        assert monotonic_seconds() - began < SOON_SECONDS


class InterruptedLock:
    """A lock; who leaves it while ``is_due`` is interrupted, once, as by Ctrl-C."""

    def __init__(self, lock: threading.RLock, is_due: Callable[[], bool]) -> None:
        self._lock, self._is_due = lock, is_due
        self.has_interrupted = False

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()
        if self._is_due() and not self.has_interrupted:
            self.has_interrupted = True
            raise KeyboardInterrupt


def test_who_was_interrupted_as_he_began_to_connect_keeps_nobody_from_listening(
    assistant: Assistant, announcements: Announcements, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = InterruptedLock(announcements._lock, lambda: announcements._reading)
    with monkeypatch.context() as patched:
        patched.setattr(announcements, "_lock", lock)
        with pytest.raises(KeyboardInterrupt), announcements.listen("t-1", announcements.own_channel):
            pass
        assert lock.has_interrupted
    with announcements.listen("t-2", announcements.own_channel) as box:
        publish(assistant.redis, announcements.own_channel, "end t-2.0@i-1 Success")
        assert [one.kind for one in announcements.next(box, 5)] == ["end"]


def test_who_was_interrupted_as_he_began_to_read_keeps_nobody_from_reading(
    assistant: Assistant, announcements: Announcements, monkeypatch: pytest.MonkeyPatch
) -> None:
    with announcements.listen("t-1", announcements.own_channel) as box:
        lock = InterruptedLock(announcements._lock, lambda: announcements._reading)
        monkeypatch.setattr(announcements, "_lock", lock)
        with pytest.raises(KeyboardInterrupt):
            announcements.next(box, 5)
        publish(assistant.redis, announcements.own_channel, "end t-1.0@i-1 Success")
        heard = announcements.next(box, 1) + announcements.next(box, 1)
        assert {one.kind for one in heard} <= {"end", "missed"}
        assert heard


@pytest.fixture
def line(redis_server: RedisServer) -> Iterator[TcpProxy]:
    with TcpProxy(redis_server.port) as made:
        yield made


@pytest.fixture
def distant(line: TcpProxy) -> Iterator[Announcements]:
    """Those of a process that reaches Redis over a line."""
    redis = Redis(f"redis://127.0.0.1:{line.port}/0", connect_timeout_seconds=3.0)
    made = Announcements(redis)
    yield made
    made.close()
    redis.close()


def test_who_connects_anew_holds_up_nobody_who_wants_to_wait_no_longer(line: TcpProxy, distant: Announcements) -> None:
    took: list[float] = []

    def wait(box: Box) -> None:
        began = monotonic_seconds()
        with suppress(RedisUnreachable):
            distant.next(box, 0.2)
        took.append(monotonic_seconds() - began)

    with ExitStack() as listening:
        boxes = [listening.enter_context(distant.listen(f"t-{number}", distant.own_channel)) for number in range(3)]
        line.half_open()
        distant.close()
        threads = [threading.Thread(target=wait, args=(box,)) for box in boxes]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    # One of them has tried it, for all.
    *others, tried = sorted(took)
    assert max(others) < SOON_SECONDS < tried


def test_who_joins_while_another_connects_is_heard_and_told(
    line: TcpProxy, distant: Announcements, assistant: Assistant
) -> None:
    with distant.listen("t-1", distant.own_channel) as first:
        line.half_open()
        distant.close()
        connecting = threading.Thread(target=distant.next, args=(first, 5))
        count = line.connection_count
        connecting.start()
        eventually(lambda: line.connection_count > count, what="it connects")
        began = monotonic_seconds()
        with distant.listen("t-2", "channel") as second:
            assert monotonic_seconds() - began < SOON_SECONDS
            line.heal()
            assert [one.kind for one in distant.next(second, 5)] == ["missed"]
            publish(assistant.redis, "channel", "end t-2.0@i-1 Success")
            assert [one.kind for one in distant.next(second, 5)] == ["end"]
        connecting.join()
