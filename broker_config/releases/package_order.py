"""What an instance is to do with a package: travels in a script that the instance hands to its agent's program."""

import base64
import binascii
from enum import StrEnum

import msgspec

from ..errors import RequestInvalid

#: What the agent tells every script: the program of the agent, and its state folder.
PROGRAM_VARIABLE = "CA_AGENT_PROGRAM"
HOME_VARIABLE = "CA_AGENT_HOME"


class PackageAction(StrEnum):
    """What to do."""

    INSTALL = "install"
    #: As install, where an earlier version is installed; nothing elsewhere.
    UPDATE = "update"
    UNINSTALL = "uninstall"
    CHECK = "check"


class PackageOrder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing to do with one package; a producer signs the script that carries it, a publisher the archive."""

    v: int = 1
    action: PackageAction
    name: str
    #: The publisher's signature of the archive; ``""`` where none is needed.
    signature: str = ""
    #: The gateway to fetch it from.
    url: str = ""
    #: Run the install script although this version is installed.
    force: bool = False


def encode_package_order(order: PackageOrder) -> str:
    """Write an order as one word."""
    return base64.b64encode(msgspec.json.encode(order)).decode()


def decode_package_order(text: str) -> PackageOrder:
    """Read an order.

    Raises:
        RequestInvalid: it is none, or one of a later version (``InvalidPackageOrder``).
    """
    try:
        order = msgspec.json.decode(base64.b64decode(text, validate=True), type=PackageOrder)
    except (msgspec.MsgspecError, binascii.Error) as exc:
        raise RequestInvalid(f"this is not an order about a package: {exc}", code="InvalidPackageOrder") from exc
    if order.v != 1:
        raise RequestInvalid(f"the order has version {order.v}; upgrade the agent", code="InvalidPackageOrder")
    return order
