"""Read the words of ``assist ecs``: ``Action --Param value [value …]``, as the service's own command line has them."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ....broker_config.errors import RequestInvalid

_NAME = re.compile(r"--([A-Za-z][A-Za-z0-9]*(?:\.[A-Za-z0-9]+)*)(?:=(.*))?", re.DOTALL)
_ACTION = re.compile(r"[A-Za-z]+")
#: A word of ours among the API's parameters, which all begin with a capital letter.
FORCE = "--force"
#: Lists whose plural the older clients use, with the name that the API has.
_PLURALS = {"InstanceIds": "InstanceId", "ResourceIds": "ResourceId", "SettingTypes": "SettingType"}
#: The one action where the plural is the API's own name, of a JSON list.
_JSON_LISTS = {("DescribeInstances", "InstanceIds")}


@dataclass
class EcsCall:
    """One call of an action."""

    action: str
    parameters: dict[str, str] = field(default_factory=dict)
    #: Send parameters that the action is not known to have.
    forced: bool = False


def read_words(words: Sequence[str]) -> EcsCall:
    """Turn words into the parameters that go over the wire.

    A parameter without a value is a truth value; several values are a list, ``InstanceId.1``, ``InstanceId.2`` ….
    ``--force`` may stand anywhere and takes no value.

    Raises:
        RequestInvalid: there is no action, a value has no parameter before it, or a word is no UTF-8.
    """
    for word in words:
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            raise RequestInvalid(
                f"{word[:40]!r} holds bytes that are not UTF-8; give such content as Base64", code="InvalidParameter"
            )
    if not words or not _ACTION.fullmatch(words[0]):
        raise RequestInvalid(
            "name an action first, as in: assist ecs DescribeInvocations --InvokeId t-…", code="InvalidUsage"
        )
    call = EcsCall(words[0])
    name, values = "", list[str]()
    for word in words[1:]:
        if word == FORCE:
            call.forced = True
            continue
        found = _NAME.fullmatch(word)
        if found is None:
            if not name:
                raise RequestInvalid(f"{word!r} belongs to no parameter; write --Name {word}", code="InvalidUsage")
            values.append(word)
            continue
        if name:
            _enter(call, name, values)
        name, values = found[1], [] if found[2] is None else [found[2]]
    if name:
        _enter(call, name, values)
    return call


def _enter(call: EcsCall, name: str, values: Sequence[str]) -> None:
    if (call.action, name) in _JSON_LISTS:
        is_json = len(values) == 1 and values[0].lstrip().startswith("[")
        call.parameters[name] = values[0] if is_json else json.dumps(list(values))
    elif name in _PLURALS or len(values) > 1:
        singular = _PLURALS.get(name, name)
        # A list without a value, as an unset variable leaves it, is still given: it must not read as "all".
        for number, value in enumerate(_listed(values) or [""], 1):
            call.parameters[f"{singular}.{number}"] = value
    else:
        call.parameters[name] = values[0] if values else "true"


def _listed(values: Sequence[str]) -> Sequence[str]:
    """The values of a list; one value may be the whole list as JSON."""
    if len(values) == 1 and values[0].lstrip().startswith("["):
        try:
            return [str(one) for one in json.loads(values[0])]
        except json.JSONDecodeError as exc:
            raise RequestInvalid(f"{values[0][:60]!r} is not a JSON list", code="InvalidUsage") from exc
    return values
