"""What a signed request claims about itself, whichever way it was signed, before anything is verified."""

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest(ABC):
    """A request read by one of the signature versions."""

    access_key_id: str
    action: str
    #: Of the API.
    version: str
    #: When the request was signed, as written by the client.
    time_text: str
    #: The client's own mark of this one request.
    nonce: str
    #: The token of temporary credentials; ``""`` without one.
    security_token: str

    @property
    @abstractmethod
    def string_to_sign(self) -> str:
        """The text that a right signature was computed over.

        Computed when asked for: a stranger's request is refused before it costs this.
        """

    @abstractmethod
    def is_signed_with(self, secret: str) -> bool:
        """Tell, in constant time, whether the signature was made with this secret."""
