"""When a supervisor takes no further script."""

import multiprocessing
import os
from typing import Any

import pytest

from cloud_assistant.worker.execution.channel import Channel, Kind
from cloud_assistant.worker.execution.output.kept_output import KeptOutput
from cloud_assistant.worker.execution.plan import Plan
from cloud_assistant.worker.execution.record import ExitRecord
from cloud_assistant.worker.execution.supervisor import warm
from cloud_assistant.worker.execution.supervisor.performance import Performance


def serve(channel: Channel, others: Channel, writer_fd: int) -> None:
    others.close()
    os.close(writer_fd)
    warm.WarmSupervisor(channel, 0).serve()


def test_it_ends_after_a_script_whose_streams_are_open_although_nobody_was_counted(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = os.pipe()

    def performed(plan: Plan, *_: Any) -> Performance:
        record = ExitRecord(
            execution_id=plan.execution_id, reason="exited", started_ms=1, finished_ms=2, output=KeptOutput(100)
        )
        record.pid, record.exit_code = 1, 0
        return Performance(record, [reader], False)

    monkeypatch.setattr(warm, "perform", performed)
    ours, theirs = Channel.pair()
    process = multiprocessing.get_context("fork").Process(target=serve, args=(theirs, ours, writer))
    process.start()
    try:
        theirs.close()
        os.close(writer)
        os.close(reader)
        plan = Plan(
            execution_id="t-1.0@i-1",
            folder=str(tmp_path / "t"),
            arguments=["sh"],
            script_path=str(tmp_path / "t/script"),
            environment={},
            working_directory="/",
            working_directory_is_default=True,
            credentials=None,
            timeout_seconds=10,
            grace_seconds=1,
            drain_seconds=0,
            kills_tree=True,
            output_limit_bytes=100,
            keep_script=False,
        )
        ours.send(Kind.PLAN, plan.to_bytes())
        message = ours.receive()
        assert message is not None
        assert message.kind == Kind.ENDED_AND_RETIRED
        ours.send(Kind.TAKEN)
        process.join(10)
        assert process.exitcode == 0, "it waits for a plan on a connection that it has closed"
    finally:
        process.kill()
        ours.close()
