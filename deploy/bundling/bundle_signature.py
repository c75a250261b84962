"""Sign an archive with the publisher's key, by the code that agents verify with, run from the bundle itself."""

import subprocess
from pathlib import Path

import interpreter
from bundle_facts import NAME, Facts

_CODE = """\
import sys
packages, key, archive, name, version, system, arch = sys.argv[1:]
sys.path.append(packages)
from pathlib import Path
from cloud_assistant.broker_config.errors import CloudAssistantError
from cloud_assistant.broker_config.releases import publisher_keys, publisher_signing
statement = publisher_signing.statement_of(Path(archive), name=name, version=version, os=system, arch=arch)
try:
    signature = publisher_signing.sign(publisher_keys.read_private_key(Path(key)), statement)
except CloudAssistantError as error:
    sys.exit(str(error))
Path(archive + publisher_signing.SUFFIX).write_text(signature, encoding="utf-8")
"""


def check_key_file(key: Path) -> None:
    """Check that there is a file to sign with.

    Raises:
        SystemExit: there is none, or it cannot be read; the reason and the way out are on standard error.
    """
    try:
        key.read_bytes()
    except OSError as error:
        raise SystemExit(
            f"bundle: cannot read the publisher's key {key}: {error.strerror}; name its file with --sign, or make one: "
            "assist publisher key create"
        ) from None


def sign(archive: Path, facts: Facts, key: Path, root: Path) -> Path:
    """Write ``<archive>.sig``.

    Raises:
        SystemExit: the key cannot be used; the reason is on standard error.
    """
    python = interpreter.executable(root / "lib" / "python")
    given = [root / "lib" / "packages", key, archive, NAME, facts.version, facts.os, facts.arch]
    command = [str(python), "-I", "-S", "-B", "-c", _CODE, *map(str, given)]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    if outcome.returncode != 0:
        reason = (outcome.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SystemExit(f"bundle: {archive.name} is not signed: {reason}")
    return archive.with_name(archive.name + ".sig")
