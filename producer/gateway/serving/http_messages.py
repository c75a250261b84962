"""One HTTP request as it arrived and one reply as it leaves; nothing about the API's meaning."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

FORM_CONTENT_TYPE = "application/x-www-form-urlencoded"
#: What a header takes in memory beside its text.
_HEADER_BYTES = 200
#: No name and port are longer; answers repeat them.
_CALLED_NAME_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A complete request. Header names are lower case; the query and the body are the bytes from the wire."""

    method: str
    path: str
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes

    @classmethod
    def of(cls, scope: Mapping[str, Any], path: str) -> "HttpRequest":
        """A request as ASGI gives it, whose body is still to come."""
        headers = [(name, value) for name, value in scope["headers"]]
        return cls(scope["method"], path, scope["query_string"], headers, b"")

    def header_values(self, name: bytes) -> list[bytes]:
        """List every value of a header, in the order of arrival."""
        return [value for key, value in self.headers if key == name]

    def header(self, name: bytes) -> str:
        """Give the first value of a header as text, or the empty string."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return ""

    @property
    def head_bytes(self) -> int:
        """About how many bytes the request line and the headers take, here and not on the wire."""
        headers_bytes = sum(_HEADER_BYTES + len(key) + len(value) for key, value in self.headers)
        return len(self.path) + len(self.query) + headers_bytes

    @property
    def called_name(self) -> str:
        """The name, with port, under which the client called us (its ``Host`` header); ``""`` when that is none."""
        name = self.header(b"host")
        return name if len(name) <= _CALLED_NAME_CHARACTERS else ""

    @property
    def has_form(self) -> bool:
        """Whether the body is a form, whose fields count as parameters."""
        return self.header(b"content-type").lower().startswith(FORM_CONTENT_TYPE)


@dataclass(frozen=True, slots=True)
class HttpReply:
    """A complete reply. ``Content-Length`` is added when it is sent."""

    http_status: int
    content_type: str
    body: bytes
    headers: Mapping[str, str]
    #: The rest of a large answer, which would take twice its room in one piece; a piece goes when it is sent.
    more: deque[bytes] = field(default_factory=deque)

    @property
    def body_bytes(self) -> int:
        """How many bytes the body has, as far as it is not sent yet."""
        return len(self.body) + sum(map(len, self.more))

    def closing(self) -> "HttpReply":
        """The same reply, with which the connection ends."""
        return replace(self, headers={**self.headers, "connection": "close"})


def text_reply(http_status: int, text: str, headers: Mapping[str, str] | None = None) -> HttpReply:
    """Make a reply of plain text."""
    return HttpReply(http_status, "text/plain; charset=utf-8", text.encode(), headers or {})


def path_of_target(raw_path: bytes) -> str:
    """Reduce a request target to its path.

    Clients behind ``HTTP_PROXY`` send the absolute form (``POST http://name/?…``); it means the path after the name.
    """
    lowered = raw_path[:8].lower()
    if lowered.startswith((b"http://", b"https://")):
        after_scheme = raw_path.split(b"://", 1)[1]
        _, slash, rest = after_scheme.partition(b"/")
        raw_path = slash + rest if slash else b"/"
    return raw_path.decode("latin-1")
