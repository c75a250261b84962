"""What a power failure made of an agent's own files is as good as none: the agent starts all the same."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cloud_assistant.broker_config.results import Outcome
from cloud_assistant.worker.boot.machine_start import remembered_boot
from cloud_assistant.worker.home_lock import Holder, holder
from cloud_assistant.worker.identity import earlier_epochs
from cloud_assistant.worker.packages.agent_notes import read_notes
from cloud_assistant.worker.packages.package_index import PackageIndex
from cloud_assistant.worker.spool import Spool
from cloud_assistant.worker.upgrade.local_request import take_request
from cloud_assistant.worker.upgrade.upgrade_state import UpgradeState, read_state

#: No text, text with a half of a letter in it, and what goes on without an end.
DAMAGED = {
    "zeros": b"\0" * 100,
    "empty": b"",
    "half": b'{"reason": "la',
    "letter": b'{"reason": "Die Datei ist gr\xc3", "instance_id": "\xc3", "publishers_folder": "\xc3", "name": "\xc3"}',
    "letters": b'["gr\xc3"]',
    "nested": b"[" * 100_000,
}


def outcome_in(home: Path) -> Outcome | None:
    return Spool(home, limit_bytes=1, keep_scripts=False).load("t-1.0@i-one")


READERS: dict[str, tuple[str, Callable[[Path], object], object]] = {
    "upgrade": ("upgrade.json", read_state, UpgradeState()),
    "request": ("upgrade-request.json", take_request, None),
    "epochs": ("epochs.json", earlier_epochs, []),
    "holder": ("agent.lock", holder, None),
    "notes": ("agent-notes.json", read_notes, None),
    "packages": ("packages.json", lambda home: PackageIndex(home).all(), {}),
    "result": ("t-1.0@i-one/outcome.json", outcome_in, None),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_file_is_as_good_as_none(tmp_path: Path, reader: str, content: bytes) -> None:
    name, read, nothing = READERS[reader]
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)
    assert read(tmp_path) == nothing


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_start_of_the_machine_is_another_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "boot.json").write_bytes(content)
    assert remembered_boot(tmp_path, 1000) == remembered_boot(tmp_path, 2000)


def test_a_holder_reads_back(tmp_path: Path) -> None:
    (tmp_path / "agent.lock").write_bytes(b'{"pid": 3}')
    assert holder(tmp_path) == Holder(pid=3)
