"""Start the script's main process: its own session, its user, its folder, two pipes and nothing else of ours."""

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

    process: subprocess.Popen[bytes]
    stdout_fd: int
    stderr_fd: int


def start_child(plan: Plan, stdin_fd: int, notes: list[str]) -> Child:
    """Start the plan's program; it was found and runs when this returns.

    Raises:
        NotStarted: nothing runs; the reason names what was missing or forbidden.
    """
    working_directory, script_fd = _as_its_user(plan, notes)
    stdout_fd, stdout_writer = os.pipe2(os.O_CLOEXEC)
    stderr_fd, stderr_writer = os.pipe2(os.O_CLOEXEC)
    user = plan.credentials
    try:
        process = subprocess.Popen(
            _arguments(plan, script_fd),
            stdin=stdin_fd,
            stdout=stdout_writer,
            stderr=stderr_writer,
            cwd=working_directory,
            env=plan.environment,
            start_new_session=True,
            umask=_UMASK,
            pass_fds=() if script_fd is None else (script_fd,),
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=user.group_ids if user else None,
        )
    except (OSError, ValueError) as exc:
        os.close(stdout_fd)
        os.close(stderr_fd)
        raise _not_started(plan, working_directory, exc) from exc
    finally:
        os.close(stdout_writer)
        os.close(stderr_writer)
        if script_fd is not None and script_fd != plan.script_fd:
            os.close(script_fd)
    return Child(process, stdout_fd, stderr_fd)


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
