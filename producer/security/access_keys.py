"""Access keys of people and scripts: their secrets lie in Redis sealed under the master key.

Both signatures of the API are HMACs, so the secret itself is needed to verify one; it is kept AES-GCM encrypted under a
key derived from the master key, and bound to all that stands beside it. Whoever can read Redis, but not the
master key file, learns no secret; whoever can write to it can change neither whose a key is nor what it may do.
"""

import base64
import hmac
import os
import secrets
import string
from collections.abc import Callable, Iterator, Sequence

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ...broker_config import keys
from ...broker_config.clock import now_ms
from ...broker_config.errors import NotFound, Refused, RequestInvalid
from ...broker_config.functions.entries import replace_entry
from ...broker_config.redis.client import Redis
from ...broker_config.security.signing import MasterKeys
from ...broker_config.untrusted_input import UntrustedDecoder
from ..auditing import Auditing
from .caller import AccessKey
from .roles import Role
from .scopes import Scope, checked

_ID_LETTERS = string.ascii_uppercase + string.digits
_SECRET_LETTERS = string.ascii_letters + string.digits
_NONCE_BYTES = 12
_NAME_CHARACTERS = 128


class StoredAccessKey(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of an access key."""

    access_key_id: str
    name: str
    role: str
    created_ms: int
    active: bool
    #: Which master key seals the secret.
    sealed_by: str
    sealed: str
    #: What it is limited to; left out where it is not, so that keys from before there were scopes still open.
    scope: Scope | msgspec.UnsetType = msgspec.UNSET


_decoder = UntrustedDecoder(msgspec.json.Decoder(StoredAccessKey))


class AccessKeys:
    """The access keys of one installation; also what the gateway asks to authenticate a caller."""

    def __init__(self, redis: Redis, master: MasterKeys, auditing: Auditing | None = None) -> None:
        self._redis = redis
        self._master = master
        self._auditing = auditing or Auditing(redis, lambda: master)

    def create(self, name: str, role: str = Role.ADMIN, scope: Scope | None = None) -> tuple[str, str]:
        """Make an access key and answer (id, secret); the secret is shown this once.

        Raises:
            RequestInvalid: there is no such role, the name is empty or cannot be shown, or the scope cannot be read.
        """
        _check(name, role)
        access_key_id = "CA" + "".join(secrets.choice(_ID_LETTERS) for _ in range(18))
        secret = "".join(secrets.choice(_SECRET_LETTERS) for _ in range(40))
        stored = StoredAccessKey(
            access_key_id=access_key_id,
            name=name,
            role=role,
            created_ms=now_ms(),
            active=True,
            sealed_by=self._master.current,
            sealed="",
            scope=checked(scope) or msgspec.UNSET,
        )
        with self._auditing.change("CreateAccessKey", what=access_key_id, **_facts_of(stored)):
            self._redis.call("HSET", keys.ACCESS_KEYS, access_key_id, self._sealed(stored, secret))
        return access_key_id, secret

    def update(
        self, access_key_id: str, *, name: str | None = None, role: str | None = None, scope: Scope | None = None
    ) -> StoredAccessKey:
        """Change a key's name, role or whole scope; it takes effect with the next request.

        Raises:
            NotFound: there is no such key. RequestInvalid: no such role, an unfit name or scope.
            Refused: it cannot be unsealed, so it was changed or is of another installation.
        """
        with self._auditing.change("UpdateAccessKey", what=access_key_id) as change:

            def to(before: StoredAccessKey) -> StoredAccessKey:
                _check(name, role or before.role)
                after = msgspec.structs.replace(
                    before,
                    name=name if name is not None else before.name,
                    role=role or before.role,
                    scope=before.scope if scope is None else checked(scope) or msgspec.UNSET,
                )
                change.facts.update(_facts_of(after))
                return after

            return self._change(access_key_id, to)

    def list(self) -> list[StoredAccessKey]:
        """All access keys that are as they were made, oldest first; secrets are not told."""
        records = [one for one in self._read_all() if isinstance(one, StoredAccessKey)]
        return sorted(records, key=lambda one: one.created_ms)

    def unreadable(self) -> Sequence[Refused]:
        """What is wrong with those that somebody has changed or that are no records of ours, each named in the text."""
        return [one for one in self._read_all() if isinstance(one, Refused)]

    def _read_all(self) -> Iterator[StoredAccessKey | Refused]:
        found = self._redis.call("HGETALL", keys.ACCESS_KEYS)
        for name, value in zip(found[::2], found[1::2], strict=True):
            try:
                stored = _record_of(name.decode("utf-8", "replace"), value)
                self._unseal(stored)
                yield stored
            except Refused as exc:
                yield exc

    def set_active(self, access_key_id: str, *, active: bool) -> None:
        """Switch an access key on or off; it takes effect with the next request.

        Raises:
            NotFound: there is no such key.
            Refused: it cannot be unsealed, so it was changed or is of another installation.
        """
        with self._auditing.change("EnableAccessKey" if active else "DisableAccessKey", what=access_key_id):
            self._change(access_key_id, lambda before: msgspec.structs.replace(before, active=active))

    def delete(self, access_key_id: str) -> None:
        """Delete an access key.

        Raises:
            NotFound: there is no such key.
        """
        with self._auditing.change("DeleteAccessKey", what=access_key_id):
            if not self._redis.call("HDEL", keys.ACCESS_KEYS, access_key_id):
                raise _unknown(access_key_id)

    def find(self, access_key_id: str) -> AccessKey | None:
        """Find a key for the gateway, disabled ones too.

        Raises:
            Refused: its secret cannot be unsealed with this installation's master keys.
        """
        value = self._redis.call("HGET", keys.ACCESS_KEYS, access_key_id)
        if value is None:
            return None
        stored = _record_of(access_key_id, value)
        secret = self._unseal(stored)
        scope = stored.scope if isinstance(stored.scope, Scope) else Scope()
        return AccessKey(
            access_key_id, secret, active=stored.active, principal=stored.name, role=stored.role, scope=scope
        )

    def _change(self, access_key_id: str, to: Callable[[StoredAccessKey], StoredAccessKey]) -> StoredAccessKey:
        """Replace a key by what ``to`` makes of it, so that no change made at the same moment is lost."""
        while True:
            seen = self._redis.call("HGET", keys.ACCESS_KEYS, access_key_id)
            if seen is None:
                raise _unknown(access_key_id)
            before = _record_of(access_key_id, seen)
            after = to(before)
            if replace_entry(
                self._redis, keys.ACCESS_KEYS, access_key_id, seen, self._sealed(after, self._unseal(before))
            ):
                return after

    def _sealed(self, stored: StoredAccessKey, secret: str) -> bytes:
        """The record as it is kept, with the secret sealed anew for it."""
        unsealed = msgspec.structs.replace(stored, sealed_by=self._master.current, sealed="")
        nonce = os.urandom(_NONCE_BYTES)
        cipher = AESGCM(self._sealing_key(unsealed.sealed_by))
        sealed = nonce + cipher.encrypt(nonce, secret.encode(), _bound_to(unsealed))
        return msgspec.json.encode(msgspec.structs.replace(unsealed, sealed=base64.b64encode(sealed).decode()))

    def _unseal(self, stored: StoredAccessKey) -> str:
        try:
            data = base64.b64decode(stored.sealed)
            cipher = AESGCM(self._sealing_key(stored.sealed_by))
            opened = cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _bound_to(stored))
        except (InvalidTag, KeyError, ValueError) as exc:
            raise _unreadable(
                stored.access_key_id,
                f"as it stands it was not sealed by this installation's master key ({stored.sealed_by})",
            ) from exc
        return opened.decode()

    def _sealing_key(self, key_name: str) -> bytes:
        return hmac.digest(self._master.keys[key_name], b"cloud-assistant access keys v1", "sha256")


def _record_of(access_key_id: str, value: bytes) -> StoredAccessKey:
    """Read a record, which must be the one of this id: the seal binds it to the id that stands in it.

    Raises:
        Refused: it was put here from under another id, or is no record at all.
    """
    stored = _decoded(access_key_id, value)
    if stored.access_key_id != access_key_id:
        raise _unreadable(access_key_id, f"its record is the one of {stored.access_key_id}")
    return stored


def _decoded(access_key_id: str, value: bytes) -> StoredAccessKey:
    try:
        return _decoder.decode(value)
    except msgspec.MsgspecError as exc:
        raise _unreadable(access_key_id, "it is not one of our records") from exc


def _check(name: str | None, role: str) -> None:
    if role not in set(Role):
        raise RequestInvalid(f"no role {role!r}; use viewer, operator or admin", code="InvalidParameter.Role")
    if name is None:
        return
    if not name.strip():
        raise RequestInvalid("an access key needs a name: whom it is for", code="MissingName")
    if len(name) > _NAME_CHARACTERS or not name.isprintable():
        raise RequestInvalid(
            f"the name of an access key has at most {_NAME_CHARACTERS} characters, and no control characters",
            code="InvalidParameter.Name",
        )


def _facts_of(stored: StoredAccessKey) -> dict[str, str]:
    facts = {"Name": stored.name, "Role": stored.role}
    return {**facts, "Scope": stored.scope.shown()} if isinstance(stored.scope, Scope) else facts


def _bound_to(stored: StoredAccessKey) -> bytes:
    """All of a record but the sealed secret: none of it can be changed without the master key."""
    return msgspec.json.encode(msgspec.structs.replace(stored, sealed=""))


def _unreadable(access_key_id: str, why: str) -> Refused:
    return Refused(
        f"access key {access_key_id[:40]} cannot be read: {why}. It was changed, or belongs to another installation; "
        "make the key anew",
        code="AccessKeyUnreadable",
    )


def _unknown(access_key_id: str) -> NotFound:
    return NotFound(
        f"no access key {access_key_id}; `assist access-key list` shows them", code="InvalidAccessKeyId.NotFound"
    )
