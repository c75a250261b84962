"""Put this instance's own facts where a script asks for them with ``{{ACS::…}}``."""

import re
from collections.abc import Callable, Mapping

import msgspec

from ..broker_config.error_codes import ErrorCode
from ..broker_config.messages import WorkOrder
from .execution.not_started import NotStarted

_PLACE = re.compile(r"\{\{\s*ACS\s*::\s*([\w.-]+)\s*\}\}", re.ASCII)
#: Belongs to the launcher and is resolved where the script's file gets its name.
_FILE_NAME = "ScriptFileName"
#: Read from the instance's record in Redis, which no signature covers: what is put in must stay one word or a few, and
#: never be a command, an option or a path.
_UNSIGNED = ("InstanceName", "AccountId")
_PLAIN = re.compile(r"\w[\w.:-]*(?: \w[\w.:-]*)*")


def with_built_ins(order: WorkOrder, values: Mapping[str, str]) -> WorkOrder:
    """Return the order with every built-in parameter resolved in content and launcher.

    Raises:
        NotStarted: a name is not known, has no value on this instance, or one that could become more than a name.
    """
    # Latin-1 gives every byte back as it was, whatever the script is encoded in.
    content = _resolve(order.content.decode("latin-1"), values, _as_latin)
    launcher = _resolve(order.launcher, values, str)
    return msgspec.structs.replace(order, content=content.encode("latin-1"), launcher=launcher)


def _as_latin(value: str) -> str:
    return value.encode().decode("latin-1")


def _resolve(text: str, values: Mapping[str, str], as_written: Callable[[str], str]) -> str:
    def value_of(found: re.Match[str]) -> str:
        name = found[1]
        if name == _FILE_NAME:
            return found[0]
        if name not in values:
            known = ", ".join(sorted(values))
            raise NotStarted(
                ErrorCode.INVALID_ENVIRONMENT_PARAMETER, f"there is no parameter ACS::{name}; known are {known}"
            )
        if not values[name]:
            raise NotStarted(
                ErrorCode.INVALID_ENVIRONMENT_PARAMETER,
                f"ACS::{name} has no value on this instance; give the script one as a parameter of its own",
            )
        if name in _UNSIGNED and not _PLAIN.fullmatch(values[name]):
            raise NotStarted(
                ErrorCode.INVALID_ENVIRONMENT_PARAMETER,
                f"ACS::{name} is {values[name][:60]!r} here, which could do more in a script than to name something; "
                "letters, digits and . _ - : with single blanks are put in: give the instance another name",
            )
        return as_written(values[name])

    return _PLACE.sub(value_of, text)
