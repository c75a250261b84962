"""The state folder: whose it is and what it remembers."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_assistant.broker_config.errors import Refused, SettingsInvalid
from cloud_assistant.broker_config.ids import is_instance_id
from cloud_assistant.broker_config.security.signing import new_master_keys, read_master_keys, write_master_keys
from cloud_assistant.broker_config.settings import load
from cloud_assistant.producer.local_system.home_folder import (
    choose_instance_id,
    ensure_master_keys,
    instance_id_from,
    open_home,
    remember_addresses,
)


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_home_is_for_its_owner_alone(tmp_path: Path) -> None:
    assert mode_of(open_home(str(tmp_path / "a/home"))) == 0o700


def test_a_home_that_cannot_be_made_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsInvalid, match="--home"):
        open_home(str(tmp_path / "file" / "home"))


@pytest.mark.parametrize("mode", [0o720, 0o702])
def test_a_home_that_others_can_change_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    with pytest.raises(Refused, match="chmod go-w"):
        open_home(str(tmp_path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_home_of_another_user_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 12345, 12345)
    with pytest.raises(Refused, match="another user"):
        open_home(str(home))


def test_the_master_key_is_made_once(tmp_path: Path) -> None:
    first = ensure_master_keys(tmp_path, "")
    assert read_master_keys(tmp_path / "master-key.json") == first
    assert ensure_master_keys(tmp_path, "") == first


def test_a_named_master_key_is_used_and_never_made(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    with pytest.raises(SettingsInvalid, match=r"elsewhere\.json"):
        ensure_master_keys(tmp_path, str(elsewhere))
    write_master_keys(elsewhere, new_master_keys())
    assert ensure_master_keys(tmp_path, str(elsewhere)) == read_master_keys(elsewhere)
    assert not (tmp_path / "master-key.json").exists()


def test_other_terminals_find_redis_with_its_password_and_the_gateway(tmp_path: Path) -> None:
    url = 'redis://:p%22\\w"d@127.0.0.1:6400/0'
    remember_addresses(tmp_path, url)
    loaded = load({"home": str(tmp_path)})
    assert loaded.settings.redis_url == url
    assert loaded.sources["redis_url"].startswith("assist up")
    assert loaded.settings.gateway.url == ""
    remember_addresses(tmp_path, url, "http://127.0.0.1:8178")
    assert load({"home": str(tmp_path)}).settings.gateway.url == "http://127.0.0.1:8178"
    assert mode_of(tmp_path / "local.toml") == 0o600


def test_the_instance_id_stays_when_the_machine_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.node", lambda: "laptop.home")
    assert choose_instance_id(tmp_path, "") == "i-laptop.home"
    monkeypatch.setattr("platform.node", lambda: "laptop.cafe")
    assert choose_instance_id(tmp_path, "") == "i-laptop.home"


def test_a_configured_instance_id_wins_and_is_remembered(tmp_path: Path) -> None:
    assert choose_instance_id(tmp_path, "i-mine") == "i-mine"
    assert choose_instance_id(tmp_path, "") == "i-mine"


def test_a_bad_instance_id_is_refused_and_not_remembered(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="'web 1'"):
        choose_instance_id(tmp_path, "web 1")
    assert not (tmp_path / "instance-id").exists()


@given(st.text(max_size=100))
def test_any_machine_name_makes_an_instance_id(name: str) -> None:
    assert is_instance_id(instance_id_from(name))
