"""Give users of the Redis server the rights of this release where they are: whoever is signed in goes on working.

Only what a user may do is set anew, in one step of the server's; its passwords, and whether it is on, stay. No user
comes into being by it: the step takes the password that the user must have away and gives it back, and Redis refuses
the whole of it where that password is not there. So one that is removed, or given other credentials, at the same
moment keeps what that made of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import hiredis

from ...broker_config.chunks import chunks
from ...broker_config.errors import RedisRefused
from ...broker_config.redis.client import Redis
from ...broker_config.redis.connection import Command
from .agent_rights import agent_rules, agent_user
from .identities import StoredCredentials
from .program_rights import ControlProgram, program_rules, program_user
from .redis_users import may_not_manage, save_users

_CHUNK_COUNT = 500


@dataclass(frozen=True)
class Renewed:
    """What came of a renewal, by the names of the instances or programs."""

    changed: Sequence[str]
    #: They had the rights of this release already.
    unchanged: Sequence[str]
    #: Name → why its user was left as it is.
    left: Mapping[str, str]
    #: Whether the server knows their rights after a restart, too.
    is_saved: bool


@dataclass(frozen=True)
class _Wanted:
    """One user, and what it may do from now on."""

    name: str
    user: str
    rules: Sequence[str]
    #: The digest of the password that it was given; ``""`` where nobody keeps that.
    password_digest: str = ""


def renew_agents(redis: Redis, credentials: Mapping[str, StoredCredentials | None]) -> Renewed:
    """Renew the rights of these instances' agents; one that has no credentials is left.

    Raises:
        RedisRefused: our own Redis user may not manage users.
    """
    database = redis.address.db
    without = {one: "it has no credentials" for one, kept in credentials.items() if kept is None}
    wanted = [
        _Wanted(one, agent_user(one), agent_rules(one, database=database), kept.password_digest)
        for one, kept in credentials.items()
        if kept is not None
    ]
    return _renew(redis, wanted, without)


def renew_programs(redis: Redis, programs: Sequence[ControlProgram] | None) -> Renewed:
    """Renew the rights of these programs of the control side, or of all that have a user.

    Raises:
        RedisRefused: our own Redis user may not manage users.
    """
    database = redis.address.db
    wanted = [
        _Wanted(str(one), program_user(one), program_rules(one, database=database))
        for one in programs or ControlProgram
    ]
    if programs is None:
        wanted = [one for one, found in zip(wanted, _ask(redis, map(_look, wanted)), strict=True) if found is not None]
    return _renew(redis, wanted, {})


def _renew(redis: Redis, wanted: Sequence[_Wanted], left: dict[str, str]) -> Renewed:
    changed: list[str] = []
    unchanged: list[str] = []
    for chunk in chunks(wanted, _CHUNK_COUNT):
        found = [_User(one, reply) for one, reply in zip(chunk, _ask(redis, map(_look, chunk)), strict=True)]
        left.update({user.wanted.name: user.obstacle for user in found if user.obstacle})
        ready = [user for user in found if not user.obstacle]
        replies = _ask(redis, (part for user in ready for part in (user.step(), _look(user.wanted))))
        for user, outcome, after in zip(ready, replies[::2], replies[1::2], strict=True):
            if isinstance(outcome, hiredis.ReplyError):
                left[user.wanted.name] = "its user was changed by somebody else meanwhile"
            else:
                (unchanged if user.has_rights_of(_User(user.wanted, after)) else changed).append(user.wanted.name)
    # Also where nothing changed: whoever changed them before us may have been killed before this.
    return Renewed(changed, unchanged, left, save_users(redis))


class _User:
    """A user as the server describes it."""

    def __init__(self, wanted: _Wanted, found: Sequence[Any] | None) -> None:
        self.wanted = wanted
        fields = {} if found is None else dict(zip(found[::2], found[1::2], strict=True))
        passwords = [one.decode() for one in fields.pop(b"passwords", ())]
        fields.pop(b"flags", None)
        self._rights = fields
        self._password = wanted.password_digest or "".join(passwords[:1])
        #: Why the step cannot be done; ``""`` when it can.
        self.obstacle = ""
        if found is None:
            self.obstacle = "the server has no user for it"
        elif self._password not in passwords:
            self.obstacle = "its user has another password than it was given, or none"

    def has_rights_of(self, other: "_User") -> bool:
        """Whether it may do the same."""
        return self._described() == other._described()

    def _described(self) -> dict[bytes, Any]:
        # Redis 7.0 tells the commands in an order that changes from one time to the next.
        return {**self._rights, b"commands": sorted(self._rights.get(b"commands", b"").split())}

    def step(self) -> Command:
        """What sets its rights anew."""
        # Selectors are not among what the rules themselves begin with taking away.
        fixed = (f"!{self._password}", f"#{self._password}", "clearselectors")
        return "ACL", "SETUSER", self.wanted.user, *fixed, *self.wanted.rules


def _look(one: _Wanted) -> Command:
    return "ACL", "GETUSER", one.user


def _ask(redis: Redis, commands: Iterable[Command]) -> list[Any]:
    """The replies; among them, in place of one, that the password was not there."""
    replies = redis.pipeline(list(commands))
    for reply in replies:
        if isinstance(reply, hiredis.ReplyError) and "password" not in str(reply):
            refusal = RedisRefused(str(reply))
            raise may_not_manage(redis, refusal) if refusal.kind == "NOPERM" else refusal
    return replies
