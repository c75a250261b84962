"""The schedule grammar of a timed invocation, and when it is due. Pure: no Redis, no Celery, no clock.

``frequency.parse_frequency`` turns the text of ``Frequency`` into a ``Schedule``; ``checks`` holds what needs a "now".
Neither is imported here, so that code that only handles the errors does not load croniter.
"""

from .due_times import DueTime, Schedule
from .errors import InvalidFrequency
from .options import ScheduleOptions

__all__ = ["DueTime", "InvalidFrequency", "Schedule", "ScheduleOptions"]
