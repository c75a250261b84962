"""``assist doctor``: what is wrong with this installation, and how to mend it."""

from ...broker_config.redis_client import Redis
from ..doctor.examination import examine
from ..doctor.finding import Finding, Status
from .assist_command import assist_command
from .call import CONNECT_TIMEOUT_SECONDS, Call
from .exit_codes import DONE

#: At least one check failed.
_UNWELL = 1


@assist_command("doctor", examples=("assist doctor", "assist doctor --output json"))
def doctor(call: Call) -> int:
    """Check this machine, Redis, its users, beat, gateway and agents; exit 1 when something has to be mended.

    Nothing is changed. With the server's administrator in --redis-url it sees the most.
    """
    findings: list[Finding] = []
    settings = call.loaded.settings
    # Not the control side as a whole: that refuses to be made with a master key that others can read.
    redis = Redis(settings.redis_url, name="assist-doctor", connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS)
    try:
        for one in examine(redis, settings):
            findings.append(one)
            if not call.wants_json:
                call.print(f"{one.status:<4}  {one.name}: {one.text}")
                if one.mend:
                    call.print(f"      → {one.mend}")
    finally:
        redis.close()
    if call.wants_json:
        call.print_json(
            [{"Check": one.name, "Status": one.status.value, "Text": one.text, "Mend": one.mend} for one in findings]
        )
    return _UNWELL if any(one.status is Status.FAIL for one in findings) else DONE
