"""The state folder of a local system: whose it is, and what it remembers from one run to the next."""

import os
import platform
import re
import stat
from pathlib import Path
from shlex import quote

from ...broker_config.errors import Refused, SettingsInvalid
from ...broker_config.ids import is_instance_id
from ...broker_config.security.signing import MasterKeys, new_master_keys, read_master_keys, write_master_keys
from ...broker_config.settings import LOCAL_FILE
from ...broker_config.toml_string import toml_string
from .private_files import read_or_empty, write_private

_MASTER_KEY = "master-key.json"
_INSTANCE_ID = "instance-id"


def open_home(path: str) -> Path:
    """Make the folder where needed and return its full path.

    Raises:
        SettingsInvalid: it cannot be made.
        Refused: others could change what is in it, and so what we start.
    """
    home = Path(path).expanduser().absolute()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = home.stat()
    except OSError as exc:
        raise SettingsInvalid(
            f"home {home}: {exc.strerror}; choose another with --home or CLOUD_ASSISTANT_HOME"
        ) from exc
    if status.st_uid != os.geteuid():
        raise Refused(f"home {home} belongs to another user (uid {status.st_uid}); choose another with --home")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Refused(f"home {home} can be changed by other users; run: chmod go-w {quote(str(home))}")
    return home


def ensure_master_keys(home: Path, configured_file: str) -> MasterKeys:
    """Read the producers' signing keys; the first start makes them, unless their file is named in the settings.

    Raises:
        SettingsInvalid: the file cannot be used.
    """
    path = Path(configured_file) if configured_file else home / _MASTER_KEY
    if not configured_file and not path.exists():
        write_master_keys(path, new_master_keys())
    return read_master_keys(path)


def remember_addresses(home: Path, redis_url: str, gateway_url: str = "") -> None:
    """Tell `assist` in other terminals where this home's Redis and, once it is ready, gateway are.

    It stays when the system stops, so that they then name these addresses as those that are not there.
    """
    lines = ["# Written by `assist up`; it holds a password.", f"redis_url = {toml_string(redis_url)}"]
    if gateway_url:
        lines.append(f"gateway.url = {toml_string(gateway_url)}")
    write_private(home / LOCAL_FILE, "\n".join([*lines, ""]))


def choose_instance_id(home: Path, configured: str) -> str:
    """The id of this machine: the configured one, else the one used before, else one made from its name.

    A machine's name may change from network to network; its id must not.
    """
    chosen = configured or read_or_empty(home / _INSTANCE_ID) or instance_id_from(platform.node())
    if not is_instance_id(chosen):
        raise SettingsInvalid(
            f"instance id {chosen!r} must be i- or mi- and then up to 63 letters, digits, dots, dashes or underscores"
        )
    write_private(home / _INSTANCE_ID, chosen + "\n")
    return chosen


def instance_id_from(machine_name: str) -> str:
    """Make an instance id from a machine's name, whatever characters that has."""
    allowed = re.sub(r"[^A-Za-z0-9._-]+", "-", machine_name)[:63].strip("._-")
    return f"i-{allowed or 'local'}"
