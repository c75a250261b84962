"""A remedy that is a command works as it stands, whatever the path that it is about."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_assistant.broker_config.errors import CloudAssistantError
from cloud_assistant.broker_config.releases.publisher_keys import (
    create_private_key,
    public_text,
    read_private_key,
    read_publishers,
)
from cloud_assistant.broker_config.security.signing import new_master_keys, read_master_keys, write_master_keys
from cloud_assistant.broker_config.settings_table import Settings
from cloud_assistant.producer.doctor.local_checks import local_checks
from cloud_assistant.producer.local_system.home_folder import open_home
from cloud_assistant.worker.doctor.machine_checks import machine_findings
from cloud_assistant.worker.policy.policy_file import read_policy
from cloud_assistant.worker.trust.instance_key import InstanceKeys, keep_instance_keys, read_instance_keys


def publisher_key(folder: Path) -> Callable[[], object]:
    path = folder / "key.pem"
    create_private_key(path)
    path.chmod(0o644)
    return lambda: read_private_key(path)


def publishers(folder: Path) -> Callable[[], object]:
    path = folder / "us.pub"
    path.write_text(public_text(Ed25519PrivateKey.generate().public_key()))
    path.chmod(0o666)
    return lambda: read_publishers(folder)


def master_key(folder: Path) -> Callable[[], object]:
    path = folder / "master.json"
    write_master_keys(path, new_master_keys())
    path.chmod(0o644)
    return lambda: read_master_keys(path)


def instance_key(folder: Path) -> Callable[[], object]:
    keep_instance_keys(folder, "", InstanceKeys({"k1": bytes(32)}, "k1"))
    for path in folder.iterdir():
        path.chmod(0o644)
    return lambda: read_instance_keys(folder)


def home(folder: Path) -> Callable[[], object]:
    folder.chmod(0o777)
    return lambda: open_home(str(folder))


def policy(folder: Path) -> Callable[[], object]:
    path = folder / "policy.toml"
    path.touch()
    path.chmod(0o666)

    def read() -> None:
        found = read_policy(str(path), owner_uid=folder.stat().st_uid)
        if found.problem:
            raise ValueError(found.problem)

    return read


@pytest.mark.parametrize("make", [publisher_key, publishers, master_key, instance_key, home, policy])
def test_what_a_message_says_to_run_mends_it(tmp_path: Path, make: Callable[[Path], Callable[[], object]]) -> None:
    folder = tmp_path / "it's a $HOME"
    folder.mkdir(mode=0o700)
    read = make(folder)
    with pytest.raises((CloudAssistantError, ValueError)) as refused:
        read()
    command = str(refused.value).partition("run: ")[2]
    subprocess.run(["sh", "-c", command], check=True)
    read()


def test_what_the_doctors_say_to_run_mends_a_home(tmp_path: Path) -> None:
    folder = tmp_path / "it's a $HOME"
    settings = Settings(home=str(folder), instance_id="i-one")
    for examine in (local_checks, machine_findings):
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o777)
        (finding,) = (one for one in examine(settings) if one.check == "home")
        assert finding.verdict in ("warn", "fail")
        subprocess.run(["sh", "-c", finding.mend], check=True)
        (finding,) = (one for one in examine(settings) if one.check == "home")
        assert finding.verdict == "ok"
