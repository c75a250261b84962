"""The floor: the least that can be done over Redis — pop, fork and exec a shell, push the reply.

It promises nothing: no ledger, no signature, no supervisor, no timeout, no spool. Every figure of ours is shown as a
ratio to this one, measured in the same run.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence

from cloud_assistant.broker_config.redis.client import Redis


def serve(url: str, name: str) -> None:
    """Run what is pushed, for as long as the process lives."""
    redis = Redis(url, timeout_seconds=60)
    while True:
        popped = redis.call("BRPOP", f"floor:{name}", 30)
        if popped is not None:
            done = subprocess.run(["/bin/sh", "-c", popped[1]], capture_output=True, check=False)
            redis.call("LPUSH", f"floor:{name}:reply", done.stdout)


def serve_all(url: str, names: Sequence[str]) -> None:
    """Serve the first name in this process and each other one in a fork of it, which ends with it."""
    for name in names[1:]:
        if os.fork() == 0:
            serve(url, name)
    sys.stdout.write("floor ready\n")
    sys.stdout.flush()
    serve(url, names[0])


def round_trip(redis: Redis, name: str, script: str) -> float:
    """Seconds from the request to its reply."""
    began = time.perf_counter()
    redis.call("LPUSH", f"floor:{name}", script)
    redis.call("BRPOP", f"floor:{name}:reply", 30)
    return time.perf_counter() - began


def fan_out(redis: Redis, names: Sequence[str], script: str) -> float:
    """Seconds from a request to all of them until the last reply."""
    began = time.perf_counter()
    redis.pipeline_or_raise([("LPUSH", f"floor:{name}", script) for name in names])
    for name in names:
        redis.call("BRPOP", f"floor:{name}:reply", 30)
    return time.perf_counter() - began


if __name__ == "__main__":
    serve_all(sys.argv[1], sys.argv[2:])
