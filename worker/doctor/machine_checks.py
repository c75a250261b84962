"""What can be said without the network: home, key, disk, programs, and whether an agent runs."""

import os
import platform
import shutil
import stat
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shlex import quote

from ...broker_config.errors import SettingsInvalid
from ...broker_config.files.presence import is_folder, is_there
from ...broker_config.ids import is_instance_id
from ...broker_config.programs.counted import counted
from ...broker_config.programs.findings import Finding, fail, ok, skip, warn
from ...broker_config.settings_table import Settings
from ..execution.this_system import scripts_outlive_agent
from ..home_lock import holder, is_held
from ..service.catalogue import detect
from ..service.plan import ServicePlan
from ..trust.instance_key import read_instance_keys

#: Less free space than this, and results may be lost if Redis stays away.
_LEAST_FREE_BYTES = 64 * 1024 * 1024
#: What an agent imports, with the releases that it was made for.
_LIBRARIES = (("celery", (5, 7)), ("kombu", (5, 7)), ("hiredis", (3, 2)), ("msgspec", (0, 21)))


def machine_findings(settings: Settings) -> Iterator[Finding]:
    """Look at this machine."""
    yield _libraries()
    yield _system()
    yield _identity(settings)
    yield _home(Path(settings.home))
    yield _key(settings)
    yield _disk(Path(settings.home))
    yield _agent(Path(settings.home))
    yield _service()


def _libraries() -> Finding:
    wrong = []
    for name, least in _LIBRARIES:
        try:
            found = version(name)
        except PackageNotFoundError:
            wrong.append(f"{name} is not installed")
            continue
        numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
        if numbers < least:
            wrong.append(f"{name} {found} is older than {'.'.join(map(str, least))}")
    if wrong:
        return fail("libraries", "; ".join(wrong), "install the agent anew, best from its bundle")
    return ok("libraries", f"agent {version('cloud-assistant')}, Python {platform.python_version()}")


def _system() -> Finding:
    if not scripts_outlive_agent():
        return warn(
            "system",
            f"{platform.system()} {platform.release()} has no supervisors: a script ends with its agent",
            "use Linux 5.3 or later with /proc mounted where scripts have to survive a restart of the agent",
        )
    return ok("system", f"{platform.system()} {platform.release()} {platform.machine()}")


def _identity(settings: Settings) -> Finding:
    if not settings.instance_id:
        return fail("identity", "no instance id is set", "register this machine: assist-agent register --help")
    if not is_instance_id(settings.instance_id):
        return fail("identity", f"{settings.instance_id!r} is not an instance id", "set instance_id to i-… or mi-…")
    return ok("identity", settings.instance_id)


def _home(home: Path) -> Finding:
    if not _may_look(home):
        return fail("home", f"{home} may not be looked into by this user", "run this as the agent's user")
    if not is_folder(home):
        nearest = next(path for path in (home, *home.parents) if path.is_symlink() or is_there(path))
        if not is_folder(nearest):
            return fail("home", f"{nearest} is no folder", "name another home: --home or CLOUD_ASSISTANT_HOME")
        if os.access(nearest, os.W_OK):
            return ok("home", f"{home} is not there yet and can be made")
        return fail(
            "home",
            f"{home} is not there and this user may not make it",
            f"run as root: install -d -m 0700 {quote(str(home))}",
        )
    state = home.stat()
    if not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        return fail(
            "home",
            f"{home} is not writable for this user",
            f"run as the agent's user, or: chown {_user()} {quote(str(home))}",
        )
    if os.name == "posix" and state.st_mode & (stat.S_IWGRP | stat.S_IWOTH | stat.S_IROTH):
        return warn("home", f"{home} is open to other users", f"chmod 0700 {quote(str(home))}")
    if os.name == "posix" and state.st_uid != os.geteuid():
        return warn("home", f"{home} belongs to another user (uid {state.st_uid})", "run this as the agent's user")
    return ok("home", str(home))


def _key(settings: Settings) -> Finding:
    try:
        keys = read_instance_keys(Path(settings.home), settings.security.instance_key)
    except SettingsInvalid as exc:
        return fail(
            "key", str(exc), "fix the file, or make new credentials: assist instance rotate ID --credentials FILE"
        )
    if keys is not None:
        return ok("key", f"key {keys.current}")
    if settings.agent.accept_unsigned:
        return warn(
            "key",
            "there is no key and agent.accept_unsigned is on: whoever writes to Redis runs scripts here",
            "make credentials on the control side: assist instance add ID --credentials FILE",
        )
    return fail(
        "key",
        "there is no key, so the agent refuses to run",
        "register it (assist-agent register), or on the control side: assist instance add ID --credentials FILE",
    )


def _disk(home: Path) -> Finding:
    place = next(path for path in (home, *home.parents) if _may_look(path) and is_folder(path))
    usage = shutil.disk_usage(place)
    text = f"{usage.free // 1_048_576} MiB free of {usage.total // 1_048_576} at {place}"
    if os.name == "posix":
        inodes = os.statvfs(place)
        if inodes.f_files and inodes.f_favail < 1000:
            left = counted(inodes.f_favail, "file")
            return fail("disk", f"{left} can still be made at {place}", "remove files there")
    if usage.free < _LEAST_FREE_BYTES // 8:
        return fail("disk", text, "make room: nothing can start without its journal")
    if usage.free < _LEAST_FREE_BYTES:
        return warn("disk", text, "make room: results wait there while Redis is away")
    return ok("disk", text)


def _agent(home: Path) -> Finding:
    if not _may_look(home) or (is_folder(home) and not os.access(home, os.R_OK | os.W_OK | os.X_OK)):
        return skip("agent", "needs home")
    last = holder(home)
    if is_held(home):
        who = f"pid {last.pid}, instance {last.instance_id}, version {last.version}" if last else "starting just now"
        return ok("agent", f"runs ({who})")
    text = f"no agent runs with home {home}"
    return fail("agent", text, "start it: assist-agent start, or assist-agent run in the foreground")


def _service() -> Finding:
    system = detect()
    if system is None:
        return ok("service", "this machine has no service manager that we know")
    places = [file.path for file in system.files(ServicePlan(program=""))]
    if any((Path("/") / path).exists() for path in (*places, *system.packaged)):
        return ok("service", f"installed for {system.name}")
    return warn("service", f"not installed for {system.name}", "assist-agent install")


def _may_look(path: Path) -> bool:
    """Whether a folder on the way to it keeps this user from telling what is there."""
    try:
        is_folder(path)
    except PermissionError:
        return False
    return True


def _user() -> str:
    return str(os.geteuid()) if hasattr(os, "geteuid") else "the agent's user"
