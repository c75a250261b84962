"""The hours in which an instance may upgrade its agent: ``02:00-04:30``, in its own local time or in UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from ..errors import RequestInvalid

_TEXT = re.compile(
    r"(?:(?P<days>(?:mon|tue|wed|thu|fri|sat|sun)(?:,(?:mon|tue|wed|thu|fri|sat|sun))*) )?"
    r"(?P<from>[0-2][0-9]:[0-5][0-9])-(?P<to>[0-2][0-9]:[0-5][0-9])(?P<utc> utc)?"
)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True)
class UpgradeWindow:
    """Some hours of some days; one that ends before it begins goes on past midnight."""

    days: frozenset[int]
    first_minute: int
    end_minute: int
    is_utc: bool

    def holds(self, at_ms: int) -> bool:
        """Tell whether a moment lies in the window, which belongs to the day on which it begins."""
        moment = datetime.fromtimestamp(at_ms / 1000, UTC)
        if not self.is_utc:
            moment = moment.astimezone()
        minute = moment.hour * 60 + moment.minute
        today, yesterday = moment.weekday(), (moment.weekday() - 1) % 7
        if self.first_minute < self.end_minute:
            return today in self.days and self.first_minute <= minute < self.end_minute
        return (today in self.days and minute >= self.first_minute) or (
            yesterday in self.days and minute < self.end_minute
        )


def parse_window(text: str) -> UpgradeWindow | None:
    """Read ``02:00-04:30``, ``sat,sun 22:00-06:00 UTC``; ``None`` for ``""``, which is any time.

    Raises:
        RequestInvalid: it is no window.
    """
    if not text:
        return None
    found = _TEXT.fullmatch(text.lower())
    if found is None or _minute(found["from"]) >= _DAY_MINUTES or _minute(found["to"]) > _DAY_MINUTES:
        raise RequestInvalid(
            f"{text!r} is not a window; write 02:00-04:30, or sat,sun 22:00-06:00 UTC", code="InvalidParameter.Window"
        )
    names = found["days"].split(",") if found["days"] else _DAYS
    days = frozenset(_DAYS.index(name) for name in names)
    return UpgradeWindow(days, _minute(found["from"]), _minute(found["to"]), bool(found["utc"]))


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
