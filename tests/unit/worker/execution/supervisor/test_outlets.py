import contextlib
from pathlib import Path

import pytest

from cloud_assistant.worker.execution.channel import Channel, Kind
from cloud_assistant.worker.execution.output.frame_log import STDOUT
from cloud_assistant.worker.execution.output.kept_output import KeptOutput
from cloud_assistant.worker.execution.output.output_chunk import OutputChunk
from cloud_assistant.worker.execution.record import OUTPUT_FILE, load_output
from cloud_assistant.worker.execution.supervisor import outlets as outlets_module
from cloud_assistant.worker.execution.supervisor.clocks import RunClock
from cloud_assistant.worker.execution.supervisor.outlets import Outlets


def received(channel: Channel) -> list[OutputChunk]:
    chunks = []
    with contextlib.suppress(BlockingIOError):
        while message := channel.receive(wait=False):
            assert message.kind == Kind.OUTPUT
            chunks.append(OutputChunk.from_bytes(message.body))
    return chunks


def test_the_first_output_is_sent_after_a_tenth_of_a_second_and_saved_after_half_a_second(
    tmp_path: Path, ends: tuple[Channel, Channel]
) -> None:
    ours, theirs = ends
    kept = KeptOutput(1000)
    outlets = Outlets(kept, str(tmp_path), RunClock())
    assert outlets.due_at() is None
    kept.feed(STDOUT, b"hi")
    outlets.note_output(10.0)
    outlets.note_output(10.05)
    assert outlets.due_at() == pytest.approx(10.1)
    outlets.serve(10.09, ours)
    assert received(theirs) == []
    outlets.serve(10.1, ours)
    assert received(theirs) == [OutputChunk(0, [(STDOUT, b"hi")], 0)]
    assert outlets.due_at() == pytest.approx(10.5)
    assert (load_output(str(tmp_path)), outlets.is_saved) == (None, False)
    outlets.serve(10.5, ours)
    saved = load_output(str(tmp_path))
    assert saved is not None
    assert saved.merged() == b"hi"
    assert outlets.is_saved
    assert outlets.due_at() is None


def test_an_agent_that_does_not_read_is_never_waited_for_and_told_what_it_missed(
    tmp_path: Path, ends: tuple[Channel, Channel]
) -> None:
    ours, theirs = ends
    kept = KeptOutput(100_000)
    outlets = Outlets(kept, str(tmp_path), RunClock())
    now = 0.0
    for _ in range(200):
        kept.feed(STDOUT, b"x" * 8000)
        outlets.note_output(now)
        now += 0.2
        outlets.serve(now, ours)
    early = received(theirs)
    assert 0 < len(early) < 200
    assert outlets.due_at() is not None
    outlets.serve(now + 1, ours)
    [late] = received(theirs)
    assert late.end_bytes == kept.total_bytes
    assert late.skipped_bytes == late.offset_bytes - early[-1].end_bytes > 0


def test_without_an_agent_output_is_still_saved(tmp_path: Path) -> None:
    kept = KeptOutput(1000)
    outlets = Outlets(kept, str(tmp_path), RunClock())
    kept.feed(STDOUT, b"hi")
    outlets.note_output(0.0)
    outlets.serve(0.6, None)
    assert load_output(str(tmp_path)) is not None


def test_a_disk_that_takes_nothing_does_not_disturb_and_is_tried_again(tmp_path: Path) -> None:
    kept = KeptOutput(1000)
    folder = tmp_path / "not yet"
    outlets = Outlets(kept, str(folder), RunClock())
    kept.feed(STDOUT, b"hi")
    outlets.note_output(0.0)
    outlets.serve(0.6, None)
    assert not outlets.is_saved
    folder.mkdir()
    kept.feed(STDOUT, b"!")
    outlets.note_output(1.0)
    outlets.serve(1.6, None)
    assert outlets.is_saved


def test_output_that_is_held_back_is_neither_sent_nor_saved(tmp_path: Path, ends: tuple[Channel, Channel]) -> None:
    """Such as the beginning of what may become a secret."""
    ours, theirs = ends
    kept = KeptOutput(1000)
    outlets = Outlets(kept, str(tmp_path), RunClock())
    kept.feed(STDOUT, b"hi")
    outlets.note_output(0.0)
    outlets.serve(0.6, ours)
    assert len(received(theirs)) == 1
    (tmp_path / OUTPUT_FILE).unlink()
    outlets.note_output(1.0)
    outlets.serve(1.6, ours)
    assert received(theirs) == []
    assert list(tmp_path.iterdir()) == []


def test_an_agent_that_is_gone_does_not_disturb(tmp_path: Path, ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    theirs.close()
    kept = KeptOutput(1000)
    outlets = Outlets(kept, str(tmp_path), RunClock())
    kept.feed(STDOUT, b"hi")
    outlets.note_output(0.0)
    outlets.serve(0.6, ours)
    assert outlets.is_saved


def test_saving_takes_a_twentieth_of_the_time_however_slow_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SetClock(RunClock):
        elapsed = 0.0

        def elapsed_seconds(self) -> float:
            return self.elapsed

    def write_slowly(_path: str, _data: bytes) -> None:
        clock.elapsed += 3.0

    clock = SetClock()
    monkeypatch.setattr(outlets_module, "replace_file", write_slowly)
    kept = KeptOutput(1000)
    outlets = Outlets(kept, str(tmp_path), clock)
    kept.feed(STDOUT, b"hi")
    outlets.note_output(0.0)
    outlets.serve(0.5, None)
    kept.feed(STDOUT, b"!")
    outlets.note_output(3.5)
    outlets.serve(3.6, None)
    assert outlets.due_at() == pytest.approx(60.5)
