"""The master key of this installation: made where there is none, and the same for every program."""

from ...broker_config import keys
from ...broker_config.errors import Refused
from ...broker_config.master_key import master_key_path
from ...broker_config.redis_client import Redis
from ...broker_config.settings_table import Settings
from ...broker_config.signing import MasterKeys, new_master_keys, write_master_keys


def make_master_keys(redis: Redis, settings: Settings) -> MasterKeys:
    """Make the first master key of an installation.

    Raises:
        Refused: this Redis belongs to an installation that has one already, kept elsewhere.
    """
    known = redis.call("HGETALL", keys.MASTER_KEYS)
    path = master_key_path(settings)
    if known:
        names = ", ".join(name.decode() for name in known[::2])
        raise Refused(
            f"this Redis belongs to an installation whose master key ({names}) is not in {path}; copy that file here "
            "from where it was made, or name it with security.master_key_file",
            code="MasterKeyElsewhere",
        )
    master = new_master_keys()
    write_master_keys(path, master)
    check_master_keys(redis, master)
    return master


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
