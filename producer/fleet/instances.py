"""The registered instances and what their agents last said."""

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import msgspec

from ...broker_config import keys
from ...broker_config.clock import now_ms
from ...broker_config.errors import NotFound, RecordUnreadable, Refused, RequestInvalid
from ...broker_config.functions.function_library import run_all
from ...broker_config.functions.instances import register_instance
from ...broker_config.functions.reported import read_fields_command, read_last_score_command, read_whole_command
from ...broker_config.functions.tags import set_field
from ...broker_config.ids import is_instance_id
from ...broker_config.redis.client import Redis
from ...broker_config.redis.connection import Argument, Command
from ...broker_config.reported_values import decimal_number, text, whole_number
from ...broker_config.unreadable import raised, read_or_tell
from .. import validation
from ..matching import has_tags, like
from ..paging import Page, PageRequest, page_of_places, read_page
from ..visibility import EVERYTHING, Visible
from . import tagging

KIND = "instance"
_DAY_MS = 86_400_000


class InstanceFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which instances are wanted; empty fields do not filter."""

    instance_ids: Sequence[str] = ()
    name: str = ""
    os_type: str = ""
    connected: bool | None = None
    resource_group_id: str = ""
    tags: Mapping[str, str | None] = {}
    #: One of these is the address that its agent has told; ``None`` for any.
    addresses: Sequence[str] | None = None
    visible: Visible = EVERYTHING


class StoredInstance(msgspec.Struct, frozen=True, kw_only=True):
    """One instance: what the control side knows of it and what its agent reported."""

    instance_id: str
    name: str = ""
    registered_ms: int = 0
    tags: Mapping[str, str] = {}
    #: Why its tags are not known; ``""`` when they are.
    unreadable: str = ""
    activation_id: str = ""
    #: The machine that was registered, as the activation knows it.
    activation_machine: str = ""
    #: That of the activation by which it came.
    resource_group_id: str = ""
    #: Why it gets no work; ``""`` when it does.
    quarantined: str = ""
    connected: bool = False
    #: The last report, by field; kept in the profile when the agent is away.
    report: Mapping[str, str] = {}
    invocation_count: int = 0
    last_invoked_ms: int = 0


def add(
    redis: Redis,
    instance_id: str,
    *,
    name: str = "",
    tags: Mapping[str, str] | None = None,
    activation: Mapping[str, Argument] | None = None,
) -> None:
    """Register an instance; ``activation`` says by which one it came, if by any.

    Raises:
        RequestInvalid: the id is malformed, or the name or a tag breaks a rule. Refused: it is registered already.
    """
    if not is_instance_id(instance_id):
        raise RequestInvalid(
            f"{instance_id!r} is not an instance id: i- (or mi-) and up to 63 letters, digits, '.', '_' or '-'",
            code="InvalidInstanceId.Malformed",
        )
    checked = validation.tags(tags or {}, key_characters=validation.LATER_TAG_KEY_CHARACTERS)
    fields: dict[str, Argument] = {
        "name": validation.instance_name(name),
        "tags": msgspec.json.encode(checked),
        **(activation or {}),
    }
    is_new = register_instance(redis, instance_id, fields, now_ms=now_ms(), must_be_new=True)
    # Where an earlier try has broken off in between, this one ends it.
    index_tags(redis, instance_id)
    if not is_new:
        raise Refused(
            f"instance {instance_id} is registered already; for new credentials of it:"
            f" assist instance rotate {instance_id} --credentials FILE",
            code="InstanceAlreadyExists",
        )


def index_tags(redis: Redis, instance_id: str) -> None:
    """Enter the tags that an instance has in the index, as they are by then."""
    if redis.call("HGET", keys.profile(instance_id), "tags") not in (None, b"{}"):
        change_tags(redis, instance_id, dict)


def modify(
    redis: Redis, instance_id: str, *, name: str | None = None, tags: Mapping[str, str] | None = None
) -> StoredInstance:
    """Change an instance's name or replace its tags.

    Raises:
        NotFound: no such instance. RequestInvalid: the name or a tag breaks a rule.
    """
    load(redis, instance_id)
    checked = None
    if tags is not None:
        checked = validation.tags(tags, key_characters=validation.LATER_TAG_KEY_CHARACTERS)
    if name is not None:
        renamed = validation.instance_name(name).encode()
        set_field(redis, keys.profile(instance_id), "name", renamed, item_id=instance_id)
    if checked is not None:
        change_tags(redis, instance_id, lambda _: checked)
    return load(redis, instance_id)


def change_tags(redis: Redis, instance_id: str, to: Callable[[tagging.Tags], tagging.Tags]) -> bool:
    """Replace an instance's tags by what ``to`` makes of them; false when it is not registered."""
    return tagging.change(
        redis,
        KIND,
        instance_id,
        (keys.profile(instance_id), "tags"),
        to,
        tags_in=lambda field: raised(_read_tags(instance_id, field)),
        with_tags=lambda _, after: msgspec.json.encode(after),
    )


def decode_tags(field: bytes | str | None) -> dict[str, str]:
    """Read the field of a profile that holds the tags."""
    return msgspec.json.decode(field, type=dict[str, str]) if field else {}


def _read_tags(instance_id: str, field: bytes | str | None) -> dict[str, str] | RecordUnreadable:
    what = f"what is kept of the tags of {instance_id}"
    return read_or_tell(what, f"Remove it, and add it anew: assist instance remove {instance_id}", decode_tags, field)


def remove(redis: Redis, instance_id: str, *, history_days: float) -> StoredInstance:
    """Forget an instance: it is no target any more.

    Its history gets an end of its own: retention removes what an invocation leads to, and looks at no instance that is
    not registered.

    Raises:
        NotFound: no such instance.
    """
    stored = load(redis, instance_id)
    if not stored.unreadable:
        change_tags(redis, instance_id, lambda _: {})
    steps: list[Command] = [
        ("HGET", keys.profile(instance_id), "tags"),
        ("ZREM", keys.INSTANCES, instance_id),
        ("DEL", keys.profile(instance_id), keys.info(instance_id), keys.queue(instance_id)),
        ("DEL", keys.control(instance_id), keys.boot_bound(instance_id)),
        ("PEXPIRE", keys.instance_history(instance_id), int(history_days * _DAY_MS)),
    ]
    given_late = redis.pipeline_or_raise([("MULTI",), *steps, ("EXEC",)])[-1][0]
    if not stored.unreadable:
        # Whoever is registered under this id later must not be found by tags that were given in the last moment.
        tagging.forget(redis, KIND, instance_id, raised(_read_tags(instance_id, given_late)))
    return stored


def load(redis: Redis, instance_id: str) -> StoredInstance:
    """Read one instance.

    Raises:
        NotFound: it is not registered (``InvalidInstance.NotFound``).
    """
    found = load_all(redis, [instance_id])[0]
    if found is None:
        raise not_registered(instance_id)
    return found


def not_registered(instance_id: str) -> NotFound:
    """Build the refusal of an id that nobody is registered under."""
    return NotFound(
        f"no instance {instance_id} is registered; `assist instance list` shows those that are",
        code="InvalidInstance.NotFound",
    )


def load_all(redis: Redis, instance_ids: Sequence[str]) -> list[StoredInstance | None]:
    """Read instances; ``None`` for one that is not registered."""
    asked = [_reading_of(one) for one in instance_ids]
    replies = iter(run_all(redis, list(chain.from_iterable(asked))))
    return [_stored(one, *(next(replies) for _ in of_one)) for one, of_one in zip(instance_ids, asked, strict=True)]


def _reading_of(instance_id: str) -> list[Command]:
    """The commands whose replies ``_stored`` takes, in their order."""
    history = keys.instance_history(instance_id)
    return [
        ("HGETALL", keys.profile(instance_id)),
        read_whole_command(keys.info(instance_id)),
        ("ZCARD", history),
        read_last_score_command(history),
        read_fields_command(keys.quarantine(instance_id), "reason"),
    ]


def describe(redis: Redis, wanted: InstanceFilter, page: PageRequest) -> Page[StoredInstance]:
    """List instances, newest registration first; unknown ids are simply missing from the list."""
    if wanted.instance_ids:
        named = load_all(redis, list(dict.fromkeys(wanted.instance_ids)))
        found = [(place, one) for place, one in enumerate(named) if one is not None and _matches(one, wanted)]
        return page_of_places(found, page, repr(wanted))
    # A list that names none is not the same as none to compare with, and filters nothing either.
    filtered = msgspec.structs.replace(wanted, instance_ids=()) != InstanceFilter()
    return read_page(
        redis,
        keys.INSTANCES,
        page,
        lambda ids: load_all(redis, ids),
        keep=(lambda one: _matches(one, wanted)) if filtered else None,
        filters=repr(wanted),
    )


def _matches(stored: StoredInstance, wanted: InstanceFilter) -> bool:
    return (
        wanted.visible.instance(stored.instance_id)
        and like(stored.name, wanted.name)
        and (not wanted.os_type or stored.report.get("os_type", "").lower() == wanted.os_type.lower())
        and (wanted.connected is None or stored.connected == wanted.connected)
        and wanted.resource_group_id in ("", stored.resource_group_id)
        and has_tags(stored.tags, wanted.tags)
        and (wanted.addresses is None or stored.report.get("ip_address") in wanted.addresses)
    )


def _stored(
    instance_id: str,
    profile: Sequence[bytes],
    info: Sequence[bytes],
    count: int,
    last: bytes,
    quarantine: Sequence[bytes | None],
) -> StoredInstance | None:
    if not profile:
        return None
    known = _texts(profile)
    report = _texts(info)
    tags = _read_tags(instance_id, known.get("tags"))
    return StoredInstance(
        instance_id=instance_id,
        name=known.get("name", "") or report.get("hostname", ""),
        registered_ms=whole_number(known.get("registered_ms")),
        tags={} if isinstance(tags, RecordUnreadable) else tags,
        unreadable=str(tags) if isinstance(tags, RecordUnreadable) else "",
        activation_id=known.get("activation_id", ""),
        activation_machine=known.get("activation_machine", ""),
        resource_group_id=known.get("resource_group_id", ""),
        # Whoever set it, an empty reason too keeps work away.
        quarantined="" if quarantine[0] is None else text(quarantine[0]) or "no reason given",
        connected=bool(report),
        report=report,
        invocation_count=count,
        last_invoked_ms=int(decimal_number(last)),
    )


def _texts(reply: Sequence[bytes]) -> dict[str, str]:
    return {
        name.decode("utf-8", "replace"): value.decode("utf-8", "replace")
        for name, value in zip(reply[::2], reply[1::2], strict=True)
    }
