"""The line on which an agent waits, against real servers that hand out, refuse, hang and vanish."""

import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from integration.queue.conftest import QUEUE, MakeLine, waiting_clients

from cloud_assistant.broker_config.errors import RedisRefused, RedisUnreachable
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.worker.queue.line import LATE_SECONDS, WAIT_SECONDS, QueueLine
from harness.certificates import Authority
from harness.eventually import eventually
from harness.redis_server import RedisServer
from harness.sentinel import SentinelGroup
from harness.tcp_proxy import TcpProxy
from harness.tls_terminator import TlsTerminator


def heard(line: QueueLine, within_seconds: float = 5) -> tuple[str, bytes] | None:
    """What the line says next, once something has come."""
    assert line.wait(within_seconds)
    return line.hear()


def test_a_message_is_heard_with_its_queue_and_taken_from_it(line: QueueLine, producer: Redis) -> None:
    producer.call("LPUSH", QUEUE, "first", b"\x00second\xff")
    line.open()
    for message in (b"first", b"\x00second\xff"):
        line.ask([QUEUE])
        assert heard(line) == (QUEUE, message)
    assert producer.call("LLEN", QUEUE) == 0


def test_one_answer_is_asked_for_at_a_time(line: QueueLine, producer: Redis) -> None:
    line.open()
    for _ in range(3):
        line.ask([QUEUE])
    producer.call("LPUSH", QUEUE, "one", "two")

    assert heard(line) == (QUEUE, b"one")
    assert not line.is_asked
    assert producer.call("LLEN", QUEUE) == 1


def test_hearing_does_not_wait(line: QueueLine) -> None:
    line.open()
    line.ask([QUEUE])
    assert line.hear() is None
    assert line.is_asked


def test_an_empty_answer_is_no_message_and_the_next_question_is_free(line: QueueLine, producer: Redis) -> None:
    line.open()
    line.ask([QUEUE])
    [client] = eventually(lambda: waiting_clients(producer), 5, "the line waits")
    producer.call("CLIENT", "UNBLOCK", client, "TIMEOUT")

    assert heard(line) is None
    assert (line.is_asked, line.has_answered) == (False, True)


def test_a_message_that_comes_in_pieces_is_heard_when_it_is_whole(
    make_line: MakeLine, redis_server: RedisServer, producer: Redis
) -> None:
    message = b"x" * 200_000
    with TcpProxy(redis_server.port) as proxy:
        line = make_line(f"redis://127.0.0.1:{proxy.port}/0")
        line.open()
        proxy.set_bandwidth(400_000)
        line.ask([QUEUE])
        producer.call("LPUSH", QUEUE, message)
        pieces = 0
        while (whole := heard(line)) is None:
            pieces += 1

    assert whole == (QUEUE, message)
    assert pieces > 0


def test_a_refusal_to_wait_says_what_is_missing(
    make_line: MakeLine, redis_server: RedisServer, producer: Redis
) -> None:
    producer.call("ACL", "SETUSER", "poor", "on", ">secret", "+client|setname", "~*")
    line = make_line(redis_server.url("poor", "secret"))
    line.open()
    line.ask([QUEUE])

    with pytest.raises(RedisRefused) as refused:
        heard(line)
    assert refused.value.kind == "NOPERM"
    assert not line.has_answered


def test_a_server_that_ends_is_noticed(line: QueueLine, redis_server: RedisServer) -> None:
    line.open()
    line.ask([QUEUE])
    redis_server.kill()
    with pytest.raises(RedisUnreachable):
        heard(line)
    with pytest.raises(RedisUnreachable, match=str(redis_server.port)):
        line.open()


def test_a_server_that_vanished_without_a_word_is_noticed_when_its_answer_is_overdue(
    make_line: MakeLine, redis_server: RedisServer
) -> None:
    now = [100.0]
    with TcpProxy(redis_server.port) as proxy:
        line = make_line(f"redis://127.0.0.1:{proxy.port}/0", now=lambda: now[0])
        line.open()
        line.ask([QUEUE])
        proxy.half_open()
        now[0] += WAIT_SECONDS + LATE_SECONDS - 1
        line.check()
        now[0] += 1
        with pytest.raises(RedisUnreachable, match="not answered"):
            line.check()


def test_an_answer_that_lies_here_is_not_overdue_however_long_we_slept(
    make_line: MakeLine, redis_server: RedisServer, producer: Redis
) -> None:
    now = [100.0]
    line = make_line(redis_server.url(), now=lambda: now[0])
    line.open()
    line.ask([QUEUE])
    producer.call("LPUSH", QUEUE, "one")
    assert line.wait(5)
    now[0] += 3600
    line.check()
    assert line.hear() == (QUEUE, b"one")
    now[0] += 3600
    line.check()


@pytest.mark.timeout(30)
def test_a_server_that_accepts_and_says_nothing_counts_as_away(line: QueueLine, redis_server: RedisServer) -> None:
    redis_server.hang()
    with pytest.raises(RedisUnreachable):
        line.open()
    redis_server.resume()
    line.open()


def test_breaking_the_line_leaves_what_comes_in_the_queue(line: QueueLine, producer: Redis) -> None:
    line.open()
    line.ask([QUEUE])
    eventually(lambda: waiting_clients(producer), 5, "the line waits")
    threading.Thread(target=line.cut).start()
    with pytest.raises(RedisUnreachable):
        heard(line)
    eventually(lambda: not waiting_clients(producer), 5, "Redis has noticed")
    producer.call("LPUSH", QUEUE, "kept")
    assert producer.call("LLEN", QUEUE) == 1

    line.open()
    line.ask([QUEUE])
    assert heard(line) == (QUEUE, b"kept")


def test_a_line_that_was_left_takes_nothing_even_when_it_is_opened_again(line: QueueLine, producer: Redis) -> None:
    line.open()
    line.leave()
    producer.call("LPUSH", QUEUE, "kept")
    line.open()
    with pytest.raises(RedisUnreachable):
        line.ask([QUEUE])
    assert producer.call("LLEN", QUEUE) == 1


def test_leaving_breaks_the_line_that_is_open(line: QueueLine, producer: Redis) -> None:
    line.open()
    line.ask([QUEUE])
    eventually(lambda: waiting_clients(producer), 5, "the line waits")
    line.leave()
    with pytest.raises(RedisUnreachable):
        heard(line)
    eventually(lambda: not waiting_clients(producer), 5, "Redis has noticed")


def test_a_line_that_is_opened_again_has_to_show_anew_that_it_serves(line: QueueLine, producer: Redis) -> None:
    producer.call("LPUSH", QUEUE, "one")
    line.open()
    line.ask([QUEUE])
    assert heard(line)
    assert line.has_answered
    line.open()
    assert not line.has_answered
    assert b" name=test " in producer.call("CLIENT", "LIST")


def test_a_line_that_is_not_open_says_so(line: QueueLine) -> None:
    line.cut()
    with pytest.raises(RedisUnreachable, match="not connected"):
        line.ask([QUEUE])


def test_a_line_goes_over_tls_and_shows_our_certificate(
    make_line: MakeLine, redis_server: RedisServer, producer: Redis, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca")
    own = authority.issue("client", "client")
    with ExitStack() as stack:
        door = stack.enter_context(
            TlsTerminator(redis_server.port, authority.issue("server", "127.0.0.1"), client_ca=authority.ca)
        )
        line = make_line(f"rediss://127.0.0.1:{door.port}/0?ca={authority.ca}&cert={own.cert}&key={own.key}")
        line.open()
        line.ask([QUEUE])
        assert line.hear() is None
        message = b"y" * 100_000
        producer.call("LPUSH", QUEUE, message)
        while (whole := heard(line)) is None:
            assert line.is_asked
        assert whole == (QUEUE, message)
        line.ask([QUEUE])
        line.cut()
        with pytest.raises(RedisUnreachable):
            heard(line)
        line.close()


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_line_follows_the_sentinels_to_the_new_master(make_line: MakeLine, tmp_path: Path) -> None:
    with SentinelGroup(tmp_path, password="secret") as group:
        line = make_line(group.url())
        line.open()
        line.ask([QUEUE])
        old = group.kill_master()
        with pytest.raises(RedisUnreachable):
            heard(line)
        new = group.wait_for_failover(old)
        line.open()
        line.ask([QUEUE])
        new.cli("LPUSH", QUEUE, "one")
        assert heard(line) == (QUEUE, b"one")
        line.close()
