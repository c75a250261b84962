"""Whether the server's users have the rights that we give, no more and no fewer.

Redis rewrites rules into a form of its own. So the rules that should be there are given to a user that is switched off,
read back, and taken away again: the only thing that the doctor ever writes.
"""

import os
from collections.abc import Iterator, Sequence

from ...broker_config.errors import RecordUnreadable, RedisRefused
from ...broker_config.programs.findings import Finding, fail, ok, warn
from ...broker_config.redis.client import Redis
from ..security.agent_rights import agent_rules, agent_user
from ..security.identities import load_credentials
from ..security.program_rights import ControlProgram, program_rules, program_user
from ..some_of import some_of
from .server_checks import AS_ADMINISTRATOR

#: Stands for an instance's id in the rules that are read back.
_ANY_ID = "i-doctor-any"


class UserChecks:
    """Checks of the users of one server."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def all(self) -> Iterator[Finding]:
        """Every check of users, one after another."""
        try:
            users = self._users()
        except RedisRefused as exc:
            if exc.kind != "NOPERM":
                raise
            yield warn("users", "cannot be read", AS_ADMINISTRATOR)
            return
        yield self._default(users.get("default", ""))
        try:
            yield self._agents(users)
        except RecordUnreadable as exc:
            text, _, mend = str(exc).partition("? ")
            yield fail("agent users", text, mend)
        yield self._programs(users)
        yield self._file()

    def _users(self) -> dict[str, str]:
        lines = [line.decode("utf-8", "replace").split(" ", 2) for line in self._redis.call("ACL", "LIST")]
        return {name: rules for _, name, rules in lines}

    def _default(self, rules: str) -> Finding:
        words = rules.split()
        if "on" not in words or "nopass" not in words:
            return ok("default user", "off, or has a password")
        text = "may do everything without a password"
        mend = "give it one (ACL SETUSER default resetpass '>…'), or switch it off once you have an administrator"
        return warn("default user", text, mend) if self._redis.address.is_local else fail("default user", text, mend)

    def _agents(self, users: dict[str, str]) -> Finding:
        issued = sorted(load_credentials(self._redis))
        known = {agent_user(one) for one in issued}
        missing = [one for one in issued if agent_user(one) not in users]
        strangers = sorted(name for name in users if name.startswith(agent_user("")) and name not in known)
        if missing:
            return fail(
                "agent users",
                f"the server has forgotten the users of {some_of(missing)}: their agents cannot sign in",
                "give the server an ACL file; then: assist instance rotate ID --credentials FILE",
            )
        wanted = self._read_back(agent_rules(_ANY_ID, database=self._redis.address.db)) if issued else ""
        other = [one for one in issued if _rights(users[agent_user(one)]) != wanted.replace(_ANY_ID, one)]
        if other:
            return fail(
                "agent users",
                f"the rights of {some_of(other)} are not those that this release gives",
                "while their agents work, once the control side is upgraded: assist instance renew-rights --all",
            )
        if strangers:
            return fail(
                "agent users",
                f"there are users of agents that no instance has: {some_of(strangers)}",
                "where Redis has lost instances whose agents still run: assist instance add ID --credentials FILE, or "
                "assist instance rotate ID --credentials FILE where they are registered; else ACL DELUSER NAME",
            )
        return ok("agent users", f"{len(issued)}, each with exactly the rights of an agent")

    def _programs(self, users: dict[str, str]) -> Finding:
        present = [one for one in ControlProgram if program_user(one) in users]
        if not present:
            return warn(
                "program users",
                "beat, gateway, assist and Flower have no users of their own: theirs may do more than they need",
                "make them with deploy/production/redis/make-users",
            )
        other = [
            program_user(one)
            for one in present
            if _rights(users[program_user(one)]) != self._read_back(program_rules(one, database=self._redis.address.db))
        ]
        if other:
            return fail(
                "program users",
                f"the rights of {some_of(other)} are not those that this release gives",
                "while they work, once all of them are upgraded: assist program renew-rights --all",
            )
        return ok("program users", ", ".join(program_user(one) for one in present))

    def _file(self) -> Finding:
        try:
            reply = self._redis.call("CONFIG", "GET", "aclfile")
        except RedisRefused:
            return warn("ACL file", "cannot be read", AS_ADMINISTRATOR)
        if len(reply) == 2 and reply[1]:
            return ok("ACL file", reply[1].decode("utf-8", "replace"))
        return warn(
            "ACL file",
            "there is none: at its next start the server forgets every user of an agent",
            "set aclfile in the server's configuration, and restart it",
        )

    def _read_back(self, rules: Sequence[str]) -> str:
        name = f"ca-doctor-{os.urandom(6).hex()}"
        self._redis.call("ACL", "SETUSER", name, "reset", *rules)
        try:
            return _rights(self._users()[name])
        finally:
            self._redis.call("ACL", "DELUSER", name)


def _rights(rules: str) -> str:
    """What of a user's line says what it may do: not whether it is on, nor its passwords."""
    about_login = ("on", "off", "nopass", "sanitize-payload", "skip-sanitize-payload")
    return " ".join(word for word in rules.split() if word not in about_login and not word.startswith("#"))
