"""What the local agent is given."""

from pathlib import Path

import pytest

from cloud_assistant.broker_config.settings import load
from cloud_assistant.broker_config.settings_table import Value
from cloud_assistant.broker_config.signing import new_master_keys, read_master_keys
from cloud_assistant.producer.local_system.local_agent import prepare_local_agent

MASTER = new_master_keys(new_master_keys())


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    overrides: dict[str, Value] = {
        "home": str(tmp_path),
        "agent.slots": 3,
        "agent.fsync": False,
        "security.master_key_file": "/etc/master",
        "gateway.access_key_secret": "s",
    }
    return prepare_local_agent(
        load(overrides), tmp_path, redis_url="redis://127.0.0.1:1/0", instance_id="i-one", master=MASTER
    )


def test_it_gets_its_home_and_settings_and_none_of_the_control_sides_secrets(
    environment: dict[str, str], tmp_path: Path
) -> None:
    ours = {name: value for name, value in environment.items() if name.startswith("CLOUD_ASSISTANT_")}
    assert ours == {
        "CLOUD_ASSISTANT_HOME": str(tmp_path / "agents/i-one"),
        "CLOUD_ASSISTANT_INSTANCE_ID": "i-one",
        "CLOUD_ASSISTANT_REDIS_URL": "redis://127.0.0.1:1/0",
        "CLOUD_ASSISTANT_AGENT_SLOTS": "3",
        "CLOUD_ASSISTANT_AGENT_FSYNC": "false",
    }


def test_its_home_is_private_and_holds_the_keys_of_its_instance_alone(
    environment: dict[str, str], tmp_path: Path
) -> None:
    home = tmp_path / "agents/i-one"
    assert home.stat().st_mode & 0o077 == 0
    keys = read_master_keys(home / "instance-key.json")
    assert keys.current == MASTER.current
    assert keys.keys == {name: MASTER.instance_key("i-one", name) for name in MASTER.keys}
    assert not set(keys.keys.values()) & set(MASTER.keys.values())
