"""Which packages are on this machine: one file in the agent's home, and a lock for whoever changes it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ...broker_config.files.private_file import write_private_file
from ...broker_config.redis.connection import Argument
from ...broker_config.releases.package_report import REPORT_FIELD, InstalledPackage, decode_report, encode_report
from ..file_lock import open_to_lock, wait_for_lock

_INDEX = "packages.json"
#: No package has such a name.
_LOCK = ".lock"
_EARLIER_LOCK = "lock"


class PackageIndex:
    """The packages of one home."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.folder = home / "packages"

    def all(self) -> dict[str, InstalledPackage]:
        """The packages by name."""
        try:
            data = (self._home / _INDEX).read_bytes()
        except OSError:
            return {}
        return {one.name: one for one in decode_report(data)}

    def put(self, package: InstalledPackage) -> None:
        """Enter a package, in one step and for good.

        Raises:
            OSError: the home cannot be written.
        """
        packages = {**self.all(), package.name: package}
        write_private_file(self._home / _INDEX, encode_report(list(packages.values())))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Let one change packages at a time; others wait."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = open_to_lock(self.folder / _LOCK)
        try:
            wait_for_lock(descriptor)
            # It stood in the way of a package of that name, whose folder stays.
            with contextlib.suppress(OSError):
                (self.folder / _EARLIER_LOCK).unlink()
            yield
        finally:
            os.close(descriptor)


class PackageReport:
    """The packages for the heartbeat, read again only when they have changed."""

    def __init__(self, home: Path) -> None:
        self._index = PackageIndex(home)
        self._path = home / _INDEX
        self._seen = (0, 0)
        self._report = b""

    def fields(self) -> dict[str, Argument]:
        """The field of the heartbeat; none where there never was a package."""
        try:
            found = self._path.stat()
        except OSError:
            return {}
        seen = (found.st_mtime_ns, found.st_ino)
        if seen != self._seen:
            self._seen = seen
            self._report = encode_report(
                [msgspec.structs.replace(one, requires=()) for one in self._index.all().values()]
            )
        return {REPORT_FIELD: self._report}
