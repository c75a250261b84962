"""Let an instance go: no identity, no connection, no open execution, no entry; its history stays for its time."""

from ...broker_config import keys
from ...broker_config.functions.activations import forget_machine
from ...broker_config.functions.executions import close_released_command
from ...broker_config.functions.function_library import run, run_all
from ...broker_config.functions.reported import read_members_command
from ...broker_config.ids import is_execution_of
from ...broker_config.redis.client import Redis
from ..fleet import instances
from ..fleet.instances import StoredInstance
from .identities import revoke

_CHUNK_COUNT = 500


def deregister(redis: Redis, instance_id: str, *, history_days: float) -> StoredInstance:
    """Let an instance go, and its history in so many days; answers what was known of it.

    Its connections end first, so that nothing it still does can undo what follows.

    Raises:
        NotFound: no such instance.
    """
    stored = instances.load(redis, instance_id)
    revoke(redis, instance_id)
    if stored.activation_id:
        # Before it is forgotten: were this broken off in between, its machine could come back as what it was.
        forget_machine(redis, stored.activation_id, machine=stored.activation_machine, instance_id=instance_id)
    instances.remove(redis, instance_id, history_days=history_days)
    # Those that somebody has given it meanwhile; who does that from now on finds it gone.
    revoke(redis, instance_id)
    close_open_executions(redis, instance_id)
    redis.pipeline_or_raise(
        [
            ("DEL", keys.quarantine(instance_id), keys.refusals(instance_id)),
            ("HDEL", keys.AUDIT_FOLDED, instance_id),
        ]
    )
    return stored


def close_open_executions(redis: Redis, instance_id: str) -> int:
    """End everything unfinished of an instance; answers how many executions that were."""
    closed_count = 0
    unfinished = keys.open_executions(instance_id)
    while redis.call("ZCARD", unfinished):
        found = run(redis, read_members_command(unfinished, count=_CHUNK_COUNT))
        texts = (one.decode("utf-8", "replace") for one in found)
        own = [one for one in texts if is_execution_of(one, instance_id)]
        replies = run_all(redis, [close_released_command(instance_id, one) for one in own])
        closed_count += sum(reply[0] for reply in replies)
        # All of them, whatever the agent had put there, so that the loop ends.
        if found:
            redis.call("ZREM", unfinished, *found)
    return closed_count
