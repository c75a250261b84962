"""What is on this machine: the master key, the home, its disk."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from ...broker_config import keys
from ...broker_config.errors import Refused, SettingsInvalid
from ...broker_config.files.presence import is_folder, is_there
from ...broker_config.programs.findings import Finding, fail, ok, warn
from ...broker_config.redis.client import Redis
from ...broker_config.security.master_key import find_master_keys, master_key_path
from ...broker_config.settings_table import Settings

_DISK_FAIL_BYTES, _DISK_WARN_BYTES = 100 * 1024 * 1024, 1024 * 1024 * 1024


def local_checks(settings: Settings) -> Iterator[Finding]:
    """Every check that needs no server, one after another."""
    yield _master_key_file(settings)
    home = Path(settings.home)
    mend = "run this as the user of the home, or name another: --home or CLOUD_ASSISTANT_HOME"
    try:
        if not settings.home or not is_there(home):
            return
        if not is_folder(home):
            yield fail("home", f"{home} is no folder", mend)
            return
    except OSError as exc:
        yield fail("home", f"{home} cannot be looked into: {exc.strerror}", mend)
        return
    yield _home(home)
    yield _disk(home)


def installation_key(redis: Redis, settings: Settings) -> Finding:
    """Whether the master key here is the one that this Redis' installation uses."""
    entered = redis.call("HGETALL", keys.MASTER_KEYS)
    known = {name.decode(): digest.decode() for name, digest in zip(entered[::2], entered[1::2], strict=True)}
    try:
        master = find_master_keys(settings)
    except SettingsInvalid as exc:
        return fail("installation", str(exc), "see the line of the master key")
    if master is None:
        if not known:
            return warn("installation", "no master key was ever made: nothing is signed", "assist key create")
        return fail(
            "installation",
            f"its master key ({', '.join(known)}) is not on this machine: nothing can be changed from here",
            f"copy the master key file to {master_key_path(settings)}, or use the gateway",
        )
    other = [name for name in master.keys if known.get(name, master.fingerprint(name)) != master.fingerprint(name)]
    if other:
        return fail(
            "installation",
            f"the master key {', '.join(other)} here is another than the one in use: agents refuse what it signs",
            "copy the right master key file here",
        )
    return ok("installation", f"uses the master key {master.current} of this machine")


def _master_key_file(settings: Settings) -> Finding:
    path = master_key_path(settings)
    try:
        found = find_master_keys(settings)
    except (SettingsInvalid, Refused) as exc:
        if isinstance(exc.__cause__, FileNotFoundError):
            mend = "copy it here from where it was made, or make the first one: assist key create"
            return fail("master key", f"{path} does not exist", mend)
        return fail("master key", str(exc), f"chmod 600 {quote(str(path))}, and see that it is whole")
    if found is None:
        return warn("master key", f"none at {path}", "copy it here to change anything from this machine")
    if os.name == "posix" and path.stat().st_uid not in (0, os.geteuid()):
        return fail("master key", f"{path} belongs to another user", "chown it to the user that runs the programs")
    return ok("master key", f"{path}, for its owner only")


def _home(path: Path) -> Finding:
    if os.name == "posix" and path.stat().st_mode & 0o022:
        return fail("home", f"{path} can be written by others", f"chmod 700 {quote(str(path))}")
    return ok("home", str(path))


def _disk(path: Path) -> Finding:
    free = shutil.disk_usage(path).free
    text = f"{free // 1_048_576} MiB free at {path}"
    mend = "make room: results that cannot be spooled are lost"
    if free < _DISK_FAIL_BYTES:
        return fail("disk", text, mend)
    return warn("disk", text, mend) if free < _DISK_WARN_BYTES else ok("disk", text)
