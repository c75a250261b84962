"""Which processes there are, from /proc, and signals that cannot hit a stranger with a reused number."""
# Supervisors do without pathlib, see supervisor/__init__.py.
# ruff: noqa: PTH123, PTH208

import errno
import os
import signal
from collections.abc import Callable, Iterable
from typing import NamedTuple

_WANTS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


class ProcessEntry(NamedTuple):
    """One process; pid and ``start_ticks`` together name it for as long as the machine is up."""

    pid: int
    parent_pid: int
    session_id: int
    start_ticks: int


def boot_id() -> str:
    """Return the kernel's name for this run of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def entry_of(pid: int) -> ProcessEntry | None:
    """Return the living process with this pid; None when there is none, or only its remains.

    None too when this process may not look, or the machine has no memory for it: whoever walks the table to end
    processes walks it again.
    """
    try:
        return entry_if_known(pid)
    except OSError:
        return None


def entry_if_known(pid: int) -> ProcessEntry | None:
    """Return the same for whoever must not take a living process for one that is gone.

    Raises:
        OSError: there is no descriptor or no memory to look with.
    """
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            stat = os.read(fd, 4096)
        finally:
            os.close(fd)
    except OSError as exc:
        if is_for_want(exc):
            raise
        return None
    # The program's name is in brackets and may hold brackets and blanks: count from the last one.
    fields = stat[stat.rindex(b")") + 2 :].split(None, 20)
    is_dead = fields[0] in b"ZX" and int(fields[17]) <= 1  # a dead first thread may leave others running
    return None if is_dead else ProcessEntry(pid, int(fields[1]), int(fields[3]), int(fields[19]))


def is_for_want(problem: OSError) -> bool:
    """Tell whether a look failed for want of a descriptor or of memory, so that it says nothing of any process."""
    return problem.errno in _WANTS


def start_ticks_of(pid: int) -> int:
    """Return when a process started, in ticks since boot; 0 when it is gone."""
    entry = entry_of(pid)
    return entry.start_ticks if entry else 0


def is_same_process(pid: int, start_ticks: int) -> bool:
    """Tell whether the process that started then still lives under this pid."""
    return start_ticks > 0 and start_ticks_of(pid) == start_ticks


def living(look: Callable[[int], ProcessEntry | None] = entry_of) -> list[ProcessEntry]:
    """Return every living process; whoever must not miss one looks with ``entry_if_known``, which may raise OSError."""
    entries = (look(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return [entry for entry in entries if entry]


def with_descendants(roots: Iterable[int], table: list[ProcessEntry]) -> list[ProcessEntry]:
    """Return those of ``table`` that are one of ``roots`` or descend from one."""
    children: dict[int, list[ProcessEntry]] = {}
    for entry in table:
        children.setdefault(entry.parent_pid, []).append(entry)
    by_pid = {entry.pid: entry for entry in table}
    found: dict[int, ProcessEntry] = {}
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if pid in found:
            continue
        if pid in by_pid:
            found[pid] = by_pid[pid]
        waiting.extend(child.pid for child in children.get(pid, ()))
    return list(found.values())


def carries_variable(pid: int, variable: bytes) -> bool:
    """Tell whether a process was started with this ``NAME=value`` in its environment.

    Raises:
        OSError: there is no descriptor or no memory to look with.
    """
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
            return variable in file.read().split(b"\0")
    except OSError as exc:
        if is_for_want(exc):
            raise
        return False


def send_signal(entry: ProcessEntry, number: int) -> bool:
    """Send a signal to exactly this process, never to a later one with its pid; tell whether it was sent."""
    try:
        fd = os.pidfd_open(entry.pid)
    except OSError:
        return False
    try:
        # The descriptor is bound to a process now; only then does a look at its start prove which one.
        if not is_same_process(entry.pid, entry.start_ticks):
            return False
        signal.pidfd_send_signal(fd, number)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
