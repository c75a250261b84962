"""What the gateway must be given to authenticate a caller: access keys, and a memory of used nonces."""

from dataclasses import dataclass, field
from typing import Protocol

from ..security.scopes import Scope


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key with the secret that verifies its signatures, and who stands behind it."""

    access_key_id: str
    secret: str = field(repr=False)
    active: bool
    #: Name of the person or program that the key was made for, as the audit shows it.
    principal: str
    #: What its holder may do: viewer, operator or admin.
    role: str = "admin"
    #: What it is limited to within that.
    scope: Scope = field(default_factory=Scope)


class AccessKeyLookup(Protocol):
    """Where access keys are kept."""

    def find(self, access_key_id: str) -> AccessKey | None:
        """Find a key by its id, disabled ones too."""


class NonceStore(Protocol):
    """Where used nonces are remembered, for all gateways together."""

    def remember(self, access_key_id: str, nonce: str, ttl_seconds: int) -> bool:
        """Remember a nonce for a while; false if this key had used it already."""


class Authorization(Protocol):
    """What a caller may do."""

    def require(self, caller: AccessKey, action: str) -> None:
        """Return if the caller may use the action at all.

        Raises:
            ApiError: ``Forbidden.RAM`` otherwise.
        """
