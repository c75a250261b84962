"""The verbs for timed invocations, as ``Assistant.timed``. Imported by the first call that needs them."""

from collections.abc import Mapping, Sequence

import msgspec

from ...broker_config.clock import now_ms
from ...broker_config.messages import WorkOrder
from ...broker_config.records import Invocation, Schedule
from ...broker_config.redis.client import Redis
from ...broker_config.security.signing import MasterKeys, digest
from ...broker_config.settings_table import Settings
from ...broker_config.timed.timed_invocation import server_ms
from ..auditing import Auditing, named_targets
from ..paging import Page, PageRequest
from . import showing, stopping
from .beginning import begin
from .checking import check_timed
from .modifying import TimedModification, modify
from .showing import FiringView, Preview, TimedView


class TimedVerbs:
    """What can be asked of, and done to, timed invocations. Safe to share between threads."""

    def __init__(self, redis: Redis, settings: Settings, master: MasterKeys | None, auditing: Auditing) -> None:
        self._auditing = auditing
        self._redis = redis
        self._settings = settings
        self._master = master

    # Part of invoking

    def check(self, invocation: Invocation, order: WorkOrder, *, is_within_given: bool) -> tuple[Invocation, WorkOrder]:
        """Check when an invocation is to run, and complete it; nothing is stored.

        Raises:
            RequestInvalid, NotFound: with the API's code, and for a frequency the place in it.
        """
        checked = check_timed(
            invocation, self._settings.beat, is_within_given=is_within_given, now_ms=server_ms(self._redis)
        )
        return checked, msgspec.structs.replace(order, dry_run=False)

    def begin(
        self, invocation: Invocation, order: WorkOrder, targets: Sequence[str], secrets: Mapping[str, str]
    ) -> None:
        """Let an invocation that is stored come due from now on; its secret parameters are sealed until then."""
        begin(self._redis, invocation, order, targets, self._master, secrets)

    # Verbs

    def list(self, page: PageRequest | None = None) -> Page[TimedView]:
        """List timed invocations, newest first."""
        return showing.list_timed(self._redis, page or PageRequest())

    def show(self, invoke_id: str) -> TimedView:
        """Read one timed invocation.

        Raises:
            NotFound: there is none with this id.
        """
        return showing.show_timed(self._redis, invoke_id)

    def preview(self, schedule: Schedule, *, after_ms: int | None = None, count: int = 10) -> Preview:
        """Tell when a schedule would be due, from now on (by this machine's clock) unless given. Needs no Redis.

        Raises:
            RequestInvalid: it cannot be read.
        """
        start_ms = now_ms() if after_ms is None else after_ms
        zone = self._settings.beat.timezone
        return showing.preview(schedule, default_zone=zone, after_ms=start_ms, count=count)

    def preview_stored(self, invoke_id: str, *, after_ms: int | None = None, count: int = 10) -> Preview:
        """Tell when a timed invocation is due, from now on unless given.

        Raises:
            NotFound: there is none with this id. RequestInvalid: it is bound to the start of machines.
        """
        return showing.preview_stored(self._redis, invoke_id, after_ms=after_ms, count=count)

    def pause(self, invoke_id: str) -> None:
        """Leave out due times until it is resumed.

        Raises:
            NotFound: there is none with this id. Refused: it is over, or is not run by the clock.
        """
        with self._auditing.change("PauseInvocation", what=invoke_id):
            stopping.pause(self._redis, invoke_id)

    def resume(self, invoke_id: str) -> None:
        """Let it come due again, from the next due time on.

        Raises:
            NotFound: there is none with this id. Refused: it is over, or is not run by the clock.
        """
        with self._auditing.change("ResumeInvocation", what=invoke_id):
            stopping.resume(self._redis, invoke_id)

    def modify(self, invoke_id: str, change: TimedModification) -> str:
        """Change what it runs, when, or where, and answer the id of its command (a new one for new content).

        Raises:
            NotFound, RequestInvalid, Refused: with the API's code.
        """
        with self._auditing.change("ModifyInvocationAttribute", what=invoke_id, **_facts_of(change)) as audited:
            audited.digest = digest(change.content) if change.content is not None else ""
            return modify(self._redis, invoke_id, change, self._settings, self._master)

    def history(self, invoke_id: str, page: PageRequest | None = None) -> Page[FiringView]:
        """Tell what became of its due times, the latest first.

        Raises:
            NotFound: there is none with this id.
        """
        return showing.history(self._redis, invoke_id, page or PageRequest())


def _facts_of(change: TimedModification) -> dict[str, str]:
    changed = [*change.policies, *(["end_ms"] if change.end_time else [])]
    changed += ["secret_parameters"] if change.secret_parameters else []
    facts = {"Frequency": change.frequency, "Changed": " ".join(sorted(changed))}
    return {**facts, **named_targets(change.instance_ids)} if change.instance_ids else facts
