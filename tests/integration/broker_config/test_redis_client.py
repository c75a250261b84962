"""The Redis client against a real server that is stopped, hung and restarted."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_assistant.broker_config.errors import RedisRefused, RedisUnreachable
from cloud_assistant.broker_config.functions.function_library import LIBRARY_NAME, fcall, run_all
from cloud_assistant.broker_config.redis.client import Redis
from harness.certificates import Authority
from harness.eventually import eventually
from harness.redis_server import RedisServer
from harness.tls_terminator import TlsTerminator


def test_bytes_come_back_as_they_went(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url())
    data = bytes(range(256)) * 1000
    redis.call("SET", "k", data)
    assert redis.call("GET", "k") == data
    redis.close()


def test_no_commands_ask_nothing() -> None:
    assert Redis("redis://127.0.0.1:1/0").pipeline_or_raise([]) == []


def test_an_error_of_the_server_names_its_kind(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url())
    redis.call("SET", "k", "v")
    with pytest.raises(RedisRefused) as caught:
        redis.call("LPUSH", "k", "v")
    assert caught.value.kind == "WRONGTYPE"
    redis.close()


def test_a_wrong_password_is_refused_and_not_retried_as_absence(redis_server: RedisServer) -> None:
    redis = Redis(f"redis://nobody:wrong@127.0.0.1:{redis_server.port}/0")
    with pytest.raises(RedisRefused) as caught:
        redis.call("PING")
    assert caught.value.kind == "WRONGPASS"


def test_no_server_is_said_at_once_with_the_address(redis_server: RedisServer) -> None:
    url = redis_server.url()
    redis_server.stop()
    began = time.monotonic()
    with pytest.raises(RedisUnreachable, match=str(redis_server.port)):
        Redis(url).call("PING")
    assert time.monotonic() - began < 2


def test_a_restarted_server_is_found_again_by_the_next_call(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url())
    redis.call("SET", "k", "v")
    redis_server.restart()

    def answers() -> bool:
        try:
            return bool(redis.call("GET", "k") == b"v")
        except RedisUnreachable:
            return False

    eventually(answers, 5, "the client talks to the restarted server")
    redis.close()


def test_a_hung_server_is_given_up_after_the_timeout(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url(), timeout_seconds=0.3)
    redis.call("PING")
    redis_server.hang()
    began = time.monotonic()
    with pytest.raises(RedisUnreachable):
        redis.call("PING")
    assert time.monotonic() - began < 2
    redis_server.resume()
    assert redis.call("PING") == b"PONG"
    redis.close()


def test_threads_share_a_client_and_each_gets_its_own_replies(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url())
    wrong: list[object] = []

    def work(number: int) -> None:
        for turn in range(200):
            text = f"{number}-{turn}".encode()
            if redis.call("ECHO", text) != text:
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    redis.close()


def test_a_subscription_hears_what_is_published_after_it_was_made(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url())
    listening = redis.subscribe("a")
    assert listening.next(0.01) is None
    redis.call("PUBLISH", "a", "1")
    assert listening.next(5) == ("a", b"1")
    listening.add("b")
    eventually(lambda: redis.call("PUBLISH", "b", "2"), 5, "the second channel is heard")
    assert listening.next(5) == ("b", b"2")
    listening.close()
    # By another thread, between two messages.
    with pytest.raises(RedisUnreachable):
        listening.next(5)
    redis.close()


def test_the_library_is_loaded_when_it_is_missing_and_survives_a_restart(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url())
    assert redis.call("FUNCTION", "LIST") == []
    command = fcall("ca_delete_command", ["a", "b", "c", "d"], ["c-1"])
    assert run_all(redis, [command]) == [b"unknown"]
    redis_server.kill()
    redis_server.start()

    def names() -> list[bytes]:
        try:
            return [library[1] for library in redis.call("FUNCTION", "LIST")]
        except RedisUnreachable:
            return []

    assert eventually(names, 5, "the library is there after a restart") == [LIBRARY_NAME.encode()]
    redis.close()


def test_as_many_connections_stay_open_as_a_program_has_threads(redis_server: RedisServer) -> None:
    for idle_count in (2, 12):
        redis = Redis(redis_server.url(), name=f"idle-{idle_count}", idle_count=idle_count)
        together = threading.Barrier(12)

        def call(client: Redis = redis, start: threading.Barrier = together) -> None:
            start.wait(10)
            client.call("BLPOP", "nothing", 0.2)

        threads = [threading.Thread(target=call) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        names = redis.call("CLIENT", "LIST").decode()
        assert names.count(f"name=idle-{idle_count} ") == idle_count
        redis.close()


def test_a_command_is_sent_while_the_one_before_is_at_work_and_replies_keep_their_order(
    redis_server: RedisServer,
) -> None:
    redis = Redis(redis_server.url())
    built: list[int] = []

    def commands() -> Iterator[tuple[str, str, str]]:
        for number in range(5):
            built.append(number)
            yield "APPEND", "k", "x" * (number + 1)

    answered = [(reply, len(built)) for reply in redis.run_ahead(commands())]
    assert answered == [(1, 2), (3, 3), (6, 4), (10, 5), (15, 5)]
    assert redis.call("STRLEN", "k") == 15
    redis.close()


def test_who_stops_asking_half_way_leaves_no_reply_for_the_next_caller(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url())
    replies = redis.run_ahead([("ECHO", "first"), ("ECHO", "second"), ("ECHO", "third")])
    assert next(replies) == b"first"
    replies.close()
    assert redis.call("ECHO", "mine") == b"mine"

    def breaks_off() -> Iterator[tuple[str, str]]:
        yield "ECHO", "first"
        raise KeyError("the second cannot be built")

    with pytest.raises(KeyError):
        list(redis.run_ahead(breaks_off()))
    assert redis.call("ECHO", "mine") == b"mine"
    redis.close()


def test_replies_of_what_was_begun_are_read_when_somebody_has_time(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url())
    assert redis.begin([("PING",)]) is None, "there is no connection yet, and none is made"
    redis.call("PING")

    begun = redis.begin([("SET", "k", "v"), ("GET", "k")])
    assert begun is not None
    eventually(lambda: redis_server.cli("GET", "k") == "v", 5, "it was sent before anybody read")
    assert redis.call("GET", "k") == b"v", "others use a connection of their own meanwhile"

    assert begun.replies() == [b"OK", b"v"]
    assert redis.call("PING") == b"PONG"
    redis.close()


def test_what_was_begun_ends_with_its_connection(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url())
    redis.call("PING")
    begun = redis.begin([("BLPOP", "nothing", "0")])
    assert begun is not None
    redis_server.kill()

    with pytest.raises(RedisUnreachable):
        begun.replies()
    redis_server.start()
    assert redis.call("PING") == b"PONG"
    redis.close()


def test_what_is_sent_off_is_done_and_its_reply_is_taken_for_nobody_elses(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url())
    connection = redis.call("CLIENT", "ID")
    for number in range(3):
        assert redis.send_off(("SET", "k", number))
    assert redis.call("GET", "k") == b"2"
    assert redis.send_off(("SET", "k", "again"))
    assert list(redis.run_ahead([("GET", "k"), ("ECHO", "mine")])) == [b"again", b"mine"]
    assert redis.send_off(("SET", "k", "more"))
    begun = redis.begin([("GET", "k")])
    assert begun is not None
    assert begun.replies() == [b"more"]
    assert redis.call("CLIENT", "ID") == connection, "a reply that is owed is not taken for staleness"
    redis.close()


def test_what_is_sent_off_through_tls_leaves_its_connection_as_it_was(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    authority = Authority(tmp_path / "ca")
    with TlsTerminator(redis_server.port, authority.issue("server", "127.0.0.1")) as door:
        redis = Redis(f"rediss://127.0.0.1:{door.port}/0?ca={authority.ca}")
        connection = redis.call("CLIENT", "ID")
        for number in range(20):
            assert redis.send_off(("SET", "k", number))
            if number % 2:
                assert redis.call("GET", "k") == str(number).encode()
        assert redis.call("CLIENT", "ID") == connection
        redis.close()


def test_nothing_is_sent_off_without_an_idle_connection(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url())
    assert not redis.send_off(("SET", "k", "v"))
    assert redis.call("EXISTS", "k") == 0
    redis.close()


@pytest.mark.parametrize("ending", ["the next call", "the end of the client"])
def test_an_error_among_the_replies_that_nobody_waits_for_is_told_to_the_log(
    redis_server: RedisServer, caplog: pytest.LogCaptureFixture, ending: str
) -> None:
    redis = Redis(redis_server.url())
    redis.call("SET", "k", "v")
    assert redis.send_off(("LPUSH", "k", "v"))
    if ending == "the next call":
        assert redis.call("ECHO", "mine") == b"mine"
    else:
        eventually(lambda: "WRONGTYPE" in str(redis_server.cli("INFO", "errorstats")), 5, "it was refused")
        redis.close()
    assert "nobody waited for LPUSH" in caplog.text
    assert "WRONGTYPE" in caplog.text
    redis.close()


@pytest.mark.parametrize("answered", [True, False], ids=["after the reply", "before the reply"])
def test_the_next_caller_does_not_notice_that_redis_died_after_something_was_sent_off(
    redis_server: RedisServer, answered: bool
) -> None:
    redis = Redis(redis_server.url())
    redis.call("PING")
    if answered:
        assert redis.send_off(("SET", "k", "v"))
        eventually(lambda: redis_server.cli("GET", "k") == "v", 5, "it was done")
    else:
        redis_server.hang()
        assert redis.send_off(("SET", "k", "v"))
    redis_server.kill()
    redis_server.start()
    assert redis.call("ECHO", "mine") == b"mine"
    redis.close()


def test_threads_that_send_off_and_call_get_their_own_replies(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url(), idle_count=3)
    wrong: list[object] = []

    def work(number: int) -> None:
        for turn in range(200):
            text = f"{number}-{turn}".encode()
            if turn % 3:
                redis.send_off(("INCR", "count"))
            if redis.call("ECHO", text) != text:
                wrong.append(text)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert int(redis.call("GET", "count")) > 0
    redis.close()
