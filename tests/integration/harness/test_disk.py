import errno
import os
from pathlib import Path

import pytest

from harness.disk import fill, small_disk
from harness.processes import Program, clean_environment


def test_a_small_disk_is_full_at_its_size_and_gone_after_the_block(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256 * 1024) as disk:
        (disk / "fits").write_bytes(b"x" * 100_000)
        with pytest.raises(OSError, match="No space left") as failure:
            (disk / "too-much").write_bytes(b"x" * 300_000)
        assert failure.value.errno == errno.ENOSPC
    assert not os.path.ismount(disk)
    assert not list(disk.iterdir())


def test_a_filled_disk_has_room_again_without_its_ballast(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256 * 1024) as disk:
        ballast = fill(disk, leave_bytes=8192)
        (disk / "small").write_bytes(b"x" * 4096)
        with pytest.raises(OSError, match="No space left"):
            (disk / "large").write_bytes(b"x" * 50_000)
        ballast.unlink()
        (disk / "large").write_bytes(b"x" * 50_000)


def test_a_program_that_still_works_there_does_not_keep_the_disk(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256 * 1024) as disk:
        program = Program(
            ["/bin/sh", "-c", "echo ready; sleep 60"],
            env=clean_environment(tmp_path),
            cwd=disk / "work",
            log_path=tmp_path / "program.log",
        ).start(ready="ready")
    assert not os.path.ismount(disk)
    program.wait()
