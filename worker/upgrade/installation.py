"""The versions of the agent on this machine, side by side, and the link to the one that runs.

``<folder>/versions/<version>/bin/assist-agent`` and ``<folder>/current -> versions/<version>``. The link is moved only
after a version has shown that it works, so that whatever starts the service in between starts one that does.
"""

import os
import secrets
import shutil
from pathlib import Path

from ...broker_config.errors import Refused
from ...broker_config.files.private_file import sync_folder

PROGRAM = Path("bin") / "assist-agent"
_CURRENT = "current"


class Installation:
    """The folder that bundles are installed into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def version_folder(self, version: str) -> Path:
        """Where a version is, or would be."""
        return self.folder / "versions" / version

    def program(self, version: str) -> Path:
        """The program of a version."""
        return self.version_folder(version) / PROGRAM

    def current(self) -> str:
        """The version that the service starts; ``""`` when this machine has no bundle."""
        try:
            return (self.folder / _CURRENT).readlink().name
        except OSError:
            return ""

    def require_running(self, version: str) -> None:
        """Check that the agent that runs is the one that the link leads to.

        Raises:
            Refused: it was not installed from a bundle, so there is nothing to return to (``NotABundle``).
        """
        require_replaceable()
        if self.current() != version or not self.program(version).is_file():
            raise Refused(
                f"this agent (version {version}) was not started from {self.folder / _CURRENT}, so it cannot upgrade"
                " itself; upgrade it the way it was installed",
                code="NotABundle",
            )

    def switch(self, version: str) -> None:
        """Lead the link to another version, in one step and for good.

        Raises:
            OSError: the folder cannot be written.
        """
        # The version's own name first: a link that outlives it in a power failure would lead nowhere.
        sync_folder(self.folder / "versions")
        for left in self.folder.glob(f".{_CURRENT}.*"):
            # By one that was cut off.
            left.unlink(missing_ok=True)
        fresh = self.folder / f".{_CURRENT}.{secrets.token_hex(4)}"
        fresh.symlink_to(Path("versions") / version)
        fresh.replace(self.folder / _CURRENT)
        sync_folder(self.folder)

    def remove_others(self, *keep: str) -> None:
        """Remove versions that nobody needs any more, and what installations left that broke off."""
        versions = self.folder / "versions"
        for path in versions.iterdir() if versions.is_dir() else ():
            if path.name not in (*keep, self.current()):
                shutil.rmtree(path, ignore_errors=True)


def require_replaceable() -> None:
    """Check that a process can become another program on this system.

    Raises:
        Refused: it is Windows (``NotABundle``).
    """
    if os.name == "nt":
        raise Refused(
            "an agent on Windows cannot upgrade itself: no process there becomes another program; install the new"
            " bundle in place of this one and restart the service",
            code="NotABundle",
        )
