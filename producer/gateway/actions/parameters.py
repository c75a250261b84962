"""Typed reading of an action's parameters, with the API's own error codes for what is missing or wrong."""

import json
import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from ..api_errors import ApiError, api_error

Default = TypeVar("Default")

#: Parameters that belong to the protocol and never to an action.
PROTOCOL_NAMES = frozenset(
    (
        *("Action", "Version", "Format", "AccessKeyId", "SecurityToken", "Timestamp"),
        *("Signature", "SignatureMethod", "SignatureVersion", "SignatureNonce", "SignatureType"),
        *("OwnerId", "OwnerAccount", "ResourceOwnerId", "ResourceOwnerAccount"),
    )
)

#: Values that are encrypted to each instance; a field of our own, which is compared and shown nowhere.
SECRET_PARAMETERS = "SecretParameters"

_INDEX = re.compile(r"([0-9]{1,9})(?:\.(.+))?", re.DOTALL)
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_BOOLEANS = {"true": True, "false": False}


class Parameters:
    """The parameters of one request, or of one object in a repeat list (``Tag.1.…``).

    Unknown parameters are never looked at. An empty value counts as not given, except for ``text``.
    """

    __slots__ = ("_prefix", "_values")

    def __init__(self, values: Mapping[str, str], *, prefix: str = "") -> None:
        self._values = values
        self._prefix = prefix

    def __contains__(self, name: str) -> bool:
        return name in self._values

    @property
    def business_values(self) -> dict[str, str]:
        """All that the caller asked for, to compare two requests: neither the protocol's own parameters nor secrets.

        What two requests are compared by is kept for a day, and a digest of a short secret can be guessed.
        """
        left_out = {*PROTOCOL_NAMES, SECRET_PARAMETERS}
        return {name: value for name, value in self._values.items() if name not in left_out}

    def text(self, name: str, default: Default | str = "") -> Default | str:
        """Give the value as it came, which may be empty, or the default if the parameter is absent."""
        return self._values.get(name, default)

    def required(self, name: str, *, code: str | None = None) -> str:
        """Give the value of a mandatory parameter.

        Raises:
            ApiError: ``Missing<Name>``, or the code given, when it is absent or empty.
        """
        value = self._values.get(name, "")
        if not value:
            raise api_error(code or f"Missing{name}", f"The parameter {self._prefix}{name} is mandatory.")
        return value

    def boolean(self, name: str, default: Default) -> bool | Default:
        """Read ``true`` or ``false`` in any case (Python clients send ``True``)."""
        value = self._values.get(name, "")
        if not value:
            return default
        known = _BOOLEANS.get(value.lower())
        if known is None:
            raise self._invalid(name, value, "true or false")
        return known

    def integer(
        self,
        name: str,
        default: Default,
        *,
        minimum: int | None = None,
        maximum: int | None = None,
        code: str | None = None,
    ) -> int | Default:
        """Read a decimal number within the given bounds."""
        value = self._values.get(name, "")
        if not value:
            return default
        if not _INTEGER.fullmatch(value):
            raise self._invalid(name, value, "a decimal number", code)
        number = int(value)
        if minimum is not None and number < minimum:
            raise self._invalid(name, value, f"at least {minimum}", code)
        if maximum is not None and number > maximum:
            raise self._invalid(name, value, f"at most {maximum}", code)
        return number

    def list_of(self, name: str) -> list[str]:
        """Collect ``Name.1``, ``Name.2``, … by the number, not by the text; gaps are tolerated."""
        found = {}
        for index, rest, value in self._repeated(name):
            if not rest:
                found[index] = value
        return [found[index] for index in sorted(found)]

    def objects(self, name: str) -> list["Parameters"]:
        """Collect ``Name.1.Key``, ``Name.1.Value``, … into one object per number."""
        found: dict[int, dict[str, str]] = {}
        for index, rest, value in self._repeated(name):
            if rest:
                found.setdefault(index, {})[rest] = value
        return [Parameters(found[index], prefix=f"{self._prefix}{name}.{index}.") for index in sorted(found)]

    def json_object(self, name: str, *, duplicate_code: str | None = None) -> dict[str, object] | None:
        """Read a JSON object, or give None if the parameter is absent.

        Raises:
            ApiError: it is not an object (``InvalidParameter.<Name>``), or a key occurs twice in it (the same, or
                the code given for that).
        """
        value = self._values.get(name, "")
        if not value:
            return None
        decoded, pairs_count = self._json(name, value)
        if not isinstance(decoded, dict):
            raise self._invalid(name, value, 'a JSON object such as {"name": "Jack"}')
        if len(decoded) != pairs_count:
            raise api_error(
                duplicate_code or f"InvalidParameter.{name}",
                f"A key occurs more than once in the parameter {self._prefix}{name}.",
            )
        return decoded

    def json_list(self, name: str, *, code: str | None = None) -> list[object] | None:
        """Read a JSON array, or give None if the parameter is absent."""
        value = self._values.get(name, "")
        if not value:
            return None
        decoded, _ = self._json(name, value, code)
        if not isinstance(decoded, list):
            raise self._invalid(name, value, 'a JSON array such as ["i-1", "i-2"]', code)
        return decoded

    def _repeated(self, name: str) -> list[tuple[int, str, str]]:
        start = name + "."
        found = []
        for key, value in self._values.items():
            if key.startswith(start):
                match = _INDEX.fullmatch(key, len(start))
                if match:
                    found.append((int(match[1]), match[2] or "", value))
        return found

    def _json(self, name: str, value: str, code: str | None = None) -> tuple[object, int]:
        """Decode, and count the entries of the outermost object before equal keys fell together."""
        try:
            # msgspec refuses what the json module lets through: NaN, lone surrogates, numbers without end.
            decoded = msgspec.json.decode(value)
            entries = json.loads(value, object_pairs_hook=list) if isinstance(decoded, dict) else []
            return decoded, len(entries)
        except (ValueError, RecursionError) as exc:
            wanted = "JSON"
            if value.startswith(("{'", "['")):
                wanted = "JSON with double quotes (this looks like a Python value: send json.dumps(…) of it)"
            raise self._invalid(name, value, wanted, code) from exc

    def _invalid(self, name: str, value: str, wanted: str, code: str | None = None) -> ApiError:
        shown = value if len(value) <= 40 else value[:40] + "…"
        return api_error(
            code or f"InvalidParameter.{name}", f"The parameter {self._prefix}{name} is {shown!r}, not {wanted}."
        )
