"""The floor: the least that can be done over Redis — pop, fork and exec a shell, push the reply.

It promises nothing: no ledger, no signature, no supervisor, no timeout, no spool. Every figure of ours is shown as a
ratio to this one, measured in the same run.
"""

import subprocess
import sys
import time

from cloud_assistant.broker_config.redis_client import Redis


def serve(url: str, name: str) -> None:
    """Run what is pushed, until told to end."""
    redis = Redis(url, timeout_seconds=60)
    while True:
        _, script = redis.call("BRPOP", f"floor:{name}", 30)
        if script == b"end":
            return
        done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, check=False)
        redis.call("LPUSH", f"floor:{name}:reply", done.stdout)


def round_trip(redis: Redis, name: str, script: str) -> float:
    """Seconds from the request to its reply."""
    began = time.perf_counter()
    redis.call("LPUSH", f"floor:{name}", script)
    redis.call("BRPOP", f"floor:{name}:reply", 30)
    return time.perf_counter() - began


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2])
