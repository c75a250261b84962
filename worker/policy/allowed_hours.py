"""Hours in which a local policy lets scripts run: ``Mon-Fri 08:00-18:00`` in a named zone."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_STRETCH = re.compile(
    r"(?:(?P<days>[A-Za-z]{3}(?:-[A-Za-z]{3})?(?:,[A-Za-z]{3}(?:-[A-Za-z]{3})?)*)\s+)?"
    r"(?P<begin>\d\d:\d\d)-(?P<end>\d\d:\d\d)"
)
_DAY_MINUTES = 24 * 60


@dataclass(frozen=True)
class Stretch:
    """Some minutes of some weekdays; an end before the beginning lies on the next day."""

    days: frozenset[int]
    begin_minute: int
    end_minute: int

    def holds(self, local: datetime) -> bool:
        """Tell whether a moment lies in it."""
        minute = local.hour * 60 + local.minute
        if self.begin_minute < self.end_minute:
            return local.weekday() in self.days and self.begin_minute <= minute < self.end_minute
        if minute >= self.begin_minute:
            return local.weekday() in self.days
        return minute < self.end_minute and (local - timedelta(days=1)).weekday() in self.days


@dataclass(frozen=True)
class Hours:
    """Stretches in one zone; none at all means never."""

    stretches: tuple[Stretch, ...]
    zone: ZoneInfo
    #: As the policy writes them.
    texts: tuple[str, ...]

    def hold(self, now_ms: int) -> bool:
        """Tell whether a moment lies in one of them."""
        local = self.local(now_ms)
        return any(one.holds(local) for one in self.stretches)

    def local(self, now_ms: int) -> datetime:
        """A moment as clocks of the zone show it."""
        return datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(self.zone)


def parse_hours(texts: list[str], zone: str) -> Hours:
    """Read the texts of a policy.

    Raises:
        ValueError: one of them, or the zone, cannot be read.
    """
    try:
        return Hours(tuple(_stretch(one) for one in texts), ZoneInfo(zone), tuple(texts))
    except (ZoneInfoNotFoundError, OSError) as exc:
        raise ValueError(f"there is no time zone {zone!r}; use a name as Europe/Berlin or UTC") from exc


def _stretch(text: str) -> Stretch:
    found = _STRETCH.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"{text!r} are not hours; write them as 'Mon-Fri 08:00-18:00', 'Sat,Sun 10:00-12:00' or '22:00-06:00'"
        )
    begin, end = _minute(found["begin"]), _minute(found["end"])
    if begin == end:
        raise ValueError(f"{text!r} has no length; write the whole day as 00:00-24:00")
    return Stretch(_days(found["days"]), begin, end)


def _minute(text: str) -> int:
    minute = int(text[:2]) * 60 + int(text[3:])
    if int(text[3:]) > 59 or minute > _DAY_MINUTES:
        raise ValueError(f"{text!r} is not a time of day")
    return minute


def _days(text: str | None) -> frozenset[int]:
    if text is None:
        return frozenset(range(7))
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin, end = _day(first), _day(last or first)
        days.update((begin + step) % 7 for step in range((end - begin) % 7 + 1))
    return frozenset(days)


def _day(name: str) -> int:
    if name.title() not in _DAYS:
        raise ValueError(f"{name!r} is not a day; use {', '.join(_DAYS)}")
    return _DAYS.index(name.title())
