"""Who calls the API: an access key, its secret, and what it may do."""

from dataclasses import dataclass, field

from .scopes import Scope


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
