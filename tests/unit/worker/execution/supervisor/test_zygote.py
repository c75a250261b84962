"""The fork server when its agent is gone before it is ready."""

import subprocess
import sys

#: Our end is closed before it says that it is ready, as when the agent is ended while it starts.
WITHOUT_AGENT = """
import socket
from cloud_assistant.worker.execution.supervisor.zygote import serve
ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
ours.close()
serve(theirs.detach())
"""


def test_a_fork_server_whose_agent_ended_as_it_started_ends_without_a_word() -> None:
    outcome = subprocess.run([sys.executable, "-c", WITHOUT_AGENT], capture_output=True, text=True, check=False)
    assert (outcome.returncode, outcome.stdout + outcome.stderr) == (0, "")
