"""What an agent loads: each megabyte of it is paid on every instance."""

import subprocess
import sys

#: redis-py with its asyncio side, HTTP, and what would bring them along.
UNWANTED = ("redis", "asyncio", "http.client", "urllib.request")


def test_an_agent_imports_none_of_the_heavy_ones() -> None:
    code = "import sys, cloud_assistant.worker.agent; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert "celery.worker" in loaded
    assert [name for name in UNWANTED if name in loaded] == []
