"""Timed invocations and their firings in the words of the API, as ``--output json`` shows them."""

from contextlib import suppress

from ...broker_config.clock import iso_seconds
from ...broker_config.errors import RecordUnreadable
from ...broker_config.schedule import DueTime
from ...broker_config.timed.timed_invocation import stored_calendar
from ..shapes import Shape, pacing_shape
from .showing import FiringView, Preview, TimedView


def due_time_shape(preview: Preview, due: DueTime) -> Shape:
    """One due time in UTC and in the schedule's zone."""
    shape = {"Utc": iso_seconds(due.utc_ms), "Local": preview.calendar.local_text(due)}
    return {**shape, "Skipped": due.skipped} if due.skipped else shape


def preview_shape(preview: Preview) -> Shape:
    """When a schedule is due."""
    return {
        "TimeZone": preview.calendar.zone,
        "DueTimes": [due_time_shape(preview, due) for due in preview.due_times],
    }


def timed_shape(view: TimedView) -> Shape:
    """One timed invocation."""
    timed, record = view.timed, view.stored.record
    schedule = timed.schedule
    local = ""
    if timed.due is not None:
        # In a list, one whose schedule is of a newer release must not hide the others.
        with suppress(RecordUnreadable):
            local = stored_calendar(timed).local_text(timed.due)
    return {
        "InvokeId": timed.invoke_id,
        "CommandId": record.command.command_id,
        "CommandName": record.command.name,
        "RepeatMode": schedule.repeat_mode.value,
        "Frequency": schedule.frequency,
        "TimeZone": schedule.timezone,
        "Status": timed.status.value,
        "EndReason": timed.end_reason,
        "NextDueTime": iso_seconds(timed.due.utc_ms) if timed.due else "",
        "NextDueTimeLocal": local,
        "LastDueTime": iso_seconds(timed.last_due_ms),
        "FiredCount": timed.fired_count,
        "SkippedCount": timed.skipped_count,
        "TargetCount": timed.target_count,
        "OverlapPolicy": schedule.overlap,
        "MisfirePolicy": schedule.misfire,
        "DayRule": schedule.day_rule,
        "DstGap": schedule.dst_gap,
        "DstOverlap": schedule.dst_overlap,
        "EndTime": iso_seconds(schedule.end_ms),
        "MaxCount": schedule.max_count,
        "JitterSeconds": schedule.jitter_seconds,
        **pacing_shape(schedule.pacing),
        "CreationTime": iso_seconds(record.created_ms),
        "EndedTime": iso_seconds(timed.ended_ms),
    }


def firing_shape(view: FiringView) -> Shape:
    """What became of one due time, or of a run of due times that were left out for one reason."""
    firing = view.firing
    return {
        "DueTime": iso_seconds(firing.due_ms),
        "UntilTime": iso_seconds(firing.until_ms),
        "Count": firing.count,
        "Status": firing.status.value,
        "Reason": firing.reason,
        "Info": firing.info,
        "DecidedTime": iso_seconds(firing.decided_ms),
        "LateMs": max(0, firing.decided_ms - firing.until_ms) if firing.decided_ms else 0,
        "TargetCount": firing.target_count,
        "Counts": dict(view.counts),
        "Instances": [
            {"InstanceId": instance_id, "InvocationStatus": state, "ErrorCode": code}
            for instance_id, state, code in view.outcomes
        ],
        "Overlap": list(firing.overlap),
        "LeftOutCount": firing.left_out_count,
    }
