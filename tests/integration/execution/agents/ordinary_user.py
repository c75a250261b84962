"""An agent without any privilege: ``ordinary_user.py FOLDER`` prints what it could do."""

import sys
from pathlib import Path

from cloud_assistant.worker.execution.events import Ended
from cloud_assistant.worker.execution.launcher import Launcher
from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.prepare import prepare
from cloud_assistant.worker.execution.record import ExitRecord
from cloud_assistant.worker.execution.script import Script


def script_of(number: int, content: bytes, **changes: str | float) -> Script:
    return Script(
        execution_id=f"ordinary-{number}",
        instance_id="i-1",
        invoke_id="t-1",
        command_id="c-1",
        command_name="test",
        script_type="RunShellScript",
        content=content,
        grace_seconds=0.1,
        **changes,  # type: ignore[arg-type]
    )


def main() -> None:
    home = Path(sys.argv[1]) / "ordinary"
    home.mkdir()
    launcher = Launcher()
    launcher.start()

    def run(script: Script) -> ExitRecord:
        running = launcher.launch(prepare(script, home / script.execution_id))
        [record] = [event.record for event in running.events(timeout=20) if isinstance(event, Ended)]
        return record

    first = run(script_of(1, b"id -un", working_directory="/"))
    stubborn = b"trap '' TERM; (setsid sh -c 'trap : TERM; while :; do sleep 9; done' &); while :; do sleep 9; done"
    second = run(script_of(2, stubborn, timeout_seconds=0.3, working_directory="/"))
    print(first.output.merged().decode().strip(), first.reason, first.exit_code, second.reason, second.survivors)
    for changes in ({"username": "root"}, {"working_directory": "/root"}):
        try:
            run(script_of(3, b"true", **changes))
        except NotStarted as refused:
            print(refused if "username" in changes else refused.error_code)
    launcher.close()


if __name__ == "__main__":
    main()
