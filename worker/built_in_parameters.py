"""Put this instance's own facts where a script asks for them with ``{{ACS::…}}``."""

import re
from collections.abc import Mapping

import msgspec

from ..broker_config.error_codes import ErrorCode
from ..broker_config.messages import WorkOrder
from .execution.not_started import NotStarted

_PLACE = re.compile(r"\{\{\s*ACS\s*::\s*([\w.-]+)\s*\}\}", re.ASCII)
#: Belongs to the launcher and is resolved where the script's file gets its name.
_FILE_NAME = "ScriptFileName"


def with_built_ins(order: WorkOrder, values: Mapping[str, str]) -> WorkOrder:
    """Return the order with every built-in parameter resolved in content and launcher.

    Raises:
        NotStarted: a name is not known, or has no value on this instance.
    """
    # Latin-1 gives every byte back as it was, whatever the script is encoded in.
    content = _resolve(order.content.decode("latin-1"), {name: _as_latin(value) for name, value in values.items()})
    launcher = _resolve(order.launcher, values)
    return msgspec.structs.replace(order, content=content.encode("latin-1"), launcher=launcher)


def _as_latin(value: str) -> str:
    return value.encode().decode("latin-1")


def _resolve(text: str, values: Mapping[str, str]) -> str:
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
                ErrorCode.INVALID_ENVIRONMENT_PARAMETER, f"ACS::{name} has no value on this instance; set one first"
            )
        return values[name]

    return _PLACE.sub(value_of, text)
