"""The shape of one row of the error catalogue."""

from typing import NamedTuple


class ErrorRow(NamedTuple):
    """One documented error: its HTTP status, what it says in general, and what the caller can do about it."""

    http_status: int
    what: str
    remedy: str
