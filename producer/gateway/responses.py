"""Write answers and errors as JSON or XML, as the API's clients expect them byte for byte."""

import re
from collections import deque
from collections.abc import Mapping
from enum import StrEnum
from xml.sax.saxutils import escape

import msgspec

from .access.signature_v3 import is_v3
from .api_errors import ApiError, api_error
from .serving.http_messages import HttpReply, HttpRequest


class AnswerFormat(StrEnum):
    """How the body of an answer is written."""

    JSON = "JSON"
    XML = "XML"


#: Exactly these: the new SDK reads an error as XML only under this very spelling.
CONTENT_TYPES: Mapping[AnswerFormat, str] = {
    AnswerFormat.JSON: "application/json;charset=utf-8",
    AnswerFormat.XML: "text/xml;charset=utf-8",
}

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def format_of(request: HttpRequest, parameters: Mapping[str, str]) -> AnswerFormat:
    """Choose the format: version 3 by ``accept``, else JSON; version 1 by ``Format``, else XML.

    Raises:
        ApiError: ``InvalidParameter.Format`` when version 1 asks for anything else.
    """
    if is_v3(request):
        return _accepted(request, otherwise=AnswerFormat.JSON)
    wanted = parameters.get("Format", "")
    if wanted:
        try:
            return AnswerFormat(wanted.upper())
        except ValueError as exc:
            raise api_error("InvalidParameter.Format") from exc
    if "Signature" in parameters:
        return AnswerFormat.XML
    return _accepted(request, otherwise=AnswerFormat.XML)


class _Written:
    """An entry that needs no more than to be put in its place."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text


#: Holds the place of such an entry: no text in UTF-8 has this byte.
_PLACE = b"\xff"


def written_entry(name: str, entry: Mapping[str, object], answer_format: AnswerFormat) -> object:
    """Write one entry of an answer's list ``name``, to stand there in place of the entry itself."""
    if answer_format is AnswerFormat.JSON:
        return _Written(msgspec.json.encode(entry))
    parts: list[str] = []
    _write_element(parts, name, entry, deque())
    return _Written("".join(parts).encode())


def success_reply(action: str, fields: Mapping[str, object], request_id: str, answer_format: AnswerFormat) -> HttpReply:
    """Write an action's fields, with the request id, under status 200."""
    body = {**fields, "RequestId": request_id}
    return _reply(200, f"{action}Response", body, request_id, answer_format)


def error_reply(error: ApiError, called_name: str, request_id: str, answer_format: AnswerFormat) -> HttpReply:
    """Write an error in the API's shape; the new SDK cannot read any other."""
    body = {
        "RequestId": request_id,
        "HostId": called_name,
        "Code": error.code,
        "Message": error.message,
        "Recommend": "",
    }
    headers = {}
    if error.retry_after_seconds is not None:
        headers["x-acs-retry-after"] = str(error.retry_after_seconds)
    return _reply(error.http_status, "Error", body, request_id, answer_format, headers)


def _accepted(request: HttpRequest, *, otherwise: AnswerFormat) -> AnswerFormat:
    accept = request.header(b"accept").lower()
    if "json" in accept:
        return AnswerFormat.JSON
    if "xml" in accept:
        return AnswerFormat.XML
    return otherwise


def _reply(
    http_status: int,
    root: str,
    body: Mapping[str, object],
    request_id: str,
    answer_format: AnswerFormat,
    headers: Mapping[str, str] | None = None,
) -> HttpReply:
    written: deque[bytes] = deque()
    is_json = answer_format is AnswerFormat.JSON
    document = _json_document(body, written) if is_json else _xml_document(root, body, written)
    first, *between = document.split(_PLACE)
    more = deque(piece for pair in zip(written, between, strict=True) for piece in pair)
    return HttpReply(
        http_status,
        CONTENT_TYPES[answer_format],
        first,
        {"x-acs-request-id": request_id, **(headers or {})},
        more,
    )


def _json_document(body: Mapping[str, object], written: deque[bytes]) -> bytes:
    def leave_place(value: object) -> msgspec.Raw:
        if not isinstance(value, _Written):
            raise TypeError(f"an answer cannot hold a {type(value).__name__}")
        written.append(value.text)
        return msgspec.Raw(_PLACE)

    return msgspec.json.encode(body, enc_hook=leave_place)


def _xml_document(root: str, body: Mapping[str, object], written: deque[bytes]) -> bytes:
    parts = ['<?xml version="1.0" encoding="UTF-8"?>']
    _write_element(parts, root, body, written)
    return "".join(parts).encode("utf-8", "surrogateescape")


def _write_element(parts: list[str], name: str, value: object, written: deque[bytes]) -> None:
    """Append one element; a list becomes the element once per entry, so a wrapper pair nests by itself."""
    if isinstance(value, _Written):
        written.append(value.text)
        parts.append(_PLACE.decode("utf-8", "surrogateescape"))
    elif isinstance(value, list | tuple):
        for entry in value:
            _write_element(parts, name, entry, written)
    elif isinstance(value, Mapping):
        parts.append(f"<{name}>")
        for key, inner in value.items():
            _write_element(parts, str(key), inner, written)
        parts.append(f"</{name}>")
    else:
        parts.append(f"<{name}>{_xml_text(value)}</{name}>")


def _xml_text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    # A carriage return must be a reference or readers turn it into a line feed; what XML forbids cannot be sent.
    return escape(_NOT_XML.sub("\ufffd", str(value)), {"\r": "&#13;"})
