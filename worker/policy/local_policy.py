"""What the owner of this machine lets the control side do here, whatever it is sent. Pure.

A rule that is not in the file forbids nothing, with one exception: once there is a policy, files may only be written
where it says so, for a file in the right place is a program.
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from ...broker_config.programs.counted import counted
from ...broker_config.security.content_signing import is_signed_by, parse_public
from .allowed_hours import Hours, parse_hours

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
#: Digests of this length are taken from `sha256sum` without the word before them.
_BARE_DIGEST = re.compile(r"[0-9a-f]{64}")


class _FilesTable(msgspec.Struct, forbid_unknown_fields=True):
    allowed: bool = True
    directories: list[str] | None = None


class _PolicyFile(msgspec.Struct, forbid_unknown_fields=True):
    enabled: bool = True
    users: list[str] | None = None
    commands: list[str] | None = None
    signers: list[str] | None = None
    hours: list[str] | None = None
    timezone: str = ""
    timeout_seconds_max: int = 0
    files: _FilesTable | None = None


@dataclass(frozen=True)
class Wish:
    """What somebody wants to run here: a script, or with ``file`` set a file to write."""

    username: str
    content: bytes
    launcher: str = ""
    timeout_seconds: int = 0
    #: Given for this script; 0 leaves it to the agent.
    grace_seconds: float = 0.0
    #: The folder that a file is to be written into; ``None`` for a script.
    directory: str | None = None
    #: Whoever runs that file would have the rights of a group that was named for it (set-group-id).
    lends_group: bool = False


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The rules of one file; ``None`` where a rule is not in it."""

    enabled: bool = True
    users: frozenset[str] | None = None
    digests: frozenset[str] | None = None
    signers: frozenset[bytes] | None = None
    hours: Hours | None = None
    timeout_seconds_max: int = 0
    #: Folders into which files may be written; ``None`` means anywhere, none at all means nowhere.
    directories: tuple[str, ...] | None = ()

    def refusal(self, wish: Wish, now_ms: int) -> str:
        """Say which rule forbids something, and why; ``""`` when none does."""
        if not self.enabled:
            return "enabled: everything is switched off on this instance"
        if self.hours is not None and not self.hours.hold(now_ms):
            local = self.hours.local(now_ms)
            return f"hours: nothing runs on {local:%a} at {local:%H:%M} ({self.hours.zone.key})"
        if self.users is not None and wish.username not in self.users:
            return f"users: {wish.username!r} is not among {', '.join(sorted(self.users)) or 'them (there are none)'}"
        if self.users is not None and wish.lends_group:
            return (
                "users: whoever runs this file would have the rights of its group; leave the group out, or set-group-id"
            )
        return self._of_script(wish) if wish.directory is None else self._of_file(wish.directory)

    def _of_script(self, wish: Wish) -> str:
        if self.timeout_seconds_max and not 0 < wish.timeout_seconds <= self.timeout_seconds_max:
            return f"timeout_seconds_max: {wish.timeout_seconds} s is more than {self.timeout_seconds_max} s"
        if self.timeout_seconds_max and wish.grace_seconds > self.timeout_seconds_max:
            # A script that ignores TERM runs until its end.
            return f"timeout_seconds_max: {wish.grace_seconds:g} s of grace are more than {self.timeout_seconds_max} s"
        if self.digests is None and self.signers is None:
            return ""
        if wish.launcher:
            # It would decide what the allowed text means.
            return "commands: a launcher was given, and only whole scripts are allowed here"
        digest = hashlib.sha256(wish.content).hexdigest()
        if digest in (self.digests or ()) or (self.signers and is_signed_by(wish.content, self.signers)):
            return ""
        rules = [name for name, rule in (("commands", self.digests), ("signers", self.signers)) if rule is not None]
        return f"{' and '.join(rules)}: no rule allows the script with digest sha256:{digest}"

    def _of_file(self, directory: str) -> str:
        if self.directories is None:
            return ""
        # Links count as where they lead: a name inside an allowed folder may be a way out of it.
        wanted = os.path.realpath(directory)
        for allowed in self.directories:
            root = os.path.realpath(allowed)
            if _is_within(wanted, root):
                return ""
        return f"files: {wanted} is not within {', '.join(self.directories) or 'any folder that is allowed'}"


def parse_policy(text: str) -> Policy:
    """Read ``agent.toml``.

    Raises:
        ValueError: it is not TOML, or has a rule that is unknown or cannot be understood; the text says which.
    """
    try:
        read = tomllib.loads(text)
        _refuse_unknown(read)
        given = msgspec.convert(read, _PolicyFile)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as exc:
        raise ValueError(str(exc)) from exc
    if (given.hours is not None) != bool(given.timezone):
        raise ValueError("hours and timezone go together, as in timezone = 'Europe/Berlin'")
    if given.timeout_seconds_max < 0:
        raise ValueError("timeout_seconds_max is a number of seconds, 0 for no limit of the policy's own")
    return Policy(
        enabled=given.enabled,
        users=None if given.users is None else frozenset(given.users),
        digests=None if given.commands is None else frozenset(_digest(one) for one in given.commands),
        signers=None if given.signers is None else frozenset(parse_public(one) for one in given.signers),
        hours=None if given.hours is None else parse_hours(given.hours, given.timezone),
        timeout_seconds_max=given.timeout_seconds_max,
        directories=_directories(given.files),
    )


def _refuse_unknown(read: Mapping[str, object]) -> None:
    for name in read:
        if name not in _PolicyFile.__struct_fields__:
            raise ValueError(f"there is no rule {name!r}; there are {', '.join(_PolicyFile.__struct_fields__)}")
    files = read.get("files")
    for name in files if isinstance(files, dict) else ():
        if name not in _FilesTable.__struct_fields__:
            known = ", ".join(_FilesTable.__struct_fields__)
            raise ValueError(f"[files] has no rule {name!r}; it has {known}, and all other rules stand above it")


def explain(policy: Policy) -> list[str]:
    """Say in sentences what a policy allows."""
    if not policy.enabled:
        return ["Nothing runs: the switch (enabled) is off."]
    lines = []
    if policy.hours is None:
        lines.append("At any hour.")
    else:
        lines.append(f"Only: {'; '.join(policy.hours.texts) or 'never'} ({policy.hours.zone.key}).")
    if policy.users is None:
        lines.append("As any user that the agent may become.")
    else:
        lines.append(f"Only as: {', '.join(sorted(policy.users)) or 'nobody'}.")
    if policy.digests is None and policy.signers is None:
        lines.append("Any script.")
    else:
        digests, signers = len(policy.digests or ()), len(policy.signers or ())
        one_of = f"one of {counted(digests, 'digest')}, or signed by one of {counted(signers, 'key')}"
        lines.append(f"Only scripts with {one_of}; no launcher.")
    if policy.timeout_seconds_max:
        lines.append(f"Timeouts, and the grace after them, up to {policy.timeout_seconds_max} s.")
    if policy.directories is None:
        lines.append("Files may be written anywhere.")
    else:
        lines.append(f"Files may be written below: {', '.join(policy.directories) or 'nowhere'}.")
    return lines


def _digest(text: str) -> str:
    if _BARE_DIGEST.fullmatch(text):
        return text
    if not _DIGEST.fullmatch(text):
        raise ValueError(
            f"commands: {text[:80]!r} is not a digest; write sha256: and what sha256sum prints, in small letters"
        )
    return text.removeprefix("sha256:")


def _directories(files: _FilesTable | None) -> tuple[str, ...] | None:
    if files is None or not files.allowed:
        return ()
    if files.directories is None:
        return None
    for one in files.directories:
        if not os.path.isabs(one):  # noqa: PTH117 - names of this system
            raise ValueError(f"files: the folder {one!r} is not an absolute path")
    return tuple(files.directories)


def _is_within(path: str, folder: str) -> bool:
    """Tell whether a real path is a real folder, or below it; names of Windows count whatever their case."""
    path, folder = os.path.normcase(path), os.path.normcase(folder)
    try:
        return os.path.commonpath([path, folder]) == folder
    except ValueError:
        return False  # on another drive
