"""Absent and unreadable are two things, on every Python."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cloud_assistant.broker_config.files.presence import is_folder, is_there


def test_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "broken").symlink_to(tmp_path / "none")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")

    assert [is_there(tmp_path), is_there(file), is_there(tmp_path / "link")] == [True, True, True]
    assert [is_folder(tmp_path), is_folder(file), is_folder(tmp_path / "link")] == [True, False, True]
    for name in ("none", "broken", "loop", "file/below"):
        assert not is_there(tmp_path / name)
        assert not is_folder(tmp_path / name)


@pytest.mark.parametrize("look", [is_there, is_folder])
def test_what_may_not_be_looked_at_is_an_error(
    tmp_path: Path, look: Callable[[Path], bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "stat", refuse)

    with pytest.raises(PermissionError):
        look(tmp_path / "closed")
