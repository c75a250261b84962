"""Tell a Python program that it has mixed up what it hands in, before anything is done with it."""

from types import UnionType
from typing import Any

from ..broker_config.errors import RequestInvalid

_SHOWN_CHARACTERS = 60
#: Of what names an invocation.
INVOKE_ID = "the id as a text: the invoke_id of what was answered"


def must_be(kind: type | UnionType, value: Any, name: str, wanted: str) -> None:
    """Refuse an argument of another kind.

    Raises:
        RequestInvalid: ``InvalidParameter``; the text says what is ``wanted``.
    """
    if not isinstance(value, kind):
        raise RequestInvalid(f"{name} must be {wanted}, not {_shown(value)}", code="InvalidParameter")


def must_be_several(values: Any, name: str) -> None:
    """Refuse a single text where several are wanted: it would count as one for each of its characters.

    Raises:
        RequestInvalid: ``InvalidParameter``.
    """
    if isinstance(values, str | bytes):
        raise RequestInvalid(
            f"{name} must be a list: [{_shown(values)}], not {_shown(values)}", code="InvalidParameter"
        )


def script_bytes(content: Any) -> bytes:
    """A script as bytes.

    Raises:
        RequestInvalid: ``InvalidParameter``: it is neither a text nor bytes.
    """
    must_be(str | bytes, content, "content", "a text or bytes")
    return content.encode() if isinstance(content, str) else bytes(content)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
