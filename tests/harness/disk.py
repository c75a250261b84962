"""A disk so small that a test can fill it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness import reaper
from harness.eventually import eventually
from harness.needs import skip_without


@contextmanager
def small_disk(folder: Path, size_bytes: int, *, file_count: int = 0) -> Iterator[Path]:
    """Mount a tmpfs of this size on ``folder`` for the block; skip where mounting is not allowed.

    It takes ``file_count`` files and folders, its own root among them; 0 sets no limit.
    Whatever still uses the folder at the end is killed, since a busy disk cannot be unmounted.
    """
    folder.mkdir(parents=True, exist_ok=True)
    size = max(size_bytes, os.sysconf("SC_PAGE_SIZE"))
    outcome = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},nr_inodes={file_count},mode=0700", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if outcome.returncode != 0:
        skip_without(
            f"the right to mount a tmpfs ({outcome.stderr.strip()})", "Run these tests as root in a container."
        )
    reaper.watch_mount(folder)
    try:
        yield folder
    finally:
        reaper.kill_users_of(folder)
        # The kernel closes the files of a killed process a moment after the process is no longer seen with them.
        eventually(
            lambda: subprocess.run(["umount", str(folder)], check=False).returncode == 0, 10, f"{folder} is free"
        )


def fill(folder: Path, leave_bytes: int = 0) -> Path:
    """Fill the disk under ``folder`` but for ``leave_bytes``; return the file to delete to make room again."""
    ballast = folder / "ballast"
    free_bytes = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free_bytes - leave_bytes))
    return ballast
