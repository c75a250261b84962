"""Signature version 1: HMAC-SHA1 over all parameters, sent as the parameter ``Signature``."""

import base64
import binascii
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from ..api_errors import api_error
from .percent_encoding import canonical_query, encoded
from .signed_request import SignedRequest

METHOD = "HMAC-SHA1"
#: Common parameters without which a signed request cannot be judged.
MANDATORY = ("AccessKeyId", "Signature", "SignatureMethod", "SignatureNonce", "Timestamp", "Action", "Version")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureV1(SignedRequest):
    """A request signed over its merged query and form, without the host and the headers."""

    signature: str
    method: str
    parameters: Mapping[str, str]

    @property
    def string_to_sign(self) -> str:
        """The real method, the path ``/``, and every parameter but ``Signature``."""
        return f"{self.method}&%2F&{encoded(canonical_query(self.parameters, leave_out=('Signature',)))}"

    def is_signed_with(self, secret: str) -> bool:
        """Tell, in constant time, whether the signature was made with this secret."""
        try:
            claimed = base64.b64decode(self.signature, validate=True)
        except (binascii.Error, ValueError):
            return False
        computed = hmac.digest(f"{secret}&".encode(), self.string_to_sign.encode(), "sha1")
        return hmac.compare_digest(claimed, computed)


def read_v1(method: str, parameters: Mapping[str, str]) -> SignatureV1:
    """Read the signature's parts from the merged parameters.

    Raises:
        ApiError: ``MissingParameter`` for an absent common parameter, ``InvalidSignatureMethod`` for another method.
    """
    for name in MANDATORY:
        if not parameters.get(name):
            raise api_error("MissingParameter", f"The common parameter {name} is missing.")
    if parameters["SignatureMethod"] != METHOD or parameters.get("SignatureVersion", "1.0") != "1.0":
        raise api_error("InvalidSignatureMethod")
    return SignatureV1(
        access_key_id=parameters["AccessKeyId"],
        action=parameters["Action"],
        version=parameters["Version"],
        time_text=parameters["Timestamp"],
        nonce=parameters["SignatureNonce"],
        security_token=parameters.get("SecurityToken", ""),
        signature=parameters["Signature"],
        method=method,
        parameters=parameters,
    )
