"""Where the master key of an installation is, for every program that signs."""

from pathlib import Path

from .settings_table import Settings
from .signing import MasterKeys, read_master_keys

FILE_NAME = "master-key.json"


def master_key_path(settings: Settings) -> Path:
    """Where the master key file is, or would be."""
    if settings.security.master_key_file:
        return Path(settings.security.master_key_file)
    return Path(settings.home) / FILE_NAME


def find_master_keys(settings: Settings) -> MasterKeys | None:
    """Read the master keys named in settings, or those in home; ``None`` where there are none.

    Raises:
        SettingsInvalid: the file is named and missing, or cannot be used.
    """
    path = master_key_path(settings)
    if settings.security.master_key_file or (settings.home and path.exists()):
        return read_master_keys(path)
    return None
