"""Make few large answers at once, so that those who list a large fleet leave memory and time for others."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from .api_errors import api_error
from .serving.freed_memory import give_back_memory

#: An answer with fewer rows is made whatever else is going on: a fraction of a second.
LARGE_ROWS_COUNT = 5_000
#: Rows of all large answers that are being made: a few seconds of one processor, and about 100 MB.
ROWS_COUNT = 100_000
#: About as long as making one takes.
_RETRY_SECONDS = 5


class LargeAnswers:
    """Room for a number of rows at once; one answer that is larger than that is made when there is no other."""

    def __init__(self, rows_count: int = ROWS_COUNT, *, large_rows_count: int = LARGE_ROWS_COUNT) -> None:
        self._rows_count = rows_count
        self._large_rows_count = large_rows_count
        self._taken_count = 0
        self._lock = threading.Lock()

    @contextmanager
    def room_for(self, row_count: int) -> Iterator[None]:
        """Have room while an answer is made.

        Raises:
            ApiError: ``ServiceUnavailable``: there is none at present; the client is told to come back.
        """
        if row_count < self._large_rows_count:
            yield
            return
        with self._lock:
            if self._taken_count and self._taken_count + row_count > self._rows_count:
                raise api_error(
                    "ServiceUnavailable",
                    f"Other answers as large as this one ({row_count:,} results) are being made: come back in "
                    f"{_RETRY_SECONDS} s, ask for smaller pages, or page through the results of one invocation.",
                    retry_after_seconds=_RETRY_SECONDS,
                )
            self._taken_count += row_count
        try:
            # Answers before may lie in circles that nobody has collected yet.
            give_back_memory()
            yield
        finally:
            give_back_memory()
            with self._lock:
                self._taken_count -= row_count
