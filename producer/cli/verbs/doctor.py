"""``assist doctor``: what is wrong with this installation, and how to fix it."""

import sys

from ....broker_config.programs.findings import Finding, as_json, as_text, exit_code
from ....broker_config.redis.client import Redis
from ...doctor.examination import WAY_TO_REDIS, examine
from ..assist_command import assist_command
from ..call import CONNECT_TIMEOUT_SECONDS, Call


@assist_command("doctor", examples=("assist doctor", "assist doctor --output json"))
def doctor(call: Call) -> int:
    """Check this machine, Redis, its users, beat, gateway and agents, and say what is wrong and how to fix it.

    Nothing is changed. With the server's administrator in --redis-url it sees the most. Exit codes: 0 nothing fails; 2
    a setting is wrong; 3 Redis cannot be reached; 4 something else fails.
    """
    findings: list[Finding] = []
    settings = call.loaded.settings
    # Not the control side as a whole: that refuses to be made with a master key that others can read.
    redis = Redis(settings.redis_url, name="assist-doctor", connect_timeout_seconds=CONNECT_TIMEOUT_SECONDS)
    try:
        for one in examine(redis, settings):
            findings.append(one)
            if not call.wants_json:
                call.print(as_text(one))
                # Some checks take seconds; whoever reads a pipe sees what is known meanwhile.
                sys.stdout.flush()
    finally:
        redis.close()
    if call.wants_json:
        call.print(as_json(findings))
    return exit_code(findings, WAY_TO_REDIS)
