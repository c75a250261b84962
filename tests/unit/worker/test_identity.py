import os
import platform
import socket
import uuid
from itertools import count
from pathlib import Path

import pytest

from cloud_assistant.broker_config.errors import SettingsInvalid
from cloud_assistant.worker import identity
from cloud_assistant.worker.identity import earlier_epochs, identify, machine_id, remember_epoch
from cloud_assistant.worker.inventory import look


@pytest.mark.parametrize("wrong", ["", "web1", "i-", "i-a b", "t-12345678"])
def test_a_wrong_instance_id_is_refused(wrong: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="instance"):
        identify(wrong, tmp_path)


def test_each_run_has_an_epoch_of_its_own_and_the_same_machine(tmp_path: Path) -> None:
    first, second = identify("i-one", tmp_path), identify("i-one", tmp_path)

    assert first.epoch != second.epoch
    assert (first.boot_id, first.machine_id) == (second.boot_id, second.machine_id)
    assert first.machine_id == machine_id(tmp_path)


def test_a_machine_without_a_name_keeps_one_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a slim container: no file, and no program that knows a hardware address, so Python draws one."""
    drawn = count(1 << 40)
    monkeypatch.setattr(identity, "written_machine_id", lambda root: "")
    monkeypatch.setattr(uuid, "getnode", lambda: next(drawn))
    for name in ("one", "other"):
        (tmp_path / name).mkdir()

    first, second = machine_id(tmp_path / "one"), machine_id(tmp_path / "one")

    assert first == second != machine_id(tmp_path / "other")
    (tmp_path / "one" / "machine-id").write_bytes(b"machine-\xff\n")
    assert machine_id(tmp_path / "one") == machine_id(tmp_path / "one") != first
    monkeypatch.setattr(uuid, "getnode", lambda: 0x0242AC110002)
    assert machine_id(tmp_path / "one") == "0242ac110002"


def test_the_heartbeat_has_the_facts_of_the_machine(tmp_path: Path) -> None:
    fields = identify("i-one", tmp_path).fields(slots=10)

    assert fields["slots"] == 10
    assert fields["os_type"] == "Linux"
    assert fields["hostname"]


def test_names_in_another_encoding_are_no_reason_not_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def latin() -> dict[str, str]:
        return {"PRETTY_NAME": b"B\xfcro Linux".decode()}

    monkeypatch.setattr(socket, "gethostname", lambda: os.fsdecode(b"b\xfcro"))
    monkeypatch.setattr(platform, "freedesktop_os_release", latin)
    monkeypatch.setenv("LOGNAME", os.fsdecode(b"m\xfcller"))

    for facts in (identify("i-one", tmp_path).fields(slots=10), look("redis://127.0.0.1:6379/0")):
        assert (facts["hostname"], facts["os_name"]) == ("b?ro", "Linux")
        assert facts.get("user") in (None, "m?ller")
        "".join(map(str, facts.values())).encode()


def test_a_home_remembers_its_last_runs(tmp_path: Path) -> None:
    assert earlier_epochs(tmp_path) == []
    for number in range(20):
        remember_epoch(tmp_path, f"e{number}")

    assert earlier_epochs(tmp_path) == [f"e{number}" for number in range(12, 20)]
    (tmp_path / "epochs.json").write_bytes(b"nonsense")
    assert earlier_epochs(tmp_path) == []
