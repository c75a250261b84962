"""Change a timed invocation: what it runs, with which parameters, when, and on which further instances.

A change takes effect as a whole for the next due time; what was dispatched before keeps the content it was made with.
The grid of a rate still starts where the invocation began.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import sleep

import msgspec

from ...broker_config import keys
from ...broker_config.errors import Refused, RequestInvalid
from ...broker_config.ids import new_token
from ...broker_config.ledger import StoredInvocation, load_invocation, load_targets
from ...broker_config.programs.counted import counted
from ...broker_config.records import Command, Pacing, Schedule
from ...broker_config.redis.client import Redis
from ...broker_config.security.signing import MasterKeys
from ...broker_config.settings_table import Settings
from ...broker_config.timed.timed_invocation import Timed, calendar_of, load_timed, server_ms
from ..commands import command_library
from ..commands.secret_parameters import SecretValues, check_known, refuse_in_clear
from ..fleet.targets import Targets, resolve
from ..invocations import pacing
from ..invocations.invoking import RunOptions, prepare
from ..invocations.standing import stopped_of_each
from .checking import check_schedule
from .frequency import readable_frequency
from .showing import moment_ms
from .stopping import refuse_if_over
from .storing import Before, Changed, store
from .undecided import leave_out_undecided, too_busy

#: A due time that is just being decided about is waited for before its schedule is taken away from under it.
_SETTLE_TRIES_COUNT = 20
_SETTLE_SECONDS = 0.1
#: How often a change is tried again when somebody else changes the same invocation.
_TRIES_COUNT = 10
#: The fields of a schedule that decide when it is due.
_OF_THE_CALENDAR = ("frequency", "timezone", "day_rule", "dst_gap", "dst_overlap", "end_ms")


@dataclass(frozen=True, kw_only=True)
class TimedModification:
    """What is to change; what is not given stays."""

    content: bytes | None = None
    enable_parameter: bool | None = None
    parameters: Mapping[str, str] | None = None
    #: New values for secrets that it has; those that are not named keep theirs.
    secret_parameters: Mapping[str, str] = field(default_factory=dict)
    frequency: str = ""
    timezone: str = ""
    #: A new frequency that names no zone is read in the default zone instead of that of the old one, as by the service.
    resets_timezone: bool = False
    #: Not due after this moment, ISO 8601; without an offset it is in the zone of the changed schedule.
    end_time: str = ""
    #: Instances to add.
    instance_ids: Sequence[str] = ()
    #: How many instances run it at the same time, and how many failures end a firing: ``10`` or ``10%`` of the targets.
    at_once: str = ""
    stop_at: str = ""
    #: Policies and limits to change, by field of the stored schedule; 0 takes a limit away (``end_ms``, ``max_count``),
    #: and a ``pacing`` of ``None`` has it run everywhere at once again.
    policies: Mapping[str, str | int | float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Keep the values of secrets from being shown with the rest."""
        object.__setattr__(self, "secret_parameters", SecretValues(self.secret_parameters))


def modify(
    redis: Redis, invoke_id: str, change: TimedModification, settings: Settings, master: MasterKeys | None
) -> str:
    """Change a timed invocation that goes on, and answer the id of its command: a new one when the content is new.

    Raises:
        NotFound: no such timed invocation, or an unknown instance.
        Refused: it is over, altogether or on an instance that is to be added, or somebody keeps changing it.
        RequestInvalid: the new content, parameters or frequency break a rule.
    """
    for tried_count in range(_TRIES_COUNT):
        before = _read(redis, invoke_id)
        command = before.stored.record.command
        changed = _change(redis, before, change, settings)
        is_new_in_library = changed.invocation.command is not command and command.kept
        if is_new_in_library and redis.call("ZCARD", keys.COMMANDS) >= settings.limits.commands_count:
            raise Refused("the library is full (limits.commands_count); delete commands", code="CommandLimitExceeded")
        if changed.is_rescheduled:
            if not tried_count:
                _let_settle(redis, before.timed)
            timed, _ = leave_out_undecided(redis, invoke_id, "misfire", "its schedule was changed")
            refuse_if_over(timed)
            if timed.revision != before.timed.revision:
                # Somebody else changed it while beats were waited for: what was built is from before that.
                continue
            before = replace(before, timed=timed)
        if is_new_in_library:
            # Before it runs: what runs and is in no library could be neither found nor run by anybody else.
            command_library.create(redis, changed.invocation.command, settings.limits, master)
        if _stored(redis, before, changed, master, is_new_in_library=is_new_in_library):
            return changed.invocation.command.command_id
    raise too_busy(invoke_id)


def _stored(
    redis: Redis, before: Before, changed: Changed, master: MasterKeys | None, *, is_new_in_library: bool
) -> bool:
    """Store a change, or take its command out of the library again; tell whether it is stored."""

    def forget_command() -> None:
        if is_new_in_library:
            # One that is used is stored, whatever was refused after that.
            with suppress(Refused):
                command_library.delete(redis, changed.invocation.command.command_id, lambda _: None)

    try:
        is_stored = store(redis, before, changed, master)
    except (Refused, RequestInvalid):
        forget_command()
        raise
    if not is_stored:
        forget_command()
    return is_stored


def _read(redis: Redis, invoke_id: str) -> Before:
    # Before all else that is read of it: whoever changes it from now on is noticed.
    record = redis.call("HGET", keys.invocation(invoke_id), "record") or b""
    stored = load_invocation(redis, invoke_id)
    if not stored.timed:
        raise Refused(
            f"{invoke_id} runs once; only Period, NextRebootOnly and EveryReboot can be changed",
            code="InvalidOperation.RepeatModeUnsupported",
        )
    timed = load_timed(redis, invoke_id)
    refuse_if_over(timed)
    return Before(stored, record, timed, load_targets(redis, invoke_id))


def _change(redis: Redis, read: Before, change: TimedModification, settings: Settings) -> Changed:
    """Build the changed records and check them as those of a new request are checked."""
    before, timed, targets = read.stored.record, read.timed, read.targets
    new_targets = [one for one in change.instance_ids if one not in set(targets)]
    _refuse_stopped(redis, read.stored, [one for one in change.instance_ids if one in set(targets)])
    if new_targets:
        resolve(redis, Targets(instance_ids=[*targets, *new_targets]), settings.limits)
    refuse_in_clear(before.command, change.parameters or {})
    secrets = check_known(before.command, change.secret_parameters)
    command = _command(before.command, change, settings)
    parameters = before.parameters if change.parameters is None else change.parameters
    if change.parameters is None:
        # The values of parameters that the new content does not have go with them.
        parameters = {name: value for name, value in parameters.items() if name in command.parameter_names}
    options = RunOptions(
        parameters=parameters,
        timeout_seconds=before.timeout_seconds,
        working_directory=before.working_directory,
        username=before.username,
        launcher=before.launcher,
        termination_mode=before.termination_mode,
        grace_seconds=before.grace_seconds,
    )
    made = prepare(
        command,
        options,
        settings.limits,
        target_count=len(targets) + len(new_targets),
        region_id=settings.gateway.region_id,
        stored=before.command_is_stored,
        secrets_are_sealed=True,
    )
    _refuse_too_few_runs(timed, change)
    schedule = _schedule(redis, timed, change, settings, target_count=len(targets) + len(new_targets))
    is_reordered = command is not before.command or change.parameters is not None
    invocation = msgspec.structs.replace(
        before,
        command=command,
        parameters=made.invocation.parameters,
        target_count=made.invocation.target_count,
        schedule=schedule,
        payload_token=new_token() if is_reordered else before.payload_token,
    )
    return Changed(invocation, made.order, new_targets, is_reordered, _has_other_due_times(timed, schedule), secrets)


def _has_other_due_times(timed: Timed, schedule: Schedule) -> bool:
    """Tell whether due times that have passed undecided would be lost with a change: policies take none away."""
    return any(getattr(schedule, name) != getattr(timed.schedule, name) for name in _OF_THE_CALENDAR)


def _refuse_stopped(redis: Redis, stored: StoredInvocation, instance_ids: Sequence[str]) -> None:
    """Refuse to add what was stopped by itself: nothing would run there, whatever is answered."""
    stopped = stopped_of_each(redis, [(stored, instance_ids)])[0]
    names = [one for one, is_stopped in zip(instance_ids, stopped, strict=True) if is_stopped]
    if names:
        raise Refused(
            f"{stored.record.invoke_id} was stopped on {', '.join(names[:5])}, for good; make a new one there",
            code="InvalidOperation.InvokeAlreadyFinished",
        )


def _refuse_too_few_runs(timed: Timed, change: TimedModification) -> None:
    """Refuse a limit that is reached already: the next due time would end it without a word of what became of it."""
    most_count = change.policies.get("max_count", 0)
    if most_count and int(most_count) <= timed.fired_count:
        raise RequestInvalid(
            f"{timed.invoke_id} has run {counted(timed.fired_count, 'time')} already: give a greater limit, or end it"
            f" with `assist timed stop {timed.invoke_id}`",
            code="InvalidParameter.MaxCount",
        )


def _command(before: Command, change: TimedModification, settings: Settings) -> Command:
    """The command with its new content, under a new id; the same object when nothing of it changes."""
    content = before.content if change.content is None else change.content
    enabled = before.enable_parameter if change.enable_parameter is None else change.enable_parameter
    # Names that only the environment knows are not found in the text; a command of its own takes those that are given.
    declared = () if before.enable_parameter else before.parameter_names
    if change.parameters and not enabled and not before.kept:
        declared = tuple(change.parameters)
    is_same = content == before.content and enabled == before.enable_parameter
    if is_same and (before.enable_parameter or set(declared) == set(before.parameter_names)):
        return before
    built = command_library.build_command(
        settings.limits,
        name=before.name,
        type=before.type,
        content=content,
        description=before.description,
        working_directory=before.working_directory,
        timeout_seconds=before.timeout_seconds,
        username=before.username,
        launcher=before.launcher,
        enable_parameter=enabled,
        declared_parameters=declared,
        secret_parameters=before.secret_names,
        resource_group_id=before.resource_group_id,
        kept=before.kept,
    )
    # They were checked when they were attached, by the rule of that time.
    return msgspec.structs.replace(built, tags=before.tags)


def _schedule(
    redis: Redis, timed: Timed, change: TimedModification, settings: Settings, *, target_count: int
) -> Schedule:
    is_paced = bool(change.at_once or change.stop_at)
    if not (change.frequency or change.timezone or change.end_time or change.policies or is_paced):
        return timed.schedule
    if timed.is_boot_bound:
        raise RequestInvalid(
            f"{timed.invoke_id} runs when machines start and has no frequency", code="InvalidParameter.Frequency"
        )
    asked = msgspec.structs.replace(
        timed.schedule,
        frequency=change.frequency or timed.schedule.frequency,
        timezone=change.timezone or timed.schedule.timezone,
        **change.policies,
    )
    if is_paced:
        asked = msgspec.structs.replace(asked, pacing=_pacing(asked, change, target_count))
    try:
        if change.frequency and not change.timezone:
            asked = _in_its_own_zone(asked, timed.anchor_ms, settings.beat.timezone if change.resets_timezone else "")
        if change.end_time:
            end_ms = moment_ms(change.end_time, asked, settings.beat.timezone)
            asked = msgspec.structs.replace(asked, end_ms=end_ms)
        return check_schedule(
            asked,
            settings.beat,
            timeout_seconds=timed.timeout_seconds,
            now_ms=server_ms(redis),
            anchor_ms=timed.anchor_ms,
        ).schedule
    except RequestInvalid as exc:
        if exc.code == "InvalidParam.Frequency":
            raise RequestInvalid(str(exc), code="InvalidParameter.Frequency") from exc
        raise


def _pacing(before: Schedule, change: TimedModification, target_count: int) -> Pacing | None:
    """How it is to run; of how many at once and how many failures, what is not given stays."""
    at_once, stop_at = change.at_once, change.stop_at
    if before.pacing is not None:
        at_once = at_once or str(before.pacing.at_once_count)
        stop_at = stop_at or str(before.pacing.failures_count or "")
    return pacing.of_request(at_once, stop_at, target_count, before)


def _in_its_own_zone(asked: Schedule, anchor_ms: int, default_zone: str) -> Schedule:
    """Have a new frequency read in the zone that it names, else in the default zone if there is one, else in the old.

    Raises:
        RequestInvalid: it cannot be read.
    """
    asked = msgspec.structs.replace(asked, frequency=asked.frequency.strip(), timezone=default_zone or asked.timezone)
    with readable_frequency():
        return msgspec.structs.replace(asked, timezone=calendar_of(asked, anchor_ms).zone)


def _let_settle(redis: Redis, timed: Timed) -> None:
    """Give beats the time to decide about a due time that has just come."""
    for _ in range(_SETTLE_TRIES_COUNT):
        if timed.due is None or timed.due.utc_ms > server_ms(redis):
            return
        sleep(_SETTLE_SECONDS)
        timed = load_timed(redis, timed.invoke_id)
