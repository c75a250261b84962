"""Start the script's main process: its own session, its user, its folder, two pipes and nothing else of ours."""
# Supervisors do without pathlib, see supervisor/__init__.py.

import contextlib
import os
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

from ..not_started import DIRECTORY_NOT_EXISTS, EXECUTION_EXCEPTION, NotStarted
from ..plan import Credentials, Plan

#: Files of a script are readable by all unless it says otherwise, whatever the agent's service was given.
_UMASK = 0o022


class Child(NamedTuple):
    """The main process and the reading ends of its two streams."""

    pid: int
    stdout_fd: int
    stderr_fd: int


class Launchpad:
    """All that the start of a plan's program needs, made before it is allowed: what remains is one system call.

    Raises:
        NotStarted: its user may not run it there.
        OSError: there is no descriptor left for it.
    """

    def __init__(self, plan: Plan, null_fd: int) -> None:
        self._plan = plan
        self._null_fd = null_fd
        self._working_directory, self._script_fd = _as_its_user(plan, plan.notes)
        self._arguments = _arguments(plan, self._script_fd)
        self._stdout_fd, self._stdout_writer = os.pipe2(os.O_CLOEXEC)
        try:
            self._stderr_fd, self._stderr_writer = os.pipe2(os.O_CLOEXEC)
        except OSError:
            os.close(self._stdout_fd)
            os.close(self._stdout_writer)
            raise

    def start(self) -> Child:
        """Start the program; it was found and runs when this returns. Everything else is closed then.

        Raises:
            NotStarted: nothing runs; the reason names what was missing or forbidden.
        """
        try:
            pid = self._spawn()
        except (OSError, ValueError) as exc:
            os.close(self._stdout_fd)
            os.close(self._stderr_fd)
            raise _not_started(self._plan, self._working_directory, exc) from exc
        finally:
            self._close_other_ends()
        return Child(pid, self._stdout_fd, self._stderr_fd)

    def close(self) -> None:
        """Close all; nothing is started."""
        os.close(self._stdout_fd)
        os.close(self._stderr_fd)
        self._close_other_ends()

    def _close_other_ends(self) -> None:
        os.close(self._stdout_writer)
        os.close(self._stderr_writer)
        if self._script_fd is not None and self._script_fd != self._plan.script_fd:
            os.close(self._script_fd)

    def _spawn(self) -> int:
        user = self._plan.credentials
        process = subprocess.Popen(
            self._arguments,
            stdin=self._null_fd,
            stdout=self._stdout_writer,
            stderr=self._stderr_writer,
            cwd=self._working_directory,
            env=self._plan.environment,
            start_new_session=True,
            umask=_UMASK,
            pass_fds=() if self._script_fd is None else (self._script_fd,),
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=user.group_ids if user else None,
        )
        # It is ours to wait for, like all that becomes our child; its object has nothing to do any more.
        process.returncode = 0
        return process.pid


def _arguments(plan: Plan, script_fd: int | None) -> list[str]:
    if script_fd is None:
        return plan.arguments
    return [word.replace(plan.script_path, f"/proc/self/fd/{script_fd}") for word in plan.arguments]


def _as_its_user(plan: Plan, notes: list[str]) -> tuple[str, int | None]:
    """Return the folder to run in, and a descriptor of the script when its user cannot reach the file."""
    if plan.credentials is None:
        return plan.working_directory, plan.script_fd
    with _acting_as(plan.credentials):
        may_enter = os.access(plan.working_directory, os.X_OK, effective_ids=True)
        can_read = plan.script_fd is not None or os.access(plan.script_path, os.R_OK, effective_ids=True)
    working_directory = plan.working_directory
    if not may_enter:
        name = plan.credentials.name
        if not plan.working_directory_is_default:
            raise NotStarted(
                DIRECTORY_NOT_EXISTS,
                f"working directory {working_directory!r} may not be entered by {name}; permit it or name another",
            )
        notes.append(f"{name} may not enter the home {working_directory}: the script ran in /")
        working_directory = "/"
    if can_read:
        return working_directory, plan.script_fd
    if plan.script_path.endswith(".ps1"):
        raise NotStarted(
            EXECUTION_EXCEPTION,
            f"{plan.credentials.name} cannot reach {plan.script_path}, and PowerShell runs files named .ps1 only; let"
            f" others pass through the agent's home (chmod o+x)",
        )
    # The descriptor opens the file for a user who owns it but may not pass the folders above it.
    return working_directory, os.open(plan.script_path, os.O_RDONLY | os.O_CLOEXEC)


@contextlib.contextmanager
def _acting_as(user: Credentials) -> Iterator[None]:
    """Let the kernel judge access as it will for the script; this process has one thread, so nobody else notices."""
    own_uid, own_gid, own_groups = os.geteuid(), os.getegid(), os.getgroups()
    try:
        os.setgroups(user.group_ids)
        os.setegid(user.gid)
        os.seteuid(user.uid)
    except OSError as exc:
        _take_back(own_uid, own_gid, own_groups)
        raise NotStarted(
            EXECUTION_EXCEPTION, f"the agent may not become user {user.name!r}: {exc.strerror}; it lacks CAP_SETUID"
        ) from exc
    try:
        yield
    finally:
        _take_back(own_uid, own_gid, own_groups)


def _take_back(uid: int, gid: int, groups: list[int]) -> None:
    os.seteuid(uid)
    os.setegid(gid)
    with contextlib.suppress(PermissionError):  # never given away, when this right is missing
        os.setgroups(groups)


def _not_started(plan: Plan, working_directory: str, exc: Exception) -> NotStarted:
    program = plan.arguments[0]
    if isinstance(exc, OSError) and exc.filename == working_directory:
        return NotStarted(DIRECTORY_NOT_EXISTS, f"working directory {working_directory!r}: {exc.strerror}")
    if isinstance(exc, FileNotFoundError):
        return NotStarted(EXECUTION_EXCEPTION, f"interpreter {program!r} does not exist, or the loader it names")
    if isinstance(exc, PermissionError):
        who = plan.credentials.name if plan.credentials else "the agent's user"
        return NotStarted(EXECUTION_EXCEPTION, f"{who} may not execute {program!r}, or the agent not become {who}")
    return NotStarted(EXECUTION_EXCEPTION, f"{program!r} could not be started: {exc}")
