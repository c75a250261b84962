"""Read a ``Frequency``: cron with the second first, ``rate(...)`` or ``at(...)``."""

from __future__ import annotations

from .at import parse_at
from .cron import CronSchedule
from .cron_fields import parse_cron_fields, split_cron
from .due_times import Schedule
from .errors import InvalidFrequency
from .options import ScheduleOptions
from .rate import parse_rate
from .text_span import Span
from .zones import zone_name

#: Longer than the longest sensible expression (every value of every field in lists), short enough to parse at once.
MAXIMUM_LENGTH_CHARACTERS = 2048

_DEFAULT_OPTIONS = ScheduleOptions()


def parse_frequency(
    text: str, *, default_zone: str = "UTC", anchor_ms: int, options: ScheduleOptions = _DEFAULT_OPTIONS
) -> Schedule:
    """Turn the text of a frequency into a schedule.

    ``default_zone`` is the zone of a cron expression that names none; ``at`` without a zone is UTC. ``anchor_ms`` is
    the creation time, where the grid of a ``rate`` starts. What depends on the present (no future run, runs too close
    together) is left to ``checks``.

    Raises:
        InvalidFrequency: with the reason and the position of the first thing that is wrong.
    """
    if len(text) > MAXIMUM_LENGTH_CHARACTERS:
        reason = f"a frequency has at most {MAXIMUM_LENGTH_CHARACTERS} characters and this has {len(text)}"
        raise InvalidFrequency(reason, MAXIMUM_LENGTH_CHARACTERS, text[:MAXIMUM_LENGTH_CHARACTERS])
    expression = Span.whole(text).stripped()
    default = zone_name(Span.whole(default_zone))
    keyword = expression.text[:4].lower()
    if not keyword:
        raise expression.refused("the frequency is empty; write a cron expression, rate(...) or at(...)")
    if keyword == "rate":
        return parse_rate(expression, default, anchor_ms)
    if keyword.startswith("at"):
        return parse_at(expression, options)
    words, zone = split_cron(expression)
    return CronSchedule(parse_cron_fields(words), default if zone is None else zone_name(zone), options)
