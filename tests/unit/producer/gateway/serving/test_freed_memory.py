"""What a thread has freed goes back to the system."""

import ctypes
import subprocess
import sys

import pytest

_PROGRAM = """
import gc, os
from concurrent.futures import ThreadPoolExecutor
from cloud_assistant.producer.gateway.serving.freed_memory import give_back_memory

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


_THREADS = """
import os, threading
from cloud_assistant.producer.gateway.serving.freed_memory import share_memory

def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1_000_000

def use():
    freed = [bytes(1000) for _ in range(20_000)]
    return bytes(1000)

def work():
    with turn:
        kept.append(use())
    used.wait()
    ended.wait()

share_memory()
turn, used, ended, kept = threading.Lock(), threading.Barrier(9), threading.Barrier(9), []
before_mb = resident_mb()
for _ in range(8):
    threading.Thread(target=work).start()
used.wait()
print(resident_mb() - before_mb)
ended.wait()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="what glibc keeps")
def test_what_one_thread_has_freed_serves_the_next() -> None:
    told = subprocess.run([sys.executable, "-c", _THREADS], capture_output=True, text=True, check=True).stdout
    assert int(told) < 60, "each of eight threads has had 20 MB, one after the other"
