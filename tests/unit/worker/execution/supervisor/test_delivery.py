"""An exit record on its way to an agent that reads nothing, and to the disk."""

import threading
from contextlib import suppress
from pathlib import Path

import pytest

from cloud_assistant.worker.execution.channel import Channel, Kind
from cloud_assistant.worker.execution.output.frame_log import STDOUT
from cloud_assistant.worker.execution.output.kept_output import KeptOutput
from cloud_assistant.worker.execution.plan import Plan
from cloud_assistant.worker.execution.record import EXIT_FILE, OUTPUT_FILE, ExitRecord, Reason, load_exit
from cloud_assistant.worker.execution.supervisor.delivery import Delivery
from harness.eventually import eventually

ID = "t-1.0@i-1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / ID
    made.mkdir()
    (made / "script.sh").write_text("exit 4")
    return made


def plan_in(folder: Path, *, keep_script: bool = False) -> Plan:
    return Plan(
        execution_id=ID,
        folder=str(folder),
        arguments=["sh"],
        script_path=str(folder / "script.sh"),
        environment={},
        working_directory="/",
        working_directory_is_default=True,
        credentials=None,
        timeout_seconds=10,
        grace_seconds=1,
        drain_seconds=0,
        kills_tree=True,
        output_limit_bytes=100,
        keep_script=keep_script,
    )


def record(reason: Reason = "exited", pid: int = 7) -> ExitRecord:
    output = KeptOutput(100)
    output.feed(STDOUT, b"all of it")
    return ExitRecord(execution_id=ID, reason=reason, started_ms=1, finished_ms=2, output=output, pid=pid, exit_code=4)


def test_an_agent_that_reads_nothing_any_more_finds_the_record_on_disk(
    folder: Path, ends: tuple[Channel, Channel]
) -> None:
    """Its connection is full of live output, so the end cannot even be sent."""
    ours, theirs = ends
    sent_count = 0
    with suppress(BlockingIOError):
        while True:
            ours.send(Kind.OUTPUT, b"x" * 8000, wait=False)
            sent_count += 1
    delivery = Delivery(record(), plan_in(folder), has_saved_output=False)
    heard: list[bool] = []
    sending = threading.Thread(target=lambda: heard.append(delivery.send(ours, is_retiring=False)))
    sending.start()
    try:
        found = eventually(lambda: load_exit(str(folder)), what="the record is on disk")
        assert (found.exit_code, heard) == (4, [])
    finally:
        kinds = [message.kind for _ in range(sent_count + 1) if (message := theirs.receive())]
        sending.join()
    assert kinds == [Kind.OUTPUT] * sent_count + [Kind.ENDED]
    assert heard == [True]
    assert delivery.wait_ms() is None


def test_nothing_is_written_for_an_agent_that_reads_in_time(folder: Path, ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    delivery = Delivery(record(), plan_in(folder), has_saved_output=False)
    assert delivery.send(ours, is_retiring=True)
    message = theirs.receive()
    assert message is not None
    assert message.kind == Kind.ENDED_AND_RETIRED
    assert ExitRecord.from_message(message.body).exit_code == 4
    assert not delivery.write_when_due()
    assert load_exit(str(folder)) is None
    wait_ms = delivery.wait_ms()
    assert wait_ms is not None
    assert 0 < wait_ms <= 201


def test_a_record_is_due_on_disk_when_no_word_came_in_time_and_the_saved_copy_goes(folder: Path) -> None:
    (folder / OUTPUT_FILE).write_bytes(b"a copy of a moment ago")
    delivery = Delivery(record(), plan_in(folder), has_saved_output=True)
    eventually(delivery.write_when_due, what="it is due")
    found = load_exit(str(folder))
    assert found is not None
    assert found.output.merged() == b"all of it"
    assert sorted(path.name for path in folder.iterdir()) == [EXIT_FILE]


def test_what_is_left_to_the_agent_has_no_script_any_more(folder: Path) -> None:
    Delivery(record(), plan_in(folder), has_saved_output=False).leave()
    assert list(folder.iterdir()) == []


def test_an_agent_that_is_gone_is_told_nothing(folder: Path, ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    theirs.close()
    delivery = Delivery(record(), plan_in(folder, keep_script=True), has_saved_output=False)
    assert not delivery.send(ours, is_retiring=False)
    delivery.insist()
    assert load_exit(str(folder)) is not None
    assert (folder / "script.sh").exists(), "it was to be kept"


def test_that_nothing_was_started_is_on_disk_before_anybody_is_told(folder: Path) -> None:
    delivery = Delivery(record("not_started", pid=0), plan_in(folder), has_saved_output=False)
    assert load_exit(str(folder)) is not None
    assert delivery.write_when_due()


def test_of_a_script_that_never_ran_no_folder_is_made_again(tmp_path: Path) -> None:
    delivery = Delivery(record("not_started", pid=0), plan_in(tmp_path / "gone"), has_saved_output=False)
    assert delivery.write_when_due()
    assert not (tmp_path / "gone").exists()


def test_a_disk_that_takes_nothing_is_tried_again(folder: Path, tmp_path: Path) -> None:
    blocked = folder.rename(tmp_path / "elsewhere")
    folder.write_text("a file where the folder was")
    delivery = Delivery(record(), plan_in(folder), has_saved_output=False)
    delivery.write()
    assert not delivery.write_when_due()
    wait_ms = delivery.wait_ms()
    assert wait_ms is not None
    assert 500 < wait_ms <= 1001
    folder.unlink()
    blocked.rename(folder)
    eventually(delivery.write_when_due, what="it is there")
    assert load_exit(str(folder)) is not None
