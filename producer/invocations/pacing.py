"""Read how an invocation is to be paced: how many instances at once, and how many failures end it."""

import re

from ...broker_config.errors import RequestInvalid
from ...broker_config.records import Pacing, Schedule
from ..timed.modes import is_timed

_AMOUNT = re.compile(r"([0-9]{1,9})(%?)")
_CODE = "InvalidParameter.Pacing"


def of_request(at_once: str, stop_at: str, target_count: int, schedule: Schedule) -> Pacing | None:
    """The pacing that a request asks for; ``None`` for everywhere at once.

    A share is rounded up, so that it is never nobody.

    Raises:
        RequestInvalid: no amount, or a pacing for what runs when machines start.
    """
    if not at_once and not stop_at:
        return None
    if is_timed(schedule) and not schedule.frequency.strip():
        raise RequestInvalid(
            "how many at once (--at-once, AtOnce) and when to end (--stop-at, StopAt) cannot be said of what runs when "
            "machines start",
            code=_CODE,
        )
    if not at_once:
        raise RequestInvalid(
            "when to end (--stop-at, StopAt) needs how many at once (--at-once, AtOnce): "
            "what runs everywhere at once cannot be ended",
            code=_CODE,
        )
    count = _count(at_once, "how many at once (--at-once, AtOnce)", target_count)
    failures_count = _count(stop_at, "when to end (--stop-at, StopAt)", target_count) if stop_at else 0
    return Pacing(at_once_count=count, failures_count=failures_count) if count < target_count else None


def _count(text: str, what: str, target_count: int) -> int:
    found = _AMOUNT.fullmatch(text)
    number = int(found[1]) if found else 0
    is_share = bool(found and found[2])
    if not number or (is_share and number > 100):
        raise RequestInvalid(
            f"{what}: {text[:40]!r} is neither a number of instances nor a share of them such as 10%",
            code=_CODE,
        )
    return -(-target_count * number // 100) if is_share else number
