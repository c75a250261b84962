"""Which operating system a command type is for, as far as the agents have said what they run on."""

from collections.abc import Sequence

from ....broker_config import keys
from ....broker_config.functions.function_library import run_all
from ....broker_config.functions.reported import read_fields_command
from ....broker_config.records import ScriptType
from ....broker_config.redis.client import Redis
from ..api_errors import api_error

#: Larger requests are not looked through: each instance tells for itself there (``CommandNotApplicable``).
_LOOK_COUNT = 100


def refuse_if_none_fits(redis: Redis, kind: ScriptType, instance_ids: Sequence[str]) -> None:
    """Refuse a request that no instance named in it can carry out; in a mixed list each tells for itself.

    Raises:
        ApiError: ``InvalidInstance.NotMatch``.
    """
    if not 0 < len(instance_ids) <= _LOOK_COUNT:
        return
    replies = run_all(redis, [read_fields_command(keys.info(one), "os_type") for one in instance_ids])
    known = [reply.decode("utf-8", "replace").lower() for (reply,) in replies if reply]
    wants_windows = kind != ScriptType.SHELL
    if len(known) == len(instance_ids) and all((one == "windows") != wants_windows for one in known):
        raise api_error("InvalidInstance.NotMatch", f"{kind.value} does not fit {known[0]} instances.")
