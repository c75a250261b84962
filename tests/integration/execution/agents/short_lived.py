"""An agent that waits to be killed: ``short_lived.py HOME PID_FILE CONTENT EXECUTION_ID [TIMEOUT]`` runs a script."""

import signal
import sys
from pathlib import Path

from cloud_assistant.worker.execution.launcher import Launcher
from cloud_assistant.worker.execution.prepare import prepare
from cloud_assistant.worker.execution.script import Script


def main() -> None:
    home, ready_file, content, execution_id, timeout_seconds = sys.argv[1:6]
    launcher = Launcher()
    launcher.start()
    script = Script(
        execution_id=execution_id,
        instance_id="i-1",
        invoke_id="t-1",
        command_id="c-1",
        command_name="test",
        script_type="RunShellScript",
        content=content.encode(),
        timeout_seconds=float(timeout_seconds),
        grace_seconds=0.2,
    )
    running = launcher.launch(prepare(script, Path(home) / execution_id))
    Path(ready_file).write_text(str(launcher.fork_server_pid))
    while True:
        signal.pause()
    running.close()


if __name__ == "__main__":
    main()
