"""Clean up after a test process that was killed.

One small process per test process. It holds the reading end of a pipe and does nothing until that pipe closes,
which the kernel does however the test process ends. Then it unmounts and kills whatever still uses the folders it
was told about. A parent-death signal was not enough: it is bound to the *thread* that started a child, and it never
reaches the supervisors, which leave their agent on purpose.
"""

import atexit
import os
import signal
import subprocess
import sys
from pathlib import Path

from harness import proc

TESTS_FOLDER = Path(__file__).parents[1]

_reaper: "subprocess.Popen[bytes] | None" = None
_reaper_owner_pid = 0


def watch_folder(folder: Path) -> None:
    """Have every process that uses this private folder killed when this test process is gone."""
    _tell("folder", folder)


def watch_mount(folder: Path) -> None:
    """Have what is mounted here unmounted when this test process is gone."""
    _tell("mount", folder)


def kill_users_of(*folders: Path) -> list[proc.ProcessInfo]:
    """SIGKILL every process that uses one of the folders, with its descendants; return what had to be killed.

    Repeated until none is left, since a process can fork between our look and our signal.
    """
    killed: dict[int, proc.ProcessInfo] = {}
    while users := proc.processes_using(*folders):
        for info in [*users, *proc.descendants_of(*(user.pid for user in users))]:
            killed[info.pid] = info
            proc.send(info, signal.SIGKILL)
    return list(killed.values())


def _tell(word: str, folder: Path) -> None:
    global _reaper, _reaper_owner_pid  # noqa: PLW0603 - one reaper per process is the point
    if _reaper is None or _reaper_owner_pid != os.getpid():
        _reaper = subprocess.Popen(
            [sys.executable, "-S", "-E", "-m", "harness.reaper"],
            cwd=TESTS_FOLDER,
            env={"PATH": os.defpath},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C and a kill of the test process' group must not take the reaper along.
            start_new_session=True,
        )
        _reaper_owner_pid = os.getpid()
        atexit.register(_end)
    assert _reaper.stdin is not None
    _reaper.stdin.write(f"{word} {folder}\n".encode())
    _reaper.stdin.flush()


def _end() -> None:
    """Let the reaper finish at an ordinary exit; it then finds nothing, or what a test left behind."""
    if _reaper is not None and _reaper_owner_pid == os.getpid() and _reaper.stdin is not None:
        _reaper.stdin.close()
        _reaper.wait(timeout=20)


def main() -> None:
    """Read folders until the pipe closes, then end what uses them."""
    folders: list[Path] = []
    mounts: list[Path] = []
    for line in sys.stdin:
        word, _, name = line.rstrip("\n").partition(" ")
        (mounts if word == "mount" else folders).append(Path(name))
    kill_users_of(*dict.fromkeys(folders))
    for mount in mounts:
        if os.path.ismount(mount):
            subprocess.run(["umount", "--lazy", str(mount)], check=False, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
