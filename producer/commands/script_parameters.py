"""Find and fill ``{{name}}`` in a command's content. Pure.

Built-ins (``{{ACS::InstanceId}}`` …) are recognised and left alone: the instance resolves them.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping

from ...broker_config.errors import Refused, RequestInvalid

_BRACES = re.compile(rb"\{\{([^{}]*)\}\}")
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_BUILT_IN = re.compile(r"acs::[A-Za-z0-9_.-]+", re.IGNORECASE)
#: The service's limits: names in a command, values in one request, bytes of a name.
NAMES_COUNT = 20
VALUES_COUNT = 10
NAME_BYTES = 64


def variable_of(name: str) -> str:
    """The environment variable in which a script finds a parameter."""
    return "CA_PARAM_" + name.upper().replace("-", "_")


def is_built_in(name: str) -> bool:
    """Tell whether a name belongs to the reserved ``acs::`` family."""
    return name.lower().startswith("acs::")


def names_in(content: bytes) -> tuple[str, ...]:
    """List the parameter names of a content in order of first use; blanks inside the braces do not count.

    Raises:
        RequestInvalid: an empty or malformed name.
        Refused: too many names, or one too long.
    """
    names: dict[str, str] = {}
    for found in _BRACES.finditer(content):
        name = "".join(found[1].decode("utf-8", "replace").split())
        check_name(name)
        names.setdefault(name.lower(), name)
    if len(names) > NAMES_COUNT:
        raise Refused(
            f"the content has {len(names)} parameters; at most {NAMES_COUNT} are allowed, built-ins included",
            code="CmdParamCount.ExceedLimit",
        )
    return tuple(names.values())


def check_name(name: str) -> None:
    """Refuse a parameter name that the API does not allow."""
    if not name:
        raise RequestInvalid("a parameter in the content has no name: '{{}}'", code="CmdParam.EmptyKey")
    if not (_BUILT_IN.fullmatch(name) or _NAME.fullmatch(name)):
        raise RequestInvalid(
            f"parameter name {name!r} is not allowed; use letters, digits, '-' and '_' "
            "(or switch parameters off when the braces belong to the script)",
            code="CmdParam.InvalidParamName",
        )
    if len(name.encode()) > NAME_BYTES:
        raise Refused(f"parameter name {name!r} is longer than {NAME_BYTES} bytes", code="CmdParamName.ExceedLimit")


def check_variables(names: Iterable[str], without_text: Collection[str]) -> None:
    """Refuse two names of one variable, unless the text tells them apart: the script would find only one value.

    Raises:
        RequestInvalid: one of ``without_text``, which reach a script by their variable alone, shares it with another.
    """
    taken: dict[str, str] = {}
    for name in names:
        variable = variable_of(name)
        if variable in taken and (name in without_text or taken[variable] in without_text):
            raise RequestInvalid(
                f"parameters {taken[variable]!r} and {name!r} would both be the variable {variable}; rename one",
                code="CmdParam.InvalidParamName",
            )
        taken[variable] = name


def check_values(names: tuple[str, ...], values: Mapping[str, object], *, enabled: bool) -> dict[str, str]:
    """Match the values of a request with the names of a command; the result is spelled as the command spells it.

    A name without a value becomes the empty string.

    Raises:
        RequestInvalid, Refused: with the API's code for each way of being wrong.
    """
    custom = [name for name in names if not is_built_in(name)]
    if values and not enabled:
        raise RequestInvalid(
            "this command takes no parameters; create it with --parameter KEY, or with --enable-parameter and {{KEY}}",
            code="Parameter.Disabled",
        )
    if len(values) > VALUES_COUNT:
        raise Refused(f"{len(values)} parameters given; at most {VALUES_COUNT}", code="ParameterCount.ExceedLimit")
    spelled = {name.lower(): name for name in custom}
    given: dict[str, str] = {}
    for key, value in values.items():
        if len(key) > NAME_BYTES:
            raise Refused(f"parameter name {key[:70]!r} is too long", code="ParameterKey.ExceedLimit")
        if not isinstance(value, str):
            raise Refused(
                f"parameter {key!r} must be text, not {type(value).__name__}", code="ParameterType.NotSupported"
            )
        if key.lower() not in spelled:
            known = ", ".join(custom) or "none"
            raise Refused(f"the command has no parameter {key!r}; it has: {known}", code="Parameter.NotMatched")
        if spelled[key.lower()] in given:
            raise Refused(f"parameter {key!r} is given twice", code="ParameterKey.Duplicate")
        if "\0" in value:
            raise Refused(f"parameter {key!r} holds a NUL", code="InvalidParameterCharset.Parameters")
        given[spelled[key.lower()]] = value
    return {name: given.get(name, "") for name in custom}


def substitute(content: bytes, values: Mapping[str, str]) -> bytes:
    """Put values into the text; what is not among them (built-ins) stays."""
    return _BRACES.sub(_filling(values), content)


def substituted_bytes(content: bytes, values: Mapping[str, str]) -> int:
    """How long the text becomes: one long value in many places is more than the memory holds."""
    fill = _filling(values)
    return len(content) + sum(len(fill(found)) - len(found[0]) for found in _BRACES.finditer(content))


def _filling(values: Mapping[str, str]) -> Callable[[re.Match[bytes]], bytes]:
    lowered = {name.lower(): value.encode() for name, value in values.items()}

    def fill(found: re.Match[bytes]) -> bytes:
        name = "".join(found[1].decode("utf-8", "replace").split()).lower()
        return lowered.get(name, found[0])

    return fill
