"""The file of the local policy: read anew whenever it changes, and trusted only where nobody but root can write it.

Whatever is wrong with it forbids everything: a policy that cannot be read must not be a policy that allows.
"""

import os
import re
import stat
import threading
from collections import deque
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from ...broker_config.clock import now_ms
from ...broker_config.error_codes import ErrorCode
from ...broker_config.files.system_folders import POLICY_FILE
from ...broker_config.messages import FileOrder, WorkOrder
from ...broker_config.programs.program_log import logger
from ..execution.not_started import NotStarted
from .local_policy import Policy, Wish, parse_policy

#: Where the policy lies unless a setting names another file; there is no setting for having none.
DEFAULT_PATH = POLICY_FILE
#: A mode with the bit set-group-id.
_LENDS_GROUP = re.compile("[2367][0-7]{3}")
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH
_ROOT_UID = 0
#: No policy is this large; a device or a log is.
_MOST_BYTES = 1024 * 1024
_SETTLE_MS = 1_000
#: As many as Linux follows.
_MOST_LINKS = 40

_log = logger("policy")


class PolicyInForce(NamedTuple):
    """What counts now: a policy, none, or why nothing may run."""

    policy: Policy | None
    problem: str


class PolicyFile:
    """One policy file. Any thread may ask; a change is noticed by the next question."""

    def __init__(self, path: str, *, owner_uid: int = _ROOT_UID) -> None:
        """Name the file; ``""`` stands for the default, which need not exist."""
        self.path = path or DEFAULT_PATH
        self._is_default = self.path == DEFAULT_PATH
        self._must_exist = not self._is_default
        self._owner_uid = owner_uid
        self._lock = threading.Lock()
        self._mark: tuple[int, ...] | None = None
        self._in_force = PolicyInForce(None, "")

    def in_force(self) -> PolicyInForce:
        """What the file says at this moment."""
        mark = _mark_of(self.path)
        with self._lock:
            if mark != self._mark:
                self._take(mark)
            return self._in_force

    def read_once(self) -> PolicyInForce:
        """What the file says, for people who ask: nothing is noted, and nothing goes to the log."""
        return self._read(_mark_of(self.path))

    def _take(self, mark: tuple[int, ...]) -> None:
        before = self._in_force
        # Two changes within a tick of the file system's clock look alike: what is so young is read again.
        self._mark = mark if mark == () or _is_settled(mark) else None
        self._in_force = self._read(mark)
        if self._in_force == before:
            return
        if self._in_force.problem:
            _log.error("local policy: NOTHING RUNS HERE: %s", self._in_force.problem)
        elif self._in_force.policy is not None:
            # Once there was a policy, its absence is no permission: somebody may be about to write the next one.
            self._must_exist = True
            _log.info("local policy is in force path=%s", self.path)

    def _read(self, mark: tuple[int, ...]) -> PolicyInForce:
        if mark == ():
            if not self._must_exist:
                return PolicyInForce(None, "")
            # Only of the default file a new agent believes that there is to be none.
            anew = ", or restart the agent" if self._is_default else ""
            return PolicyInForce(None, f"the local policy {self.path} is not there; put it there{anew}")
        try:
            return PolicyInForce(parse_policy(_read_trusted(self.path, self._owner_uid)), "")
        except FileNotFoundError:
            way = f"the local policy {self.path} is a link to a file that is not there"
            return PolicyInForce(None, f"{way}; put it there, or mount its disk")
        except (OSError, ValueError) as exc:
            return PolicyInForce(None, f"the local policy {self.path} cannot be used: {exc}")


class PolicyGuard:
    """Refuses what the local policy forbids."""

    def __init__(self, file: PolicyFile, own_user: str) -> None:
        self._file = file
        self._own_user = own_user

    def check_script(self, order: WorkOrder) -> None:
        """Check a script in the form in which it would run.

        Raises:
            NotStarted: refused by local policy, with the rule.
        """
        username = order.username or self._own_user
        self._check(Wish(username, order.content, order.launcher, order.timeout_seconds, order.grace_seconds))

    def check_file(self, order: FileOrder, place: str = "") -> None:
        """Check a file that is to be written, into ``place`` where that is known, else where its path leads.

        Raises:
            NotStarted: refused by local policy, with the rule.
        """
        wish = Wish(
            order.owner or self._own_user,
            order.content,
            directory=place or order.target_directory,
            lends_group=bool(order.group) and bool(_LENDS_GROUP.fullmatch(order.mode)),
        )
        self._check(wish)

    def _check(self, wish: Wish) -> None:
        policy, problem = self._file.in_force()
        refusal = problem or (policy.refusal(wish, now_ms()) if policy is not None else "")
        if refusal:
            raise NotStarted(ErrorCode.REFUSED_BY_LOCAL_POLICY, f"refused by local policy: {refusal}")


def read_policy(path: str, *, owner_uid: int = _ROOT_UID) -> PolicyInForce:
    """Read a policy once, as the agent would; for people who want to know what it says."""
    return PolicyFile(path, owner_uid=owner_uid).read_once()


def _mark_of(path: str) -> tuple[int, ...]:
    """What changes when the file does, permissions included; empty when there is none."""
    try:
        found = os.stat(path)  # noqa: PTH116 - every script passes here
    except (FileNotFoundError, NotADirectoryError) as exc:
        # A link to a disk that is not there yet is a policy that cannot be read, and no absence of one.
        return (exc.errno or 0,) if os.path.islink(path) else ()  # noqa: PTH114 - as above
    except OSError as exc:
        return (exc.errno or 0,)
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


def _is_settled(mark: tuple[int, ...]) -> bool:
    return len(mark) > 1 and abs(now_ms() - mark[3] // 1_000_000) > _SETTLE_MS


def _read_trusted(path: str, owner_uid: int) -> str:
    """Read a file that nobody but its owner can have written.

    Raises:
        OSError: it cannot be read.
        ValueError: others can change it, or a folder on the way to it; the text says what to do.
    """
    # Looked at first: to open a pipe is to wait for somebody who writes into it.
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise ValueError("it is not an ordinary file")
    with Path(path).open("rb") as file:
        found = os.fstat(file.fileno())
        if os.name == "posix":
            _check_owner(os.path.realpath(path), found, owner_uid)
            _check_way(path, owner_uid)
        if found.st_size > _MOST_BYTES:
            raise ValueError("it is not an ordinary file: it has more than a mebibyte")
        # With the mark that editors of Windows put first.
        return file.read().decode("utf-8-sig")


def _check_owner(path: str, found: os.stat_result, owner_uid: int) -> None:
    if found.st_uid not in (_ROOT_UID, owner_uid):
        raise ValueError(f"it belongs to uid {found.st_uid}; run: chown root {quote(path)}")
    if found.st_mode & _WRITABLE_BY_OTHERS:
        raise ValueError(f"others than root can write it; run: chmod go-w {quote(path)}")


def _check_folder(folder: str, owner_uid: int) -> None:
    found = Path(folder).stat()
    if found.st_uid not in (_ROOT_UID, owner_uid):
        raise ValueError(f"the folder {folder} belongs to uid {found.st_uid}; run: chown root {quote(folder)}")
    # In a sticky folder such as /tmp nobody can replace what belongs to others.
    if found.st_mode & _WRITABLE_BY_OTHERS and not found.st_mode & stat.S_ISVTX:
        raise ValueError(f"others than root can write the folder {folder}; run: chmod go-w {quote(folder)}")


def _check_way(path: str, owner_uid: int) -> None:
    """Check every folder in which a name is looked up on the way to a file: whoever can write one leads elsewhere.

    Links count with the folder that they lie in, and with their owner, who may replace them even in /tmp.
    """
    folder, names = "/", deque(Path(Path.cwd(), path).parts[1:])
    links_count = 0
    while names:
        _check_folder(folder, owner_uid)
        name = names.popleft()
        here = os.path.join(folder, name)  # noqa: PTH118 - ".." has to stay
        found = Path(here).lstat()
        if not stat.S_ISLNK(found.st_mode):
            folder = os.path.realpath(here)
            continue
        links_count += 1
        if found.st_uid not in (_ROOT_UID, owner_uid) or links_count > _MOST_LINKS:
            raise ValueError(
                f"the link {here} on the way to it may be changed by others than root; name the file itself"
            )
        target = os.readlink(here)  # noqa: PTH115 - as it stands there
        names.extendleft(reversed([part for part in Path(target).parts if part != "/"]))
        if target.startswith("/"):
            folder = "/"
