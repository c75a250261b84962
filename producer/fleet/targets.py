"""Turn what a request says of its targets into a fixed list of instance ids."""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from ...broker_config import keys
from ...broker_config.errors import NotFound, Refused, RequestInvalid
from ...broker_config.ids import is_instance_id
from ...broker_config.ledger import load_targets
from ...broker_config.redis.client import Redis
from ...broker_config.settings_table import LimitSettings
from ..argument_kinds import must_be, must_be_several
from ..some_of import some_of

#: The service's own ceiling, applied only with limits.strict.
STRICT_TARGETS_COUNT = 100


class Targets(msgspec.Struct, frozen=True, kw_only=True):
    """Which instances a request is for: ids, or all that carry every one of some tags, or all."""

    instance_ids: Sequence[str] = ()
    #: A tag without a value (``None``) matches any value.
    tags: Mapping[str, str | None] = {}
    everything: bool = False


def resolve(redis: Redis, targets: Targets, limits: LimitSettings) -> list[str]:
    """List the instances, each once, in the order given (tags and all: by id). Frozen from here on.

    Raises:
        RequestInvalid: no target, two ways of naming them at once, or tags that match nothing.
        NotFound: a malformed id (an unknown one is found when the invocation is written).
        Refused: more targets than allowed.
    """
    must_be(Targets, targets, "targets", "Targets(instance_ids=[…]), Targets(tags={…}) or Targets(everything=True)")
    must_be_several(targets.instance_ids, "instance_ids")
    must_be(Mapping, targets.tags, "tags", "a mapping: {'env': 'prod'}")
    refuse_two_ways(targets)
    if not (targets.instance_ids or targets.tags or targets.everything):
        raise RequestInvalid(
            "no target: name instances (--instance), tags (--tag key=value) or --all", code="MissingParam.InstanceId"
        )
    if targets.instance_ids:
        found = list(dict.fromkeys(targets.instance_ids))
        for one in found:
            if not is_instance_id(one):
                raise NotFound(
                    f"{one!r} is not an instance id; they look like i-web1 or mi-…; see `assist instance list`",
                    code="InvalidInstance.NotFound",
                )
    elif targets.everything:
        found = sorted(one.decode() for one in redis.call("ZRANGE", keys.INSTANCES, 0, -1))
        if not found:
            raise RequestInvalid(
                "no instance is registered yet; start an agent, or `assist up` for a local one",
                code="InvalidInstance.NotFound",
            )
    else:
        found = tagged(redis, "instance", targets.tags)
        if not found:
            wanted = ", ".join(f"{key}={value}" if value is not None else key for key, value in targets.tags.items())
            raise RequestInvalid(
                f"no instance carries {wanted}; `assist instance list` shows their tags",
                code="InvalidResourceTag.InstanceNotFound",
            )
    most = min(limits.targets_count or len(found), STRICT_TARGETS_COUNT if limits.strict else len(found))
    if len(found) > most:
        raise Refused(f"{len(found)} targets; at most {most} in one request", code="InstanceIds.ExceedLimit")
    return found


def refuse_two_ways(targets: Targets) -> None:
    """Raise ``RequestInvalid`` where instances are chosen in more than one way."""
    if bool(targets.instance_ids) + bool(targets.tags) + targets.everything > 1:
        raise RequestInvalid(
            "instances, tags and all exclude one another", code="InvalidResourceTag.ConflictWithInstanceIds"
        )


def tagged(redis: Redis, kind: str, tags: Mapping[str, str | None]) -> list[str]:
    """Ids of one kind that carry every given tag, sorted; a tag without a value matches any."""
    wanted = [
        keys.tag(kind, key, value) if value is not None else keys.tag_key(kind, key) for key, value in tags.items()
    ]
    return sorted(one.decode() for one in redis.call("SINTER", *wanted))


def chosen_targets(redis: Redis, invoke_id: str, instance_ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """All targets of an invocation, and those of them that are named, or all when none is.

    Raises:
        NotFound: an instance is not one of its targets (``InvalidInstanceId.NotFound``).
    """
    targets = load_targets(redis, invoke_id)
    refuse_strangers(invoke_id, instance_ids, targets)
    return targets, list(dict.fromkeys(instance_ids)) or targets


def refuse_strangers(invoke_id: str, instance_ids: Iterable[str], targets: Iterable[str]) -> None:
    """Raise ``NotFound`` where an instance is not one of an invocation's targets."""
    must_be_several(instance_ids, "instance_ids")
    strangers = set(instance_ids).difference(targets)
    if strangers:
        raise NotFound(
            f"{invoke_id} does not target {some_of(sorted(strangers))}; `assist invocation show {invoke_id}` lists its "
            "targets",
            code="InvalidInstanceId.NotFound",
        )
