"""What `assist up` can be told beyond the settings."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class UpOptions:
    """How to run the local system this time."""

    #: Port of the embedded server; None keeps the one this home has used before.
    redis_port: int | None = None
    #: Whether this machine itself becomes an instance.
    with_agent: bool = True
    #: Whether the first access key is made, and shown, when there is none.
    with_access_key: bool = True
