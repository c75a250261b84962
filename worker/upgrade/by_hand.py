"""An upgrade that somebody on this machine asks for, whatever the control side wants."""

import shutil
import time
from pathlib import Path

from ...broker_config.clock import now_ms
from ...broker_config.errors import Refused
from ...broker_config.releases.publisher_keys import read_publishers
from ...broker_config.releases.publisher_signing import AGENT_NAME, SUFFIX, Statement, check_file, verify
from ...broker_config.settings_table import Settings
from ..home_lock import is_held
from .bundle import check_fits, install_bundle, this_system
from .download import PART_SUFFIX, fetch_archive, fetch_signature
from .installation import Installation, require_replaceable
from .local_request import LocalRequest, write_request


def upgrade_by_hand(settings: Settings, *, version: str, file: Path | None, probation_seconds: float) -> str:
    """Install a version beside the others and have the agent try it; answers what happens next.

    Raises:
        Refused, RequestInvalid, DownloadFailed: it is not signed as it must be, does not fit, or cannot be had.
        OSError: a folder cannot be written.
    """
    require_replaceable()
    installation = Installation(Path(settings.agent.install_folder))
    statement = _from_file(settings, file, installation) if file else _from_gateway(settings, version, installation)
    home = Path(settings.home)
    if is_held(home):
        if installation.current() == statement.version:
            return f"{statement.version} runs already"
        write_request(home, LocalRequest(statement.version, now_ms(), probation_seconds))
        return (
            f"{statement.version} is installed beside {installation.current() or 'no other'};"
            " the agent tries it with its next heartbeat: see `assist-agent status`"
        )
    installation.switch(statement.version)
    return f"{statement.version} is installed; no agent runs with home {home}, so the next start is of this version"


def _from_file(settings: Settings, file: Path, installation: Installation) -> Statement:
    signature = file.with_name(file.name + SUFFIX)
    try:
        text = signature.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError) as exc:
        raise Refused(f"{file.name} has no signature beside it ({signature.name})", code="SignatureInvalid") from exc
    statement = _verified(settings, text)
    # Copied first: between the check and the unpacking nobody may change what is checked.
    own = _own_place(installation, statement)
    own.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        shutil.copyfile(file, own)
        with own.open("rb") as archive:
            check_file(archive, statement)
        install_bundle(own, statement, installation)
    finally:
        own.unlink(missing_ok=True)
    return statement


def _from_gateway(settings: Settings, version: str, installation: Installation) -> Statement:
    system, arch = this_system()
    gateway = settings.gateway
    text = fetch_signature(gateway.url, AGENT_NAME, version, os=system, arch=arch, ca_file=gateway.ca_file)
    statement = _verified(settings, text)
    if version not in (statement.version, "latest"):
        raise Refused(f"the gateway gave {statement} for {version}", code="WrongArchive")
    archive = _own_place(installation, statement)
    fetch_archive(gateway.url, statement, archive, wait=time.sleep, ca_file=gateway.ca_file)
    try:
        install_bundle(archive, statement, installation)
    finally:
        archive.unlink(missing_ok=True)
    return statement


def _own_place(installation: Installation, statement: Statement) -> Path:
    """Another file than the agent's, which may be fetching the same for an order of the control side."""
    return installation.folder / "downloads" / f"{statement.sha256}.by-hand{PART_SUFFIX}"


def _verified(settings: Settings, text: str) -> Statement:
    statement = verify(text, read_publishers(Path(settings.agent.publishers_folder)))
    check_fits(statement)
    return statement
