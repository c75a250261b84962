"""What an access key is limited to, within what its role may do."""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec

from ...broker_config.errors import RequestInvalid
from .. import validation
from .known_actions import KNOWN_ACTIONS, is_any, nearest

_ACTION = re.compile(r"[A-Za-z*?]{1,64}")
_COMMAND_ID = re.compile(r"c-[A-Za-z0-9_-]{1,64}")
#: The account that a script runs as when none is named, in the words of a scope.
DEFAULT_USER = "root"


class Scope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Limits of one access key; each that is empty does not limit."""

    #: Actions of the API; ``*`` stands for any letters.
    actions: Sequence[str] = ()
    #: Only instances that carry every one of these tags.
    instance_tags: Mapping[str, str] = {}
    #: Only these stored commands, and nothing that is not stored.
    command_ids: Sequence[str] = ()
    #: Only as these accounts; ``root`` is also the one that is used when none is named.
    user_names: Sequence[str] = ()

    def permits_action(self, action: str) -> bool:
        """Tell whether an action is within it."""
        return not self.actions or any(fnmatchcase(action, pattern) for pattern in self.actions)

    def permits_command(self, command_id: str) -> bool:
        """Tell whether a stored command is within it."""
        return not self.command_ids or command_id in self.command_ids

    def permits_user(self, user_name: str) -> bool:
        """Tell whether a script may run as this account; ``""`` is the agent's own."""
        return not self.user_names or (user_name or DEFAULT_USER) in self.user_names

    def shown(self) -> str:
        """All limits on one line; ``""`` when there are none."""
        parts = [f"action={one}" for one in self.actions]
        parts += [f"instance-tag={key}={value}" for key, value in self.instance_tags.items()]
        parts += [f"command={one}" for one in self.command_ids]
        parts += [f"user-name={one}" for one in self.user_names]
        return " ".join(parts)


def checked(scope: Scope | None) -> Scope | None:
    """Check a scope; ``None`` for one that limits nothing.

    Raises:
        RequestInvalid: a limit could never match, and would lock its holder out or be mistaken for another.
    """
    if scope is None or scope == Scope():
        return None
    for one in scope.actions:
        if not _ACTION.fullmatch(one):
            raise RequestInvalid(
                f"{one[:70]!r} is not an action of the API, nor a pattern such as 'Describe*'", code=_CODE
            )
        if not is_any(one):
            raise RequestInvalid(_unknown_action(one), code=_CODE)
    for one in scope.command_ids:
        if not _COMMAND_ID.fullmatch(one):
            raise RequestInvalid(f"{one!r} is not the id of a stored command (c-…)", code=_CODE)
    for one in scope.user_names:
        validation.username(one)
        if not one.strip():
            raise RequestInvalid(f"name the account; {DEFAULT_USER} is the one used when none is named", code=_CODE)
    validation.tags(scope.instance_tags, key_characters=validation.LATER_TAG_KEY_CHARACTERS)
    return scope


def _unknown_action(name: str) -> str:
    near = nearest(name)
    hint = f"; did you mean {near}?" if near else "."
    return f"no action of the API is {name!r} or fits it{hint} There are: {', '.join(KNOWN_ACTIONS)}"


_CODE = "InvalidParameter.Scope"
