"""What holds for the agent's program whatever becomes of the agent in it."""

import signal
import subprocess
import sys

AGENT_THAT_CANNOT_SAY_GOODBYE = """
import signal
from cloud_assistant.worker.program import _end_on_signals

def end():
    raise RuntimeError("can't start new thread")

_end_on_signals(end)
print("ready", flush=True)
while True:
    signal.pause()
"""


def test_an_agent_that_is_told_to_end_ends_also_where_its_goodbyes_fail() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", AGENT_THAT_CANNOT_SAY_GOODBYE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        try:
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
            program.send_signal(signal.SIGTERM)
            _, told = program.communicate(timeout=20)
        finally:
            program.kill()
    assert program.returncode == 1
    assert "can't start new thread" in told
