"""Replace the master key while the fleet works.

A new master key is made and each instance is sent a key derived from it, wrapped with the one it holds. Until its agent
says that it has the new one, an instance is signed for with the old one, and it accepts both; so nothing is refused at
any moment, and an instance that is off for weeks comes along when it returns.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...broker_config import keys
from ...broker_config.chunks import chunks
from ...broker_config.clock import now_ms
from ...broker_config.errors import Refused
from ...broker_config.functions.entries import replace_credentials, replace_credentials_command
from ...broker_config.functions.function_library import run_all
from ...broker_config.functions.reported import read_fields_command
from ...broker_config.redis.client import Redis
from ...broker_config.redis.connection import Command
from ...broker_config.security.key_bundle import KeyBundle, unwrap, wrap
from ...broker_config.security.master_key import load_master_keys
from ...broker_config.security.signing import KeyId, MasterKeys
from ...broker_config.timed.boot_resigning import resign
from .identities import (
    GENERATIONS_COUNT,
    decode_credentials,
    load_credentials,
    stored_credentials,
    with_next_key,
)
from .master_key import add_master_key

_CHUNK_COUNT = 500
#: No clock gives such a serial, nor can another be counted on from there for ever.
_SERIAL_LIMIT = 2**62


@dataclass(frozen=True)
class InstanceKeyStatus:
    """Which key one instance is signed for with, and which one it was sent; ``next_key_id`` is empty once it has it."""

    instance_id: str
    key_id: str
    next_key_id: str
    connected: bool


@dataclass(frozen=True)
class RotationStatus:
    """Where the fleet stands."""

    current: str
    names: Sequence[str]
    instances: Sequence[InstanceKeyStatus]

    @property
    def waiting(self) -> list[InstanceKeyStatus]:
        """Instances that have not said yet that they hold the new key."""
        return [one for one in self.instances if one.next_key_id]


class Rotation:
    """The rotation of one installation's master key."""

    def __init__(self, redis: Redis, master: MasterKeys, path: Path) -> None:
        self._redis = redis
        self._master = master
        self._path = path

    def begin(self) -> MasterKeys:
        """Make a new master key and send each instance its new key; answers the new set of master keys.

        The file is written before anything is sent: a key that an agent holds is never one that nobody has.

        Raises:
            Refused: another machine has made a master key that is not here.
            OSError: the master key file cannot be written.
        """
        add_master_key(self._redis, self._path)
        self._master = load_master_keys(self._path)
        waiting = list(load_credentials(self._redis))
        while waiting:
            waiting = [one for chunk in chunks(waiting, _CHUNK_COUNT) for one in self._begin_of(chunk)]
        return self._master

    def _begin_of(self, instance_ids: Sequence[str]) -> list[str]:
        """Send some instances their new keys; answers those whose credentials were issued anew, or revoked, meanwhile.

        Those that have none any more are left out.
        """
        # Before the ids of the keys, which change only together with them.
        stored = self._redis.call("HMGET", keys.CREDENTIALS, *instance_ids)
        seen = {one: text for one, text in zip(instance_ids, stored, strict=True) if text is not None}
        if not seen:
            return []
        key_ids = self._key_ids(list(seen))
        sent = self._redis.call("MGET", *map(keys.key_bundle, seen))
        commands = []
        for (one, text), earlier in zip(seen.items(), sent, strict=True):
            next_id = str(KeyId(self._master.current, 1 + secrets.randbelow(GENERATIONS_COUNT - 1)))
            bundle = self._bundle(one, key_ids[one], next_id, earlier or b"")
            commands.append(replace_credentials_command(one, text, with_next_key(text, next_id), bundle=bundle))
        replaced = self._send(commands)
        return [one for one, is_replaced in zip(seen, replaced, strict=True) if not is_replaced]

    def ready(self, waiting: Sequence[InstanceKeyStatus]) -> list[InstanceKeyStatus]:
        """Those of the instances that say they hold the new key, without changing anything."""
        found = []
        for chunk in chunks(waiting, _CHUNK_COUNT):
            held = run_all(self._redis, [read_fields_command(keys.info(one.instance_id), "key_ids") for one in chunk])
            for one, (names,) in zip(chunk, held, strict=True):
                if one.next_key_id.encode() in (names or b"").split(b","):
                    found.append(one)
        return found

    def settle(self, ready: Sequence[InstanceKeyStatus]) -> RotationStatus:
        """Sign with the new key for these instances; answers where the fleet stands."""
        for one in ready:
            self._settle_of(one)
        return self.status()

    def _settle_of(self, one: InstanceKeyStatus) -> None:
        """Sign with the new key for one instance, unless it has been given other credentials since."""
        seen = stored_credentials(self._redis, one.instance_id)
        if seen is None or decode_credentials(seen).next_key_id != one.next_key_id:
            return
        # The next rotation takes away the key that orders for the next boot were signed with.
        resign(self._redis, one.instance_id, self._master, one.next_key_id, held=one.key_id)
        fresh = with_next_key(seen, "")
        if replace_credentials(self._redis, one.instance_id, seen, fresh, signs_with=one.next_key_id):
            # Once more, for those that came meanwhile.
            resign(self._redis, one.instance_id, self._master, one.next_key_id, held=one.key_id)

    def status(self) -> RotationStatus:
        """Where the fleet stands, without changing anything."""
        stored = load_credentials(self._redis)
        key_ids = self._key_ids(list(stored))
        found = []
        for chunk in chunks(list(stored), _CHUNK_COUNT):
            alive = self._redis.pipeline_or_raise([("EXISTS", keys.info(one)) for one in chunk])
            found += [
                InstanceKeyStatus(one, key_ids[one], stored[one].next_key_id, bool(is_alive))
                for one, is_alive in zip(chunk, alive, strict=True)
            ]
        return RotationStatus(self._master.current, sorted(self._master.keys), found)

    def _bundle(self, instance_id: str, key_id: str, next_id: str, earlier: bytes) -> bytes:
        """The key that an instance holds and the next one, wrapped with the one it holds."""
        held = {one: self._master.instance_key(instance_id, one) for one in (key_id, next_id)}
        # An agent takes none that seems older than its last one, which may be by a clock that was ahead.
        serial = max(now_ms(), 1 + self._serial_of(earlier, instance_id))
        return wrap(KeyBundle(serial, next_id, held), instance_id, key_id=key_id, key=held[key_id])

    def _serial_of(self, bundle: bytes, instance_id: str) -> int:
        key_id = bundle.partition(b":")[0].decode("utf-8", "replace")
        try:
            found = unwrap(bundle, instance_id, {key_id: self._master.instance_key(instance_id, key_id)}).serial
        except (KeyError, Refused):
            # There is none, or it is none of ours; the agent does not take it either.
            return 0
        return found if found < _SERIAL_LIMIT else 0

    def _send(self, commands: Sequence[Command]) -> list[int]:
        return run_all(self._redis, commands)

    def _key_ids(self, instance_ids: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for chunk in chunks(instance_ids, _CHUNK_COUNT):
            reply = self._redis.call("HMGET", keys.KEY_IDS, *chunk)
            # Credentials are never issued without an entry; one that was lost means the first key.
            first = min(self._master.keys)
            found.update({one: (name or first.encode()).decode() for one, name in zip(chunk, reply, strict=True)})
        return found
