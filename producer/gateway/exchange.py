"""One request to the API on its way to a reply, with all that becomes known about it for the log."""

import re
import uuid
from collections.abc import Mapping
from contextlib import suppress

from ..security.caller import AccessKey
from .api_errors import ApiError
from .request_parameters import assembled
from .responses import AnswerFormat, error_reply, format_of, success_reply, written_entry
from .serving.http_messages import HttpReply, HttpRequest

_SAFE_IN_LOG = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SAFE_PATH_IN_LOG = re.compile(r"[A-Za-z0-9._/-]{1,200}")


class Exchange:
    """A request, its id, and the reply in the format the client can read."""

    __slots__ = ("access_key_id", "action", "answer_format", "caller", "code", "request", "request_id", "source")

    def __init__(self, request: HttpRequest, source: str = "") -> None:
        self.request = request
        #: The client's address, behind trusted proxies too.
        self.source = source
        #: Who has proved to have sent it.
        self.caller: AccessKey | None = None
        self.request_id = new_request_id()
        # JSON until the request says otherwise: the new SDK fails on an error that is anything else.
        self.answer_format = AnswerFormat.JSON
        self.action = ""
        self.access_key_id = ""
        self.code = ""

    def choose_format(self, parameters: Mapping[str, str]) -> None:
        """Fix the reply's format from what the request asks for."""
        self.answer_format = format_of(self.request, parameters)

    def guess_format(self) -> None:
        """Fix the reply's format for a refusal before the request was read whole; JSON if it cannot be told."""
        with suppress(ApiError):
            self.choose_format(assembled(self.request).merged)

    def written(self, name: str, entry: Mapping[str, object]) -> object:
        """Write one entry of a list of the reply to come, which so takes the room of its text alone."""
        return written_entry(name, entry, self.answer_format)

    def succeeded(self, fields: Mapping[str, object]) -> HttpReply:
        """Make the reply that carries an action's fields."""
        reply = success_reply(self.action, fields, self.request_id, self.answer_format)
        self.code = "OK"
        return reply

    def refused(self, error: ApiError) -> HttpReply:
        """Make the reply that carries an error."""
        self.code = error.code
        return error_reply(error, self.request.called_name, self.request_id, self.answer_format)


def new_request_id() -> str:
    """Name one request."""
    return str(uuid.uuid4()).upper()


def safe_in_log(text: str) -> str:
    """Show a client's word in a log line only if it is harmless there: one short word, no line break."""
    if not text:
        return "-"
    return text if _SAFE_IN_LOG.fullmatch(text) else "(unprintable)"


def safe_path_in_log(path: str) -> str:
    """Show a request's path in a log line only if it is harmless there."""
    return path if _SAFE_PATH_IN_LOG.fullmatch(path) else "(unprintable)"
