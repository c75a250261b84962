"""The turn of one machine's registration: who gives its instance credentials meanwhile waits for its end."""

import hashlib
from time import sleep

from ...broker_config import keys
from ...broker_config.redis.client import Redis

#: One that was killed holds its turn for a minute; it is not waited for so long.
_TRIES_COUNT = 100
_PAUSE_SECONDS = 0.05


def registration_digest(kind: str, value: str) -> str:
    """The digest under which something of a machine is known."""
    return hashlib.sha256(f"cloud-assistant registration\0{kind}\0{value}".encode()).hexdigest()


def registration_turn(activation_id: str, machine: str) -> str:
    """The key that a machine's registration holds while it is under way."""
    return keys.client_token("register", registration_digest(activation_id, machine))


def await_registration(redis: Redis, activation_id: str, machine: str) -> None:
    """Wait for the end of the registration that is under way now, if one is, for five seconds at most."""
    turn = registration_turn(activation_id, machine)
    held = redis.call("GET", turn)
    for _ in range(_TRIES_COUNT):
        if held is None or redis.call("GET", turn) != held:
            return
        sleep(_PAUSE_SECONDS)
