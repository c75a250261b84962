"""What the control side asks of an agent that is to become another version: an order signed for that one instance.

It lies in the instance's profile, which the agent reads with every heartbeat and cannot write. It says nothing of the
archive that a publisher has not signed, so whoever has the control side can choose among published versions, no more.
"""

import msgspec

from ..errors import Refused
from ..security.signing import MasterKeys
from ..untrusted_input import UntrustedDecoder

#: Where in the profile of an instance the order lies.
PROFILE_FIELD = "upgrade_order"
#: Before the order in what is signed, so that an order and an envelope are never taken for each other.
_PURPOSE = b"cloud-assistant upgrade order\n"


class UpgradeOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Become this version."""

    v: int = 1
    #: Later orders have a greater one; an agent takes none that is not greater than the last one it took.
    serial: int
    rollout_id: str
    instance_id: str
    version: str
    #: The publisher's signature of the archive.
    signature: str
    #: The gateway to fetch the archive from.
    url: str
    #: When to do it, as ``UpgradeWindow`` reads it; ``""`` is at any time.
    window: str = ""
    expires_ms: int
    #: How long the new version has to show that it works.
    probation_seconds: float = 180.0
    #: Try a version again that failed here before.
    again: bool = False


class SignedOrder(msgspec.Struct, frozen=True):
    """An order as it lies in the profile."""

    order: str
    signature: str

    @property
    def message(self) -> bytes:
        """What the signature is over."""
        return _PURPOSE + self.order.encode()


_signed_decoder = UntrustedDecoder(msgspec.json.Decoder(SignedOrder))
_order_decoder = UntrustedDecoder(msgspec.json.Decoder(UpgradeOrder))


def signed_order(order: UpgradeOrder, master: MasterKeys | None, key_id: str = "") -> bytes:
    """Write an order, signed with the key that the instance holds; without keys it carries no signature.

    Raises:
        KeyError: the master key that the instance's key comes from is not here.
    """
    text = msgspec.json.encode(order).decode()
    signature = master.sign(order.instance_id, _PURPOSE + text.encode(), key_id).decode() if master else ""
    return msgspec.json.encode(SignedOrder(text, signature))


def read_signed(data: bytes) -> SignedOrder:
    """Read what lies in a profile; it is not verified yet.

    Raises:
        Refused: it is no order (``UpgradeOrderUnreadable``).
    """
    try:
        return _signed_decoder.decode(data)
    except msgspec.MsgspecError as exc:
        raise Refused(f"the order to upgrade cannot be read: {exc}", code="UpgradeOrderUnreadable") from exc


def read_order(signed: SignedOrder) -> UpgradeOrder:
    """Read the order itself.

    Raises:
        Refused: it is no order, or one of a later agent (``UpgradeOrderUnreadable``).
    """
    try:
        order = _order_decoder.decode(signed.order)
    except msgspec.MsgspecError as exc:
        raise Refused(f"the order to upgrade cannot be read: {exc}", code="UpgradeOrderUnreadable") from exc
    if order.v != 1:
        raise Refused(
            f"the order to upgrade has version {order.v}, which is not known here", code="UpgradeOrderUnreadable"
        )
    return order
