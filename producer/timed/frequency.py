"""Refuse a frequency that cannot be read, in the API's words."""

from collections.abc import Iterator
from contextlib import contextmanager
from zoneinfo import ZoneInfoNotFoundError

from ...broker_config.errors import RequestInvalid
from ...broker_config.schedule import InvalidFrequency


@contextmanager
def readable_frequency() -> Iterator[None]:
    """Have a frequency that cannot be read inside, or a zone that there is not, refused.

    Raises:
        RequestInvalid: ``InvalidParam.Frequency``, with the reason and the place in it.
    """
    try:
        yield
    except (InvalidFrequency, ZoneInfoNotFoundError) as exc:
        raise RequestInvalid(f"Frequency: {exc}", code="InvalidParam.Frequency") from exc
