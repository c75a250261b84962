"""The agent's program in a bundle: finds the packages beside it, and nothing else."""

import os
import sys
from pathlib import Path

#: Where systems keep the certificates that they trust. The bundle's own TLS library knows its build machine's place.
_TRUSTED = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
)

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).resolve().parent / "packages"))
    if "SSL_CERT_FILE" not in os.environ:
        found = next((path for path in _TRUSTED if Path(path).exists()), None)
        if found:
            os.environ["SSL_CERT_FILE"] = found
    from cloud_assistant.worker.entry import main

    main()
