"""Whether an invocation runs once or by itself, and the words for its policies. Needs no calendar."""

from ...broker_config.errors import NotFound, RequestInvalid
from ...broker_config.records import RepeatMode, Schedule

OVERLAP_POLICIES = ("skip", "queue", "cancel", "allow")
MISFIRE_POLICIES = ("latest", "all", "skip")
DAY_RULES = ("either", "both")
GAP_POLICIES = ("run_after", "skip")
REPEAT_POLICIES = ("once", "twice")


def repeat_mode(text: str, frequency: str) -> RepeatMode:
    """Recognise a repeat mode; a frequency makes it ``Period`` whatever else is said.

    Raises:
        NotFound: there is no such mode. RequestInvalid: ``Period`` without a frequency.
    """
    try:
        mode = RepeatMode(text) if text else RepeatMode.ONCE
    except ValueError as exc:
        known = ", ".join(one.value for one in RepeatMode)
        raise NotFound(f"no repeat mode {text!r}; use one of {known}", code="InvalidRepeatMode.NotFound") from exc
    if frequency.strip():
        return RepeatMode.PERIOD
    if mode == RepeatMode.PERIOD:
        raise RequestInvalid(
            "repeat mode Period needs a frequency (--frequency '0 */10 * * * *')", code="MissingParam.Frequency"
        )
    return mode


def is_timed(schedule: Schedule) -> bool:
    """Tell whether an invocation with this schedule runs later and by itself."""
    return bool(schedule.frequency.strip()) or schedule.repeat_mode not in (RepeatMode.ONCE, RepeatMode.DRY_RUN)


def refuse_other_zone(schedule: Schedule, zone: str) -> None:
    """Refuse a zone that is asked for and not used, because the frequency has one of its own.

    Raises:
        RequestInvalid: the two are not the same.
    """
    if schedule.timezone and schedule.timezone.upper() != zone.upper():
        raise RequestInvalid(
            f"the frequency {schedule.frequency.strip()!r} is read in {zone} and the zone asked for is"
            f" {schedule.timezone}; name the zone in one place (at(…) without a zone is UTC)",
            code="InvalidParameter.Timezone",
        )
