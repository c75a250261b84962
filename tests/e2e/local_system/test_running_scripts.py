"""A script that runs when the local system ends goes on, and its result arrives after the next start."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from harness.eventually import eventually

from .local_up import READY, LocalUp


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_running_script_survives_the_end_and_reports_after_the_next_start(
    local: LocalUp, tmp_path: Path, number: signal.Signals
) -> None:
    up = local.start("--no-flower")
    script = f"touch {tmp_path}/began; while [ ! -e {tmp_path}/go ]; do sleep 0.1; done; echo came back"
    invoke_id = local.assist("run", script, "--all", "--no-wait")["InvokeId"]
    eventually((tmp_path / "began").exists, 10)

    up.send(number)
    eventually(lambda: not up.is_running, 20)
    eventually(lambda: not any("bin/assist" in one.command for one in local.processes()), 20, "the programs have ended")
    assert local.processes()  # the script and its supervisor
    (tmp_path / "go").touch()

    local.program("--no-flower").start(ready=READY)
    result: Any = eventually(lambda: _final(local, invoke_id), 15, "the result arrives")
    assert (result["InvocationStatus"], result["ExitCode"], result["Output"]) == ("Success", 0, "came back\n"), (
        json.dumps(result)
    )


def _final(local: LocalUp, invoke_id: str) -> Any:
    result = local.assist("invocation", "results", invoke_id)["InvocationResults"][0]
    return result if result["InvocationStatus"] not in ("Running", "Pending") else None
