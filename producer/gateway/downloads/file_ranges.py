"""Which part of a file a request asks for: Range, If-Range, If-None-Match of RFC 9110."""

import re
from dataclasses import dataclass

from ..serving.http_messages import HttpRequest

_RANGE = re.compile(r"bytes=(?:([0-9]{1,15})-([0-9]{0,15})|-([0-9]{1,15}))")


@dataclass(frozen=True, slots=True)
class FilePart:
    """The part to send, and the status to send it with."""

    http_status: int
    first: int
    size_bytes: int


def part_of(request: HttpRequest, *, etag: str, size_bytes: int) -> FilePart:
    """Decide what a request for a file gets; several ranges at once get the whole file, as the standard allows."""
    if etag in (tag.strip() for tag in request.header(b"if-none-match").split(",")):
        return FilePart(304, 0, 0)
    whole = FilePart(200, 0, size_bytes)
    found = _RANGE.fullmatch(request.header(b"range").strip())
    if found is None or request.header(b"if-range").strip() not in ("", etag):
        return whole
    first_text, last_text, tail_text = found.groups()
    if tail_text is not None:
        first, last = max(0, size_bytes - int(tail_text)), size_bytes - 1
    else:
        first, last = int(first_text), min(int(last_text or size_bytes), size_bytes - 1)
        if last_text and int(last_text) < first:
            return whole
    if first >= size_bytes:
        return FilePart(416, 0, 0)
    return FilePart(206, first, last - first + 1)
