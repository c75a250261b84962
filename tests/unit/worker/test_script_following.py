import os
from pathlib import Path

import pytest

from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.worker.execution.adopted_script import AdoptedScript
from cloud_assistant.worker.execution.proc_table import boot_id, start_ticks_of
from cloud_assistant.worker.execution.record import EXIT_FILE, StartRecord
from cloud_assistant.worker.execution.running_script import ScriptOutOfReach
from cloud_assistant.worker.live_output import LiveOutput
from cloud_assistant.worker.script_following import follow


def test_a_script_whose_folder_cannot_be_read_leaves_no_descriptor_open(tmp_path: Path) -> None:
    """The disk gives nothing, and the agent looks again and again."""
    (tmp_path / EXIT_FILE).mkdir()
    start = StartRecord(
        execution_id="x-1",
        boot_id=boot_id(),
        supervisor_pid=os.getpid(),
        supervisor_start_ticks=start_ticks_of(os.getpid()),
        cgroup="",
        started_ms=1,
    )
    script = AdoptedScript(tmp_path, start)
    assert script.fileno() >= 0
    with pytest.raises(ScriptOutOfReach, match="directory"):
        follow(script, LiveOutput(Redis("redis://127.0.0.1:1/0"), "i-one", "x-1", most_bytes=100))
    assert script.fileno() == -1
