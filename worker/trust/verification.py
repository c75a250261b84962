"""Decide whether what was claimed may run here: signed for this instance, whole, in time, and of a known version.

Nothing of a work order is written to disk before all of this has passed.
"""

from collections.abc import Mapping

import msgspec

from ...broker_config.clock import iso_seconds, now_ms
from ...broker_config.error_codes import ErrorCode
from ...broker_config.errors import Refused
from ...broker_config.functions.executions import Claimed
from ...broker_config.ids import split_execution_id
from ...broker_config.messages import WIRE_VERSION, Envelope, Order, WorkOrder, decode_envelope, decode_order
from ...broker_config.security.signing import digest, parse_signature
from ...broker_config.timed.boot_bound import is_boot_bound
from ...broker_config.untrusted_input import UntrustedDecoder
from ..execution.not_started import NotStarted
from .key_ring import KeyRing


class _Versioned(msgspec.Struct):
    v: int = WIRE_VERSION


_version_decoder = UntrustedDecoder(msgspec.json.Decoder(_Versioned))


class Verifier:
    """The rules of one instance."""

    def __init__(self, instance_id: str, keys: KeyRing, *, tolerance_ms: int) -> None:
        self._instance_id = instance_id
        self._keys = keys
        self._tolerance_ms = tolerance_ms

    def envelope(self, execution_id: str, claimed: Claimed, *, forgotten_until_ms: int) -> tuple[Envelope, int]:
        """Check the envelope; return it with the moment until which its start must be remembered.

        ``forgotten_until_ms`` is the journal's: an envelope from before could have run and been forgotten.

        Raises:
            NotStarted: it is not signed as it must be, was made for another execution, or has expired.
        """
        envelope = self._signed(claimed)
        invoke_id, firing_ms, instance_id = split_execution_id(execution_id) or ("", 0, "")
        if (envelope.invoke_id, envelope.firing_ms, self._instance_id) != (invoke_id, firing_ms, instance_id):
            raise NotStarted(ErrorCode.SIGNATURE_INVALID, "refused: the envelope was made for another execution")
        until_ms = envelope.expires_ms + self._tolerance_ms
        if now_ms() > until_ms:
            raise NotStarted(
                ErrorCode.ENVELOPE_EXPIRED,
                f"refused: the envelope expired at {envelope.expires_ms} and this clock says {now_ms()};"
                " invoke it again, or set this machine's clock",
            )
        if until_ms <= forgotten_until_ms:
            raise NotStarted(
                ErrorCode.ENVELOPE_EXPIRED,
                f"refused: this clock was ahead for a while, and what ran here with an envelope that expires up to"
                f" {iso_seconds(forgotten_until_ms)} is forgotten; invoke it again after that, or with more time for"
                " delivery",
            )
        return envelope, until_ms

    def boot_envelope(self, execution_id: str, claimed: Claimed) -> Envelope:
        """Check the envelope of an execution that this agent had made because its machine has started.

        Such an envelope does not expire and names no firing; whether this boot has had it is for the caller to know.

        Raises:
            NotStarted: it is not signed as it must be, or was made for something else.
        """
        envelope = self._signed(claimed)
        invoke_id, _, instance_id = split_execution_id(execution_id) or ("", 0, "")
        if (envelope.invoke_id, self._instance_id) != (invoke_id, instance_id) or not is_boot_bound(envelope):
            raise NotStarted(ErrorCode.SIGNATURE_INVALID, "refused: the envelope was made for another execution")
        return envelope

    def _signed(self, claimed: Claimed) -> Envelope:
        if not self._keys.accepts(claimed.key_id, claimed.envelope, claimed.mac):
            key_id = parse_signature(claimed.mac, claimed.key_id).key_id
            how = f"its signature (key {key_id[:40]!r}) does not fit" if claimed.mac else "it is not signed"
            raise NotStarted(
                ErrorCode.SIGNATURE_INVALID,
                f"refused: {how}; check that the producer and this instance share a key. Where "
                "Redis or this machine has lost it: assist instance rotate ID --credentials FILE on the control side, "
                "and start the agent with that file",
            )
        try:
            envelope = decode_envelope(claimed.envelope)
        except msgspec.MsgspecError as exc:
            raise _unreadable("envelope", claimed.envelope, exc) from exc
        _check_version(envelope.v)
        return envelope

    def order(self, envelope: Envelope, payload: bytes) -> Order:
        """Check the work order against its envelope and read it.

        Raises:
            NotStarted: it is not the one that was signed, or of a newer version.
        """
        if digest(payload) != envelope.digest:
            raise NotStarted(ErrorCode.SIGNATURE_INVALID, "refused: the work order is not the one that was signed")
        try:
            order = decode_order(payload)
        except msgspec.MsgspecError as exc:
            raise _unreadable("work order", payload, exc) from exc
        _check_version(order.v)
        return order

    def secrets(self, claimed: Claimed, order: WorkOrder) -> Mapping[str, str]:
        """Decrypt the secret parameters of a work order that was checked.

        Raises:
            NotStarted: they are missing, or were not encrypted to this instance for this execution.
        """
        if not order.secret_names:
            return {}
        try:
            values = self._keys.open_secrets(claimed.envelope, claimed.mac)
        except Refused as exc:
            raise NotStarted(ErrorCode.SIGNATURE_INVALID, f"refused: {exc}") from exc
        if set(values) != set(order.secret_names):
            raise NotStarted(
                ErrorCode.SIGNATURE_INVALID,
                f"refused: the values of the secret parameters {', '.join(order.secret_names)} did not come along",
            )
        return values


def _check_version(version: int) -> None:
    if version > WIRE_VERSION:
        raise NotStarted(
            ErrorCode.CLIENT_NEED_UPGRADE,
            f"the message has version {version} and this agent reads up to {WIRE_VERSION}; upgrade the agent",
        )


def _unreadable(what: str, data: bytes, exc: msgspec.MsgspecError) -> NotStarted:
    """A message of a later version may look different altogether: say so instead of calling it damaged."""
    try:
        _check_version(_version_decoder.decode(data).v)
    except NotStarted as newer:
        return newer
    except msgspec.MsgspecError:
        pass
    return NotStarted(ErrorCode.EXECUTION_EXCEPTION, f"the {what} cannot be read: {exc}")
