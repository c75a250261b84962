"""Where the master key of an installation is, for every program that signs."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import SettingsInvalid
from ..files.presence import is_there
from ..settings_table import Settings
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
        SettingsInvalid: the file is named and missing, or cannot be used, or home cannot be looked into.
    """
    path = master_key_path(settings)
    try:
        is_to_be_read = settings.security.master_key_file or (settings.home and is_there(path))
    except OSError as exc:
        raise SettingsInvalid(
            f"master key file {path}: {exc.strerror}; run this as the user of the home, or name another home"
        ) from exc
    return load_master_keys(path) if is_to_be_read else None


def load_master_keys(path: Path) -> MasterKeys:
    """Read a master key file; keys that a rotation adds to it later are found in it when they are needed.

    Raises:
        SettingsInvalid: the file cannot be used.
    """
    read = read_master_keys(path)
    return MasterKeys(read.current, _KeysOfFile(path, read.keys))


class _KeysOfFile(Mapping[str, bytes]):
    """The keys of a file that is read again when one is asked for that was not in it."""

    def __init__(self, path: Path, known: Mapping[str, bytes]) -> None:
        self._path = path
        self._known = known

    def __getitem__(self, name: str) -> bytes:
        if name not in self._known:
            self._known = read_master_keys(self._path).keys
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def __repr__(self) -> str:
        return f"<keys {', '.join(self._known)} of {self._path}>"
