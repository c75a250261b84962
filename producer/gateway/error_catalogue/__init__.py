"""Every documented error code with its HTTP status, what it says and what to do about it: data, no behaviour."""

import re
from collections.abc import Mapping

from . import (
    command_rows,
    convention_rows,
    file_rows,
    invocation_rows,
    managed_instance_rows,
    protocol_rows,
    settings_rows,
)
from .convention_rows import STATUS_IN_ACTION
from .row import ErrorRow

__all__ = [
    "CATALOGUE",
    "ERROR_FAMILIES",
    "STATUS_IN_ACTION",
    "ErrorRow",
    "is_documented",
    "row_of",
]

#: All codes that have a row of their own.
CATALOGUE: Mapping[str, ErrorRow] = {
    **protocol_rows.ROWS,
    **convention_rows.ROWS,
    **command_rows.ROWS,
    **invocation_rows.ROWS,
    **file_rows.ROWS,
    **managed_instance_rows.ROWS,
    **settings_rows.ROWS,
}

#: Codes that are built from a parameter's name; a row of its own comes first.
ERROR_FAMILIES: Mapping[re.Pattern[str], ErrorRow] = {
    re.compile(r"Missing[A-Z][A-Za-z0-9]*"): ErrorRow(400, "A mandatory parameter is missing.", "Add it."),
    re.compile(r"MissingParameter\.[A-Z][A-Za-z0-9]*"): ErrorRow(400, "A mandatory parameter is missing.", "Add it."),
    re.compile(r"InvalidParameter\.[A-Z][A-Za-z0-9]*"): ErrorRow(
        400, "A parameter is not valid.", "Correct its value."
    ),
    re.compile(r"Invalid[A-Z][A-Za-z0-9]*"): ErrorRow(400, "A parameter is not valid.", "Correct its value."),
}


def row_of(code: str) -> ErrorRow:
    """Find the row of a code, or of the family it belongs to.

    Raises:
        KeyError: no documented error has this code.
    """
    row = CATALOGUE.get(code)
    if row is not None:
        return row
    for pattern, family_row in ERROR_FAMILIES.items():
        if pattern.fullmatch(code):
            return family_row
    raise KeyError(code)


def is_documented(code: str) -> bool:
    """Tell whether a code has a row, its own or its family's."""
    return code in CATALOGUE or any(pattern.fullmatch(code) for pattern in ERROR_FAMILIES)
