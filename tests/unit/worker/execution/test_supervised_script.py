"""What an agent hears of a script at the other end of a connection."""

from pathlib import Path

import pytest

from cloud_assistant.worker.execution.channel import Channel, Kind
from cloud_assistant.worker.execution.output.frame_log import STDOUT
from cloud_assistant.worker.execution.output.kept_output import KeptOutput
from cloud_assistant.worker.execution.record import STARTED_FILE, ExitRecord
from cloud_assistant.worker.execution.running_script import ScriptOutOfReach
from cloud_assistant.worker.execution.supervised_script import SupervisedScript
from harness.descriptors import no_descriptor_left


def large_end() -> bytes:
    output = KeptOutput(1_000_000)
    output.feed(STDOUT, b"x" * 200_000)
    record = ExitRecord(
        execution_id="x-1", reason="exited", exit_code=0, pid=1, started_ms=1, finished_ms=2, output=output
    )
    return record.to_message()


@pytest.mark.parametrize("ends_by", ["itself", "the death of its supervisor"])
def test_a_script_that_ran_is_not_said_never_to_have_started_for_want_of_a_descriptor(
    ends: tuple[Channel, Channel], tmp_path: Path, ends_by: str
) -> None:
    ours, theirs = ends
    given_back: list[tuple[Channel, bool]] = []
    (tmp_path / STARTED_FILE).touch()
    running = SupervisedScript("x-1", str(tmp_path), ours, give_back=lambda *given: given_back.append(given))
    if ends_by == "itself":
        theirs.send(Kind.ENDED, large_end())
    else:
        theirs.close()
    with no_descriptor_left(), pytest.raises(ScriptOutOfReach, match="Too many open files"):
        running.wait_for_start(5)
    # Its supervisor sees an agent that is gone, and keeps the record on disk.
    assert given_back == [(ours, False)]
    assert running.fileno() == -1
