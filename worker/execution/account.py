"""Which operating system user a script runs as; asked from the user database, never from a shell."""

import os
import pwd
import time
from dataclasses import dataclass
from functools import lru_cache

from .not_started import ACCOUNT_NOT_EXISTS, EXECUTION_EXCEPTION, NotStarted

#: How long the agent's own entry is remembered: nearly every script asks for it.
_REMEMBERED_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Account:
    """A user with all that a process of theirs needs; ``is_own`` says that no change of user is needed."""

    name: str
    uid: int
    gid: int
    group_ids: tuple[int, ...]
    home: str
    shell: str
    is_own: bool


def account_of(username: str) -> Account:
    """Return the account with this name, or the agent's own for an empty name.

    Root is an account like any other. Supplementary groups are those of a fresh login of that user.

    Raises:
        NotStarted: no such user, or the agent has no right to become that user.
    """
    own_uid = os.geteuid()
    if not username:
        return _own_account(own_uid, int(time.monotonic()) // _REMEMBERED_SECONDS)
    return _account(_entry_named(username), own_uid)


@lru_cache(maxsize=1)
def _own_account(uid: int, period: int) -> Account:
    """The agent's own account, as it stood in the user database at some moment of this period."""
    return _account(_own_entry(uid), uid)


def _account(entry: pwd.struct_passwd, own_uid: int) -> Account:
    username = entry.pw_name
    is_own = entry.pw_uid == own_uid
    if not is_own and own_uid != 0:
        raise NotStarted(
            EXECUTION_EXCEPTION,
            f"user {username!r} exists, but the agent runs as uid {own_uid} and only root may become another user;"
            f" run the agent as root, or leave the user name empty",
        )
    return Account(
        name=entry.pw_name,
        uid=entry.pw_uid,
        gid=entry.pw_gid,
        group_ids=() if is_own else tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)),
        home=entry.pw_dir or "/",
        shell=entry.pw_shell or "/bin/sh",
        is_own=is_own,
    )


def _entry_named(username: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(username)
    except (KeyError, ValueError):  # ValueError: a NUL in the name
        raise NotStarted(
            ACCOUNT_NOT_EXISTS, f"user {username!r} does not exist on this instance; create it or name another"
        ) from None


def _own_entry(uid: int) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        # Containers often run under a number that has no entry.
        return pwd.struct_passwd((str(uid), "x", uid, os.getegid(), "", "/", "/bin/sh"))
