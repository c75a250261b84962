"""The log that stands in for a service manager's: kept between starts, and never large."""

import os
from pathlib import Path

import pytest

from cloud_assistant.worker.service import service_log


@pytest.mark.parametrize(("before_bytes", "after_bytes"), [(65_536, 65_536), (65_537, 0)])
def test_what_earlier_starts_said_is_kept_up_to_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before_bytes: int, after_bytes: int
) -> None:
    path = tmp_path / "service.log"
    path.write_bytes(b"x" * before_bytes)
    with path.open("ab") as stderr:
        monkeypatch.setattr(service_log, "_STDERR", stderr.fileno())
        assert service_log.keep_small(str(path))
    assert path.stat().st_size == after_bytes


def test_a_standard_error_that_is_another_file_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, other = tmp_path / "service.log", tmp_path / "other"
    path.write_bytes(b"x" * 70_000)
    other.write_bytes(b"x" * 70_000)
    with other.open("ab") as stderr:
        monkeypatch.setattr(service_log, "_STDERR", stderr.fileno())
        assert [service_log.keep_small(str(one)) for one in (path, tmp_path / "absent", "")] == [False] * 3
    assert [one.stat().st_size for one in (path, other)] == [70_000] * 2


def test_a_closed_standard_error_is_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    os.close(descriptor)
    monkeypatch.setattr(service_log, "_STDERR", descriptor)
    assert not service_log.keep_small(str(tmp_path))
