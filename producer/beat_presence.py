"""Whether a beat is at work, by the marks that its turns leave."""

from time import sleep

from ..broker_config import keys
from ..broker_config.pacing import LETS_GO
from ..broker_config.redis.client import Redis

#: Each leaves a mark for nine tenths of the time until its next turn, and none for long when no beat runs.
BEAT_WORKS = ("sweep", "settle", "keep the audit")
_LOOK_SECONDS = 0.2


def beat_marks() -> list[str]:
    """The keys of all marks that a beat may leave."""
    return [turn(work) for work in BEAT_WORKS for turn in (keys.beat_turn, keys.keyless_beat_turn)]


def is_keyless_beat_at_work(redis: Redis) -> bool:
    """Tell whether an installation that signs has a beat that cannot; in a tenth of the time it is overlooked."""
    marks = [keys.keyless_beat_turn(work) for work in BEAT_WORKS]
    signs, found = redis.pipeline_or_raise([("EXISTS", keys.MASTER_KEYS), ("EXISTS", *marks)])
    return bool(signs and found)


def is_beat_at_work(redis: Redis, *, looks_count: int, lets_go: bool = False) -> bool:
    """Look for a mark, several times if need be: for a tenth of the time there may be none.

    With ``lets_go`` only a beat counts that lets go what ``--at-once`` holds back; those of earlier releases do not.
    """
    ending = LETS_GO.encode() if lets_go else b""
    marks = beat_marks()
    for look in range(looks_count):
        if look:
            sleep(_LOOK_SECONDS)
        if any(found is not None and found.endswith(ending) for found in redis.call("MGET", *marks)):
            return True
    return False
