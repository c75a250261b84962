"""What the local agent is given."""

import tomllib
from pathlib import Path

import pytest

from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.security.signing import read_master_keys
from cloud_assistant.broker_config.settings import load
from cloud_assistant.broker_config.settings_table import Value
from cloud_assistant.producer.fleet.instances import load as load_instance
from cloud_assistant.producer.local_system.local_agent import prepare_local_agent
from cloud_assistant.producer.local_system.programs import Program
from harness.redis_server import RedisServer


def prepare(home: Path, redis_url: str, **overrides: Value) -> Program:
    given: dict[str, Value] = {"home": str(home), "gateway.access_key_secret": "s"}
    given.update({name.replace("__", "."): value for name, value in overrides.items()})
    return prepare_local_agent(load(given), home, redis_url=redis_url, instance_id="i-one")


def credentials(home: Path) -> dict[str, str]:
    read = tomllib.loads((home / "agents/i-one/credentials.toml").read_text())
    return {"redis_url": read["redis_url"], "instance_key": read["security"]["instance_key"]}


def test_it_gets_its_home_and_settings_and_none_of_the_control_sides_secrets(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    program = prepare(tmp_path, redis_server.url(), agent__slots=3, agent__fsync=False)
    ours = {name: value for name, value in program.environment.items() if name.startswith("CLOUD_ASSISTANT_")}
    assert ours == {
        "CLOUD_ASSISTANT_HOME": str(tmp_path / "agents/i-one"),
        "CLOUD_ASSISTANT_AGENT_SLOTS": "3",
        "CLOUD_ASSISTANT_AGENT_FSYNC": "false",
    }
    assert program.argv[1:] == ("run", "--config", str(tmp_path / "agents/i-one/credentials.toml"))


def test_it_gets_a_redis_user_and_a_key_of_its_own_in_a_private_home(tmp_path: Path, redis_server: RedisServer) -> None:
    prepare(tmp_path, redis_server.url())
    home = tmp_path / "agents/i-one"
    assert home.stat().st_mode & 0o077 == 0
    assert (home / "credentials.toml").stat().st_mode & 0o777 == 0o600
    given = credentials(tmp_path)
    assert given["redis_url"].startswith("redis://ca-agent-i-one:")
    key_id, _, key = given["instance_key"].partition(":")
    assert read_master_keys(tmp_path / "master-key.json").instance_key("i-one", key_id).hex() == key
    redis = Redis(redis_server.url())
    assert load_instance(redis, "i-one").name
    redis.close()


def test_credentials_stay_from_one_start_to_the_next(tmp_path: Path, redis_server: RedisServer) -> None:
    prepare(tmp_path, redis_server.url())
    before = credentials(tmp_path)
    prepare(tmp_path, redis_server.url())
    assert credentials(tmp_path) == before


def test_a_user_with_the_rights_of_another_release_gets_those_of_this_one(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    prepare(tmp_path, redis_server.url())
    before = redis_server.cli("ACL", "LIST")
    redis_server.cli("ACL", "SETUSER", "ca-agent-i-one", "-fcall")
    assert redis_server.cli("ACL", "LIST") != before
    prepare(tmp_path, redis_server.url())
    assert redis_server.cli("ACL", "LIST") == before


def test_credentials_that_open_nothing_any_more_are_made_anew(tmp_path: Path, redis_server: RedisServer) -> None:
    prepare(tmp_path, redis_server.url())
    before = credentials(tmp_path)
    redis_server.cli("ACL", "DELUSER", "ca-agent-i-one")
    prepare(tmp_path, redis_server.url())
    assert credentials(tmp_path) != before


@pytest.mark.parametrize("text", ["", "no toml [", "redis_url = 'redis://x'\n"])
def test_a_damaged_file_of_credentials_is_made_anew(tmp_path: Path, redis_server: RedisServer, text: str) -> None:
    prepare(tmp_path, redis_server.url())
    (tmp_path / "agents/i-one/credentials.toml").write_text(text)
    prepare(tmp_path, redis_server.url())
    assert credentials(tmp_path)["redis_url"].startswith("redis://ca-agent-i-one:")


def test_where_users_are_not_ours_to_manage_the_agent_gets_our_address_and_a_key(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    redis_server.cli("ACL", "SETUSER", "small", "on", ">pw", "~*", "&*", "+@all", "-acl")
    url = redis_server.url("small", "pw")
    prepare(tmp_path, url)
    given = credentials(tmp_path)
    assert given["redis_url"] == url
    assert given["instance_key"].startswith("k1:")
    prepare(tmp_path, url)
    assert credentials(tmp_path) == given, "at its next start too"


def test_an_agent_with_a_user_of_its_own_keeps_it_where_users_are_not_ours_to_manage_any_more(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    prepare(tmp_path, redis_server.url())
    given = credentials(tmp_path)
    redis_server.cli("ACL", "SETUSER", "small", "on", ">pw", "~*", "&*", "+@all", "-acl")
    prepare(tmp_path, redis_server.url("small", "pw"))
    assert credentials(tmp_path) == given
