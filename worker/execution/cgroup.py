"""A control group (version 2) around one script at a time: who belongs to it, and one write that kills them all.

A supervisor creates its group, and enters it, while it waits: the script is then born inside, with no write on the
way to its start and no moment in which a child could slip out. The supervisor steps out before it kills.
"""
# Supervisors do without pathlib, see supervisor/__init__.py.
# ruff: noqa: PTH102, PTH106, PTH123, PTH208

import contextlib
import os
import time

NAME_PREFIX = "cloud-assistant-script-"
#: The agent clears away empty groups and may remove ours between its creation and our entering it.
_ATTEMPT_COUNT = 5
#: Ordinary processes freeze in well under a millisecond; one in an uninterruptible wait may not for long.
_FREEZE_SECONDS = 0.2
_FREEZE_LOOK_SECONDS = 0.001


def own_group() -> str | None:
    """Return the folder of this process's own group, or None where version 2 is not mounted.

    Works with version 2 beside version 1 too, where systemd mounts it as ``unified``.
    """
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            names = [line.rstrip("\n")[3:] for line in file if line.startswith("0::")]
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounts = [line.split(" - ", 1) for line in file if " - cgroup2 " in line]
    except OSError:
        return None
    if not names:
        return None
    for before, _ in mounts:
        root, mount_point = before.split(" ")[3:5]
        name = names[0]
        if root != "/":
            if name != root and not name.startswith(root + "/"):
                continue
            name = name[len(root) :]
        return (mount_point + name).rstrip("/")
    return None


class ScriptGroup:
    """The group of one supervisor's scripts."""

    __slots__ = ("_is_inside", "_outside", "path")

    def __init__(self, outside: str, path: str) -> None:
        self._outside = outside
        self.path = path
        self._is_inside = False

    @classmethod
    def create(cls, outside: str | None, name: str) -> "ScriptGroup | None":
        """Create the group below ``outside`` and enter it; None where this process may not."""
        if outside is None:
            return None
        group = cls(outside, f"{outside}/{NAME_PREFIX}{name}")
        for _ in range(_ATTEMPT_COUNT):
            try:
                os.mkdir(group.path)
                group.enter()
            except FileNotFoundError:
                continue
            except OSError:
                with contextlib.suppress(OSError):
                    os.rmdir(group.path)
                return None
            return group
        return None

    def enter(self) -> None:
        """Move this process in, so that what it starts is born inside."""
        if not self._is_inside:
            _write(f"{self.path}/cgroup.procs", b"0")
            self._is_inside = True

    def step_out(self) -> None:
        """Move this process out again."""
        if self._is_inside:
            _write(f"{self._outside}/cgroup.procs", b"0")
            self._is_inside = False

    def freeze(self) -> bool:
        """Let nothing inside run until ``thaw``; tell whether the kernel has begun to (since 5.2)."""
        try:
            self.step_out()
            _write(f"{self.path}/cgroup.freeze", b"1")
        except OSError:
            return False
        give_up_at = time.monotonic() + _FREEZE_SECONDS
        while time.monotonic() < give_up_at and not self._is_frozen():
            time.sleep(_FREEZE_LOOK_SECONDS)
        return True

    def thaw(self) -> None:
        """Let everything inside run again; a group that is gone meanwhile has nothing to thaw."""
        with contextlib.suppress(FileNotFoundError):
            _write(f"{self.path}/cgroup.freeze", b"0")

    def _is_frozen(self) -> bool:
        with open(f"{self.path}/cgroup.events", encoding="ascii") as file:
            return "frozen 1" in file.read()

    def kill(self) -> None:
        """Kill every process inside at once; nothing that forks can outrun it. Kernels before 5.14 do nothing."""
        with contextlib.suppress(OSError):
            self.step_out()
        if not self._is_inside:
            kill_group(self.path)

    def remove(self) -> None:
        """Step out and remove the group, unless something still lives in it."""
        with contextlib.suppress(OSError):
            self.step_out()
            os.rmdir(self.path)


def kill_group(path: str) -> None:
    """Kill every process in a group at once, where the kernel can."""
    with contextlib.suppress(OSError):
        _write(f"{path}/cgroup.kill", b"1")


def members_of(path: str) -> list[int]:
    """Return the pids in a group and in groups below it; none when the group is gone."""
    pids: list[int] = []
    for folder, _, _ in os.walk(path):
        try:
            with open(f"{folder}/cgroup.procs", "rb") as file:
                pids.extend(int(line) for line in file)
        except OSError:
            continue
    return [pid for pid in pids if pid]


def remove_empty_groups(outside: str | None) -> None:
    """Remove the groups of supervisors that are gone; the kernel refuses for every group with a process in it."""
    if outside is None:
        return
    with contextlib.suppress(OSError):
        for name in os.listdir(outside):
            if name.startswith(NAME_PREFIX):
                with contextlib.suppress(OSError):
                    os.rmdir(f"{outside}/{name}")


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
