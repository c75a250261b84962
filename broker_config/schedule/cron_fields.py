"""The text of a cron expression, field by field: second first, six fields, then a year, then a zone."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .day_fields import DayOfMonth, DayOfWeek, days_selected, parse_day_of_month, parse_day_of_week
from .fields import HOUR, MINUTE, MONTH, SECOND, YEAR, FieldValues, field_values
from .options import DayRule
from .text_span import Span

ORDER = "second minute hour day-of-month month day-of-week [year] [zone]"

#: A seventh field is a year when it begins like one; the names of zones begin with a letter.
_YEAR_LIKE = re.compile(r"[0-9*?]|.*(19[7-9][0-9]|20[0-9]{2})")
_RANDOM = re.compile(r"[HR](\(|/|$)", re.IGNORECASE)


@dataclass(frozen=True)
class CronFields:
    """Hold the parsed fields; every tuple is ascending and not empty."""

    second: FieldValues
    minute: FieldValues
    hour: FieldValues
    day_of_month: DayOfMonth
    month: FieldValues
    day_of_week: DayOfWeek
    year: FieldValues

    @property
    def canonical(self) -> str:
        """Return the fields as text, numbers instead of names, without a year that says nothing."""
        time_of_day = f"{self.second.canonical} {self.minute.canonical} {self.hour.canonical}"
        day = f"{self.day_of_month.canonical} {self.month.canonical} {self.day_of_week.canonical}"
        text = f"{time_of_day} {day}"
        return text if self.year.canonical == "*" else f"{text} {self.year.canonical}"

    def days_selected(self, day_rule: DayRule, first_weekday: int, length: int) -> tuple[int, ...]:
        """Return the matching days of a month, by the weekday of its first day (0 is Sunday) and its length."""
        return days_selected(self.day_of_month, self.day_of_week, day_rule, first_weekday, length)


def split_cron(expression: Span) -> tuple[list[Span], Span | None]:
    """Separate an expression into its six or seven fields and the zone at its end, if it has one.

    Of seven words the last is the year if it begins with a digit, ``*`` or ``?`` or contains a year, else the zone;
    of eight words they are the year and the zone.
    """
    words = expression.words()
    if len(words) == 6:
        return words, None
    if len(words) == 7:
        return (words, None) if _YEAR_LIKE.match(words[6].text) else (words[:6], words[6])
    if len(words) == 8:
        return words[:7], words[7]
    if words and words[0].text.startswith("@"):
        raise words[0].refused(f"{words[0].text!r}: nicknames are not part of the grammar; write the fields {ORDER}")
    raise expression.refused(f"a cron expression has 6 to 8 fields and this has {len(words)}; the order is {ORDER}")


def parse_cron_fields(words: list[Span]) -> CronFields:
    """Parse six or seven fields.

    Raises:
        InvalidFrequency: it points at the first field that is wrong.
    """
    for word in words:
        if _RANDOM.match(word.text):
            raise word.refused(f"{word.text!r}: random and hashed fields are refused, a due time is never a surprise")
    year = words[6] if len(words) == 7 else Span.whole("*")
    return CronFields(
        second=field_values(words[0], SECOND),
        minute=field_values(words[1], MINUTE),
        hour=field_values(words[2], HOUR),
        day_of_month=parse_day_of_month(words[3]),
        month=field_values(words[4], MONTH),
        day_of_week=parse_day_of_week(words[5]),
        year=field_values(year, YEAR),
    )
