"""A copy of this machine's file system to install packages into: writes stay in one folder, seen by nobody else."""

import subprocess
from pathlib import Path

from harness.needs import skip_without

_ENTER = """\
mount -t overlay overlay -o lowerdir=/,upperdir="$1/upper",workdir="$1/work" "$1/root" || exit 99
mount -t proc proc "$1/root/proc" || exit 99
mount -t tmpfs tmpfs "$1/root/run" || exit 99
root="$1/root"; shift
exec chroot "$root" "$@"
"""


class MachineCopy:
    """An overlay over ``/``; each command runs in namespaces of its own, and what it leaves running dies with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("upper", "work", "root"):
            (folder / name).mkdir(parents=True)
        outcome = self.run("true", check=False)
        if outcome.returncode != 0:
            skip_without(
                f"the right to mount an overlay ({outcome.stderr.strip()})", "Run these tests as root on Linux."
            )

    @property
    def written(self) -> Path:
        """What was written, as seen from outside."""
        return self.folder / "upper"

    def put(self, source: Path, place: str) -> str:
        """Bring a file in; returns its path as the copy sees it."""
        target = self.written / place.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        return f"/{place.lstrip('/')}"

    def run(self, *command: str, check: bool = True, within_seconds: float = 60) -> "subprocess.CompletedProcess[str]":
        """Run a command in the copy as root, in order, and return what it said."""
        enter = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _ENTER, "sh", str(self.folder)]
        outcome = subprocess.run(
            [*enter, *command],
            capture_output=True,
            text=True,
            check=False,
            timeout=within_seconds,
            stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
        )
        if check and outcome.returncode != 0:
            raise AssertionError(f"{command} ended with {outcome.returncode}\n{outcome.stdout}\n{outcome.stderr}")
        return outcome
