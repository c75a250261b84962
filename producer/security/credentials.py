"""The credentials of one instance: a file that an agent runs with."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from ...broker_config.errors import Refused
from ...broker_config.files.private_file import write_private_file
from ...broker_config.redis.server_names import LOOPBACK
from ...broker_config.redis.url import parse_url
from ...broker_config.toml_string import toml_string

#: More than a file of credentials has.
_PROBE_BYTES = 8192


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """What an agent needs to be one instance."""

    instance_id: str
    #: With the user and the password of this instance.
    redis_url: str = field(repr=False)
    key_id: str
    key: bytes = field(repr=False)

    @property
    def instance_key(self) -> str:
        """The key as settings carry it."""
        return f"{self.key_id}:{self.key.hex()}"

    def settings(self) -> dict[str, str]:
        """The settings of the agent, by their dotted names."""
        return {
            "redis_url": self.redis_url,
            "instance_id": self.instance_id,
            "security.instance_key": self.instance_key,
        }

    def to_toml(self) -> str:
        """The settings file for ``assist-agent run --config FILE``."""
        return (
            f"# Credentials of instance {self.instance_id}: whoever has this file can be that instance.\n"
            f"redis_url = {toml_string(self.redis_url)}\n"
            f"instance_id = {toml_string(self.instance_id)}\n"
            "\n"
            "[security]\n"
            f"instance_key = {toml_string(self.instance_key)}\n"
        )

    def write(self, path: Path) -> None:
        """Write the file with mode 0600, replacing one that is there.

        Raises:
            Refused: it cannot be written.
        """
        write_secret_file(path, self.to_toml())


def is_of_this_machine(redis_url: str) -> bool:
    """Tell whether an address of Redis means nothing on another machine."""
    address = parse_url(redis_url)
    return address.kind == "unix" or any(host in LOOPBACK for host, _ in address.hosts)


def require_writable(path: Path) -> None:
    """Return if a secret file can be made there: asked before what it is to hold replaces something that works.

    Raises:
        Refused: it cannot be written (``FileNotWritten``).
    """
    if path.is_dir():
        raise Refused(f"{path} cannot be written: it is a folder; name a file in it", code="FileNotWritten")
    if path.is_symlink() or (path.exists() and not path.is_file()):
        # It would be replaced, for everybody: /dev/stdout is a link, too.
        raise Refused(f"{path} cannot be written: it is not an ordinary file; name one", code="FileNotWritten")
    probe = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    # As much as it is to hold: on a full disk there is still room for an empty file.
    write_secret_file(probe, " " * _PROBE_BYTES)
    probe.unlink()


def write_secret_file(path: Path, text: str) -> None:
    """Write a file that only its owner may read, in one step.

    Raises:
        Refused: it cannot be written (``FileNotWritten``).
    """
    try:
        write_private_file(path, text)
    except OSError as exc:
        raise Refused(
            f"{path} cannot be written: {exc.strerror}; name a file in a folder that you may write",
            code="FileNotWritten",
        ) from exc
