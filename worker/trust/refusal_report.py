"""Tell the control side what this agent refused, and what it saw of others who use its identity.

It goes into a stream of the instance's own branch; the control side takes it over into the audit. Redis need not be
there: the refusal stands in the result as well, and in the log.
"""

from ...broker_config import keys
from ...broker_config.clock import now_ms
from ...broker_config.error_codes import ErrorCode
from ...broker_config.errors import RedisRefused
from ...broker_config.programs.program_log import logger
from ...broker_config.redis.client import Redis
from ..link_state import REDIS_TROUBLE

#: Reports kept until they are taken over; a flood of forged messages pushes out older reports of its own kind.
_KEEP_COUNT = 1000
#: Refusals that somebody should hear of: they are no mistake in a request.
REPORTED = frozenset(
    {
        ErrorCode.SIGNATURE_INVALID,
        ErrorCode.ENVELOPE_EXPIRED,
        ErrorCode.REFUSED_BY_LOCAL_POLICY,
        ErrorCode.INSTANCE_QUARANTINED,
    }
)
#: Another machine tried to join with the identity of this instance, and was turned away.
SECOND_AGENT = "SecondAgent"
#: Another machine works with the identity of this instance at the same time.
CLONE = "CloneDetected"

_log = logger("refusals")


def report(redis: Redis, instance_id: str, code: str, info: str, *, execution_id: str = "") -> None:
    """Report one refusal."""
    _log.warning("%s execution=%s: %s", code, execution_id or "-", info)
    fields = ("at_ms", now_ms(), "code", code, "info", info, "execution_id", execution_id)
    try:
        redis.call("XADD", keys.refusals(instance_id), "MAXLEN", "~", _KEEP_COUNT, "*", *fields)
    except REDIS_TROUBLE as exc:
        _log.warning("the refusal could not be reported: %s", exc)


def quarantine(redis: Redis, instance_id: str, reason: str) -> None:
    """Ask for no more work; only the control side can take it back.

    Raises:
        RedisUnreachable: nobody was asked.
    """
    try:
        redis.call("HSETNX", keys.quarantine(instance_id), "reason", reason)
    except RedisRefused as exc:
        _log.warning("the quarantine could not be entered: %s", exc)
