"""What an agent leaves for its next run, also where the disk has no room."""

import errno
import os
from pathlib import Path

import pytest

from cloud_assistant.worker.state_file import write_state_file
from harness.disk import fill, small_disk


def test_on_a_full_disk_the_old_file_is_written_over_and_a_new_one_refused(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        path = disk / "state.json"
        write_state_file(path, b'["a longer one"]')
        fill(disk)
        write_state_file(path, b'["short"]')
        assert path.read_bytes() == b'["short"]'
        with pytest.raises(OSError, match="No space left"):
            write_state_file(disk / "other.json", b"[]")
        assert sorted(one.name for one in disk.iterdir()) == ["ballast", "state.json"]


def test_where_something_else_than_room_is_missing_the_old_file_stays_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path = tmp_path / "state.json"
    write_state_file(path, b'["old"]')
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="Input/output error"):
        write_state_file(path, b'["new"]')
    assert path.read_bytes() == b'["old"]'
