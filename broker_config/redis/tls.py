"""TLS from the client's side: the context, and what went wrong in words that say what to do about it."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from ..files.presence import is_file

#: OpenSSL's numbers for why a certificate was not accepted.
_NOT_YET_VALID, _EXPIRED, _WRONG_NAME, _WRONG_ADDRESS = 9, 10, 62, 64
_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21})


class TlsFilesUnusable(OSError):
    """A certificate or key of our own cannot be used; the text names it and what to do."""


@dataclass(frozen=True)
class TlsClient:
    """How one client checks a server and shows itself, and how its options are called in messages."""

    ca: str = ""
    cert: str = ""
    key: str = ""
    verify: bool = True
    ca_option: str = "ca"
    cert_option: str = "cert and key"

    def context(self) -> ssl.SSLContext:
        """Make the context.

        Raises:
            TlsFilesUnusable: a file is missing, unreadable, no PEM, or the key is not that of the certificate.
        """
        for option, path in (("ca", self.ca), ("cert", self.cert), ("key", self.key)):
            if path:
                check_file(option, path)
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
        except ssl.SSLError as exc:
            raise TlsFilesUnusable(f"{self.ca} ({self.ca_option}) holds no certificate in PEM ({exc.reason})") from exc
        if self.cert:
            load_own_certificate(context, self.cert, self.key or self.cert)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def explain(self, exc: OSError, server: str) -> str:
        """Say why a connection to a server failed, and what to do; ``""`` for what has nothing to do with TLS."""
        if isinstance(exc, TlsFilesUnusable):
            return str(exc)
        if isinstance(exc, ssl.SSLCertVerificationError):
            return self._of_their_certificate(exc, server)
        return self._of_handshake(exc, server) if isinstance(exc, ssl.SSLError) else ""

    def explain_hang_up(self, exc: OSError) -> str:
        """Say why a server hung up at the first words after the handshake; ``""`` for what has nothing to do with TLS.

        Since TLS 1.3 it looks at our certificate only then, and its reason may be lost on the way.
        """
        if isinstance(exc, ConnectionResetError | BrokenPipeError | ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return f"it hung up at once, most likely because {self._wants_certificate('it')}"
        return self.explain(exc, "it")

    def _of_their_certificate(self, exc: ssl.SSLCertVerificationError, server: str) -> str:
        if exc.verify_code in (_WRONG_NAME, _WRONG_ADDRESS):
            return (
                f"the certificate there is not for {server}; use a name that it holds, or make one for {server} "
                "(deploy/make-test-ca names several)"
            )
        if exc.verify_code == _EXPIRED:
            return "the certificate there has expired; renew it on the server (or set this machine's clock)"
        if exc.verify_code == _NOT_YET_VALID:
            return "the certificate there is not valid yet; set the clock of this machine or of the server"
        if exc.verify_code in _UNKNOWN_ISSUER:
            which = f"the one in {self.ca}" if self.ca else "one that this system trusts"
            return (
                f"the certificate there was not made by {which} ({exc.verify_message}); name the CA file of the server "
                f"with {self.ca_option}"
            )
        return (
            f"the certificate there is not accepted ({exc.verify_message}); make it and its CA as RFC 5280 wants them, "
            "on which Python insists since 3.13 (deploy/make-test-ca shows how)"
        )

    def _of_handshake(self, exc: ssl.SSLError, server: str) -> str:
        reason = exc.reason or ""
        if "UNKNOWN_CA" in reason or "BAD_CERTIFICATE" in reason or "DECRYPT_ERROR" in reason:
            return f"{server} does not accept our certificate {self.cert}; use one that its CA has made"
        if "CERTIFICATE_EXPIRED" in reason:
            return f"our certificate {self.cert} has expired; make a new one"
        if "CERTIFICATE_REQUIRED" in reason or "HANDSHAKE_FAILURE" in reason:
            return self._wants_certificate(server)
        if "WRONG_VERSION_NUMBER" in reason or "RECORD_LAYER" in reason or "UNEXPECTED_EOF" in reason:
            return f"{server} does not speak TLS there; check port and scheme"
        return f"the TLS handshake with {server} failed ({reason or exc})"

    def _wants_certificate(self, server: str) -> str:
        if self.cert:
            return f"{server} does not accept our certificate {self.cert}"
        return f"{server} wants a client certificate; name one with {self.cert_option}"


def load_own_certificate(context: ssl.SSLContext, cert: str, key: str) -> None:
    """Load a certificate with its key, which must have no passphrase: nobody is there to type it.

    Raises:
        TlsFilesUnusable: they cannot be used.
    """
    try:
        context.load_cert_chain(cert, key, password=lambda: b"")
    except ssl.SSLError as exc:
        if exc.reason == "KEY_VALUES_MISMATCH":
            raise TlsFilesUnusable(f"the key {key} does not belong to the certificate {cert}") from exc
        raise TlsFilesUnusable(
            f"{cert} and {key} are not a certificate and key in PEM without a passphrase ({exc.reason})"
        ) from exc
    except OSError as exc:
        raise TlsFilesUnusable(f"{cert} or {key} cannot be read: {exc.strerror}") from exc


def check_file(option: str, path: str) -> None:
    """Return if a file that an option names can be read.

    Raises:
        TlsFilesUnusable: it is not there, is none, or is not for this user.
    """
    try:
        is_one = is_file(Path(path))
        if is_one:
            Path(path).open("rb").close()
    except OSError as exc:
        raise TlsFilesUnusable(f"the file {path} ({option}) cannot be read: {exc.strerror}") from exc
    if not is_one:
        raise TlsFilesUnusable(f"there is no file {path} ({option})")
