"""What Linux says about processes, read from /proc; standard library only, because the reaper runs it alone."""

import contextlib
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
#: What reading /proc/<pid> raises when the process ends meanwhile or belongs to somebody else.
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


@dataclass(frozen=True)
class ProcessInfo:
    """One living process; ``start_ticks`` tells it from a later one with the same pid."""

    pid: int
    parent_pid: int
    session_id: int
    state: str
    start_ticks: int
    command: str

    @property
    def is_zombie(self) -> bool:
        return self.state in "ZX"


def process(pid: int) -> ProcessInfo | None:
    """The process with this pid, or None when there is none (a zombie is still one)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except _GONE:
        return None
    # The name in brackets may itself hold brackets and blanks, so the fields are counted from its end.
    fields = stat[stat.rindex(")") + 2 :].split()
    return ProcessInfo(
        pid=pid,
        parent_pid=int(fields[1]),
        session_id=int(fields[3]),
        state=fields[0],
        start_ticks=int(fields[19]),
        command=command.rstrip(b"\0").replace(b"\0", b" ").decode("utf-8", "replace"),
    )


def send(info: ProcessInfo, number: int) -> None:
    """Send a signal to this very process; when it has ended, whoever has its number by now is left alone.

    A busy machine goes through all its numbers within a minute.
    """
    with contextlib.suppress(ProcessLookupError):
        fd = os.pidfd_open(info.pid)
        try:
            found = process(info.pid)
            if found is not None and found.start_ticks == info.start_ticks:
                signal.pidfd_send_signal(fd, number)
        finally:
            os.close(fd)


def all_processes() -> list[ProcessInfo]:
    """Every process that was not a zombie while we looked."""
    found = (process(int(entry.name)) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [info for info in found if info and not info.is_zombie]


def descendants_of(*pids: int) -> list[ProcessInfo]:
    """Children, their children and so on, parents first; without processes that were handed to another parent."""
    children: dict[int, list[ProcessInfo]] = {}
    for info in all_processes():
        children.setdefault(info.parent_pid, []).append(info)
    found: list[ProcessInfo] = []
    waiting = list(pids)
    while waiting:
        for child in children.get(waiting.pop(0), []):
            found.append(child)
            waiting.append(child.pid)
    return found


def processes_using(*folders: Path) -> list[ProcessInfo]:
    """Processes tied to private folders: named in command line or environment, working there, or a file there open.

    This is how double-forked processes in their own sessions are found. The caller and its ancestors never count.
    """
    if not folders:
        return []
    # /tmp/a must not match /tmp/a1, a neighbour's folder.
    names = b"|".join(re.escape(os.fsencode(folder)) for folder in folders)
    wanted = re.compile(b"(?:" + names + rb")(?![\w.-])")
    own = set(_ancestors_of(os.getpid())) | {os.getpid()}
    pids = (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit())
    found = [info for pid in pids if pid not in own and _uses(pid, wanted) and (info := process(pid))]
    # Looked at again: meanwhile it may have ended, and its number be another's.
    return [info for info in found if not info.is_zombie and _uses(info.pid, wanted)]


def _ancestors_of(pid: int) -> Iterator[int]:
    while (info := process(pid)) and info.parent_pid:
        pid = info.parent_pid
        yield pid


def _uses(pid: int, wanted: re.Pattern[bytes]) -> bool:
    # Plain names instead of paths: this looks at every open file of the machine, after nearly every test.
    for name in ("cmdline", "environ"):
        try:
            with open(f"/proc/{pid}/{name}", "rb", buffering=0) as file:  # noqa: PTH123 - see above
                if wanted.search(file.read()):
                    return True
        except _GONE:
            continue
    return any(wanted.search(target) for target in _links_of(pid))


def _links_of(pid: int) -> Iterator[bytes]:
    folder = f"/proc/{pid}/fd"
    try:
        links = [f"/proc/{pid}/cwd", *(entry.path for entry in os.scandir(folder))]
    except _GONE:
        return
    for link in links:
        try:
            yield os.fsencode(os.readlink(link))  # noqa: PTH115 - see above
        except _GONE:
            continue


def descriptors_of(pid: int) -> dict[str, str]:
    """What each open descriptor leads to; one that is closed while we look is left out."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found[entry.name] = str(entry.readlink())
    return found


def rss_bytes(pid: int) -> int:
    """Resident memory, shared pages included."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES


def uss_bytes(pid: int) -> int:
    """Memory that would be free again if only this process ended."""
    total_kib = 0
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(("Private_Clean:", "Private_Dirty:", "Private_Hugetlb:")):
            total_kib += int(line.split()[1])
    return total_kib * 1024


def fd_count(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


def thread_count(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/task").iterdir())


def cpu_seconds(pid: int) -> float:
    """User and system time of this process so far, without its children's."""
    stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    fields = stat[stat.rindex(")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
