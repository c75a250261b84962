"""What a thread has freed goes back to the system."""

import ctypes
import subprocess
import sys

import pytest

_PROGRAM = """
import gc, os
from concurrent.futures import ThreadPoolExecutor
from cloud_assistant.producer.gateway.freed_memory import give_back_memory

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1_000_000

def use(_):
    # The last one lies behind all the others, so that the C library keeps their room.
    circle = [bytes(1000) for _ in range(50_000)]
    last = bytes(1000)
    circle.append(circle)
    return last

gc.disable()
with ThreadPoolExecutor(1) as threads:
    kept = list(threads.map(use, range(2)))
    before_mb = resident_mb()
    give_back_memory()
    print(before_mb - resident_mb())
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="what glibc keeps")
def test_freed_memory_of_a_thread_that_lives_on_is_given_back() -> None:
    told = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True).stdout
    assert int(told) > 80
