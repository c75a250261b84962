"""Store the change of a timed invocation: as a whole, and unless somebody else has changed it since it was read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...broker_config import keys
from ...broker_config.errors import Refused, RequestInvalid
from ...broker_config.functions.function_library import run
from ...broker_config.functions.timed import TimedChange, modify_timed_command
from ...broker_config.ledger import StoredInvocation
from ...broker_config.messages import WorkOrder, encode
from ...broker_config.records import Invocation
from ...broker_config.records import encode as encode_record
from ...broker_config.redis.client import Redis
from ...broker_config.schedule import DueTime
from ...broker_config.security.signing import MasterKeys, digest
from ...broker_config.timed.boot_bound import bind
from ...broker_config.timed.secret_values import FIELD, open_timed_secrets, require_master, seal_timed_secrets
from ...broker_config.timed.timed_invocation import Timed, calendar_of, next_due, server_ms, timed_fields
from ..commands.secret_parameters import SecretValues

#: A replaced work order outlives the executions that were made with it.
_OLD_PAYLOAD_MARGIN_MS = 24 * 3600 * 1000


@dataclass(frozen=True)
class Before:
    """A timed invocation as it was read for a change."""

    stored: StoredInvocation
    #: The very bytes of its record: by them it is noticed when somebody else changes it.
    record: bytes
    timed: Timed
    targets: Sequence[str]


@dataclass(frozen=True)
class Changed:
    """What is to become of it: checked, and not yet stored."""

    invocation: Invocation
    order: WorkOrder
    new_targets: Sequence[str]
    is_reordered: bool
    is_rescheduled: bool
    secrets: SecretValues


def store(redis: Redis, before: Before, changed: Changed, master: MasterKeys | None) -> bool:
    """Store a change unless somebody else was first; tell whether it is stored.

    Raises:
        Refused: a new target is not registered, or secrets that stay cannot be opened.
        RequestInvalid: the new schedule is never due.
    """
    old, new, timed = before.stored.record, changed.invocation, before.timed
    payload = encode(changed.order)
    order_digest = digest(payload) if changed.is_reordered else timed.digest
    due = _new_due(redis, timed, new) if changed.is_rescheduled else None
    fields = timed_fields(new, order_digest, [*before.targets, *changed.new_targets], master)
    if changed.secrets:
        fields[FIELD] = _sealed(redis, new, changed.secrets, require_master(master))
    change = TimedChange(
        invoke_id=old.invoke_id,
        revision=timed.revision,
        old_record=before.record,
        record=encode_record(new),
        created_ms=old.created_ms,
        fields=fields,
        payload=payload if changed.is_reordered else b"",
        payload_token=new.payload_token,
        old_payload_token=old.payload_token,
        old_payload_ttl_ms=old.timeout_seconds * 1000 + _OLD_PAYLOAD_MARGIN_MS,
        command_id=new.command.command_id,
        old_command_id=old.command.command_id,
        due_ms=due.utc_ms if due else 0,
        due_skipped=due.skipped if due else "",
        new_targets=changed.new_targets,
    )
    reply = run(redis, modify_timed_command(change))
    if reply[0] == b"unknown":
        names = ", ".join(one.decode() for one in reply[1:6])
        raise Refused(
            f"no instance {names} is registered; `assist instance list` shows those that are",
            code="InvalidInstanceId.NotFound",
        )
    is_stored = bool(reply[0] == b"ok")
    if is_stored and timed.is_boot_bound:
        _bind_again(redis, changed, order_digest, before.targets, master)
    return is_stored


def _new_due(redis: Redis, timed: Timed, after: Invocation) -> DueTime:
    """The first due time of a new schedule that has no row yet, even if Redis' clock was put back."""
    latest = redis.call("ZREVRANGE", keys.firings(timed.invoke_id), 0, 0, "WITHSCORES")
    after_ms = max(server_ms(redis), int(float(latest[1])) if latest else 0)
    due = next_due(calendar_of(after.schedule, timed.anchor_ms), after.schedule, after_ms)
    if due is None:
        raise RequestInvalid("the new frequency is never due", code="InvalidParameter.Frequency")
    return due


def _sealed(redis: Redis, after: Invocation, secrets: SecretValues, master: MasterKeys) -> str:
    """Seal new values together with those that stay.

    Raises:
        Refused: those that stay cannot be opened; with a value for each of them nothing has to be.
    """
    kept: Mapping[str, str] = {}
    if set(secrets) != set(after.command.secret_names):
        stored = redis.call("HGET", keys.timed(after.invoke_id), FIELD) or b""
        kept = open_timed_secrets(master, after.invoke_id, stored.decode())
    return seal_timed_secrets(master, after.invoke_id, {**kept, **secrets})


def _bind_again(
    redis: Redis, changed: Changed, order_digest: str, targets: Sequence[str], master: MasterKeys | None
) -> None:
    """Hand a boot-bound invocation to new instances, and what is new of it to those that still wait for their start."""
    invocation = changed.invocation
    waiting: list[str] = []
    if changed.is_reordered or changed.secrets:
        replies = redis.pipeline_or_raise([("HEXISTS", keys.boot_bound(one), invocation.invoke_id) for one in targets])
        waiting = [one for one, is_there in zip(targets, replies, strict=True) if is_there]
    bound = [*waiting, *changed.new_targets]
    if bound:
        sealed = redis.call("HGET", keys.timed(invocation.invoke_id), FIELD) or b""
        secrets = open_timed_secrets(master, invocation.invoke_id, sealed.decode())
        bind(redis, invocation, order_digest, bound, master, created_ms=server_ms(redis), secret_values=secrets)
