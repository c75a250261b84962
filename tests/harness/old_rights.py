"""What Redis users of earlier releases may do, word for word as those gave it."""


def agent_rules_of_the_first_release(instance_id: str) -> list[str]:
    """Before the commands were kept apart by the kind of value: every command on every key of the branch."""
    branch = f"ca:i:{{{instance_id}}}:"
    changed = ("queue", "control", "exec:*", "open", "history", "out:*", "info", "boot")
    commands = (
        *("fcall", "brpop", "blpop", "llen", "lpush", "get", "exists", "hkeys", "hget", "hmget", "hset", "hdel"),
        *("zrange", "zadd", "zrem", "zcard", "xadd", "pexpire", "time", "ping", "select", "client|setname", "publish"),
    )
    return [
        *("resetkeys", "resetchannels", "-@all"),
        *(f"~{branch}{name}" for name in changed),
        *(f"%R~{branch}{name}" for name in ("profile", "quarantine", "keys")),
        *("%R~ca:payload:*", "&ca:done:*"),
        *(f"+{one}" for one in commands),
        f"(-@all +hsetnx ~{branch}quarantine)",
        f"(-@all +xadd ~{branch}refusals)",
        "(-@all resetchannels &/0.celeryev/* +publish)",
    ]


#: Before agents' reports were measured by a function.
FLOWER_OF_THE_FIRST_RELEASE = (
    *("resetkeys", "resetchannels", "-@all", "%R~ca:instances", "%R~ca:i:*", "&/0.celeryev/*", "~celeryev.*"),
    *("~_kombu.binding.celeryev", "~_kombu.binding_permanent.celeryev"),
    *("+ping", "+select", "+client|setname", "+multi", "+exec", "+llen", "+zrange", "+zrevrange", "+zcard", "+hget"),
    *("+hgetall", "+sadd", "+srem", "+del", "+subscribe", "+unsubscribe", "+psubscribe", "+punsubscribe"),
)
