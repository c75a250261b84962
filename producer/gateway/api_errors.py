"""The API's errors: one exception, and how it is made from the catalogue of documented codes."""

from .error_catalogue import STATUS_IN_ACTION, row_of


class ApiError(Exception):
    """A request refused, with the code that clients key on and a message for people.

    ``retry_after_seconds`` becomes the header ``x-acs-retry-after``, which the SDKs turn into their own throttling
    exception.
    """

    def __init__(self, code: str, http_status: int, message: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.http_status = http_status
        self.message = message
        self.retry_after_seconds = retry_after_seconds


def api_error(code: str, detail: str = "", *, action: str = "", retry_after_seconds: int | None = None) -> ApiError:
    """Make the error of a documented code; the detail replaces the catalogue's general sentence.

    Raises:
        KeyError: the code is documented nowhere (a mistake of ours, not of the caller).
    """
    row = row_of(code)
    message = f"{detail or row.what} {row.remedy}"
    return ApiError(code, http_status_of(code, action), message, retry_after_seconds=retry_after_seconds)


def http_status_of(code: str, action: str = "") -> int:
    """Give the HTTP status of a code; a few differ by action."""
    return STATUS_IN_ACTION.get((action, code)) or row_of(code).http_status
