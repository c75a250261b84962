"""A file of the agent's own with damaged bytes is as good as none: it must not keep the agent from starting."""

from pathlib import Path

import pytest

from cloud_assistant.worker.home_lock import holder
from cloud_assistant.worker.identity import earlier_epochs, remember_epoch
from cloud_assistant.worker.machine_start import remembered_boot
from cloud_assistant.worker.packages.agent_notes import read_notes
from cloud_assistant.worker.spool import Spool
from cloud_assistant.worker.upgrade.local_request import take_request
from cloud_assistant.worker.upgrade.upgrade_state import UpgradeState, read_state

EXECUTION = "t-aaaaaaaa.0@i-one"

# Of the right form but for a byte that is no UTF-8, as a failing disk leaves it; and what nobody would have written.
damaged = pytest.mark.parametrize(
    "content",
    [
        b'["\xff"]',
        b'{"state":"\xff","name":"\xff","version":"\xff","instance_id":"\xff","publishers_folder":"\xff"}',
        b'{"state":' + b"[" * 100_000,
        b"\0" * 64,
        b"",
    ],
    ids=["a list", "an object", "nested without end", "zeros", "empty"],
)


@damaged
def test_a_damaged_state_file_counts_as_none(content: bytes, tmp_path: Path) -> None:
    for name in ("agent.lock", "epochs.json", "boot.json", "agent-notes.json", "upgrade.json", "upgrade-request.json"):
        (tmp_path / name).write_bytes(content)

    assert holder(tmp_path) is None
    assert read_notes(tmp_path) is None
    assert read_state(tmp_path) == UpgradeState()
    assert take_request(tmp_path) is None
    assert remembered_boot(tmp_path, 5) == remembered_boot(tmp_path, 6)
    remember_epoch(tmp_path, "this one")
    assert earlier_epochs(tmp_path) == ["this one"]


@damaged
def test_a_damaged_result_counts_as_none(content: bytes, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", limit_bytes=1000, keep_scripts=False)
    spool.make()
    spool.folder(EXECUTION).mkdir()
    (spool.folder(EXECUTION) / "outcome.json").write_bytes(content)

    assert spool.load(EXECUTION) is None
