"""What a signed request claims about itself, whichever way it was signed, before anything is verified."""

from typing import Protocol


class SignedRequest(Protocol):
    """A request read by one of the signature versions."""

    @property
    def access_key_id(self) -> str:
        """The access key that the caller says it is."""

    @property
    def action(self) -> str:
        """The action asked for."""

    @property
    def version(self) -> str:
        """The API version asked for."""

    @property
    def time_text(self) -> str:
        """When the request was signed, as written by the client."""

    @property
    def nonce(self) -> str:
        """The client's own mark of this one request."""

    @property
    def security_token(self) -> str:
        """The token of temporary credentials, or the empty string."""

    @property
    def string_to_sign(self) -> str:
        """The text that a right signature was computed over."""

    def is_signed_with(self, secret: str) -> bool:
        """Tell, in constant time, whether the signature was made with this secret."""
