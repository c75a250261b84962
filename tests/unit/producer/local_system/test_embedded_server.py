"""The embedded server's files and port."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud_assistant.broker_config.errors import SettingsInvalid
from cloud_assistant.broker_config.redis.url import parse_url
from cloud_assistant.producer.local_system.embedded_server import choose_port, prepare_server
from cloud_assistant.producer.security.program_rights import ControlProgram
from harness.ports import reserve_port

BINARY = Path("/opt/server")


@contextlib.contextmanager
def a_listener() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_every_file_is_for_the_owner_alone(tmp_path: Path) -> None:
    prepare_server(tmp_path, BINARY, 6400)
    assert {path.name for path in (tmp_path / "redis").iterdir()} == {"password", "port", "users.acl", "server.conf"}
    assert all(path.stat().st_mode & 0o077 == 0 for path in [tmp_path / "redis", *(tmp_path / "redis").iterdir()])


def test_the_server_listens_on_loopback_and_drops_nothing(tmp_path: Path) -> None:
    prepare_server(tmp_path, BINARY, 6400)
    lines = (tmp_path / "redis/server.conf").read_text().splitlines()
    for line in ("bind 127.0.0.1", "port 6400", "appendonly yes", "appendfsync everysec", 'save ""'):
        assert line in lines
    assert "maxmemory-policy noeviction" in lines


def test_password_port_and_the_agents_users_stay_from_one_start_to_the_next(tmp_path: Path) -> None:
    first = prepare_server(tmp_path, BINARY, 6400)
    users = tmp_path / "redis/users.acl"
    agent = "user agent:i-one on #0000 ~ca:{i-one}:* +get"
    users.write_text(f"user default on nopass ~* +@all\n{agent}\n")
    second = prepare_server(tmp_path, BINARY, choose_port(tmp_path, None))
    assert (second.password, second.port) == (first.password, first.port)
    assert agent in users.read_text().splitlines()
    assert "nopass" not in users.read_text()
    assert first.password not in users.read_text()


def test_each_program_has_a_user_of_its_own_with_a_new_password_at_each_start(tmp_path: Path) -> None:
    first = prepare_server(tmp_path, BINARY, 6400)
    second = prepare_server(tmp_path, BINARY, 6400)
    users = (tmp_path / "redis/users.acl").read_text()
    for program in ControlProgram:
        assert parse_url(second.url_of(program)).user == f"ca-{program}"
        assert first.url_of(program) != second.url_of(program)
        assert users.count(f"user ca-{program} ") == 1
        assert second.program_passwords[program] not in users


def test_the_address_carries_the_password_and_is_shown_without(tmp_path: Path) -> None:
    server = prepare_server(tmp_path, BINARY, 6400)
    assert parse_url(server.redis_url).password == server.password
    assert parse_url(server.redis_url).shown() == "redis://127.0.0.1:6400/0"


def test_a_folder_with_blanks_and_quotes_is_quoted_for_the_server(tmp_path: Path) -> None:
    home = tmp_path / 'my "own" home'
    home.mkdir()
    prepare_server(home, BINARY, 6400)
    assert 'my \\"own\\" home/redis"' in (home / "redis/server.conf").read_text()


def test_the_first_port_is_the_default_or_the_next_free_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = reserve_port()
    monkeypatch.setattr("cloud_assistant.producer.local_system.embedded_server.DEFAULT_PORT", free.number)
    assert choose_port(tmp_path, None) == free.number
    free.release()
    with a_listener() as taken:
        monkeypatch.setattr("cloud_assistant.producer.local_system.embedded_server.DEFAULT_PORT", taken)
        assert choose_port(tmp_path, None) > taken


def test_a_remembered_port_is_kept_even_while_another_program_has_it(tmp_path: Path) -> None:
    with a_listener() as taken:
        prepare_server(tmp_path, BINARY, taken)
        assert choose_port(tmp_path, None) == taken
        assert choose_port(tmp_path, 7000) == 7000


def test_a_damaged_port_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis/port").write_text("many")
    with pytest.raises(SettingsInvalid, match="'many'"):
        choose_port(tmp_path, None)
