"""The master key of this installation: made where there is none, and the same for every program."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ...broker_config import keys
from ...broker_config.errors import Refused
from ...broker_config.files.presence import is_there
from ...broker_config.redis.client import Redis
from ...broker_config.security.master_key import master_key_path
from ...broker_config.security.signing import MasterKeys, new_master_keys, read_master_keys, write_master_keys
from ...broker_config.settings_table import Settings


def make_master_keys(redis: Redis, settings: Settings) -> MasterKeys | None:
    """Make the first master key of an installation; ``None`` where there is a file already.

    Raises:
        Refused: this Redis belongs to an installation that has one already, kept elsewhere.
        OSError: the file cannot be made there.
    """
    path = master_key_path(settings)
    with _alone(path):
        if is_there(path):
            return None
        known = redis.call("HGETALL", keys.MASTER_KEYS)
        if known:
            names = ", ".join(name.decode() for name in known[::2])
            raise Refused(
                f"this Redis belongs to an installation whose master key ({names}) is not in {path}; copy that file "
                "here from where it was made, or name it with security.master_key_file",
                code="MasterKeyElsewhere",
            )
        master = new_master_keys()
        write_master_keys(path, master)
        check_master_keys(redis, master)
    return master


def add_master_key(redis: Redis, path: Path) -> None:
    """Put another master key into the file, as the current one.

    Raises:
        Refused: another machine has made a key that is not in the file; the file stays as it is.
        OSError: it cannot be written.
    """
    with _alone(path):
        # Not those that this program has read once: another one may have added to them since.
        before = read_master_keys(path)
        fresh = new_master_keys(before)
        if redis.call("HEXISTS", keys.MASTER_KEYS, fresh.current):
            raise Refused(
                f"this installation has a master key {fresh.current} that is not in {path}: another machine of the "
                "control side has made it; copy the master key file here from there",
                code="MasterKeyElsewhere",
            )
        # The file first: a key that others are told of is never one that nobody has.
        write_master_keys(path, fresh)
        try:
            check_master_keys(redis, fresh)
        except Refused:
            # The other machine was quicker, just now.
            write_master_keys(path, before)
            raise


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Wait until no other program is about to write the file: of two, one would throw the other's key away."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def check_master_keys(redis: Redis, master: MasterKeys) -> None:
    """Enter our master keys, or see that they are those which others have entered.

    Raises:
        Refused: another program of this installation uses a different key of the same name.
    """
    for name in master.keys:
        own = master.fingerprint(name)
        redis.call("HSETNX", keys.MASTER_KEYS, name, own)
        entered = redis.call("HGET", keys.MASTER_KEYS, name)
        if entered != own.encode():
            raise Refused(
                f"master key {name} here ({own}) is not the one that this installation uses ({entered.decode()}): "
                "agents would refuse what it signs. Copy the right master key file here",
                code="MasterKeyDiffers",
            )
