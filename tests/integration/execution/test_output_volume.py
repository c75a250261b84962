"""Much output, fast output, and output while it is written."""

import time
from pathlib import Path

from integration.execution.running import Runner, script_of, to_the_end

from cloud_assistant.worker.execution.events import Started
from cloud_assistant.worker.execution.output.frame_log import STDERR, STDOUT
from cloud_assistant.worker.execution.output.output_chunk import OutputChunk
from cloud_assistant.worker.execution.record import load_output
from harness.eventually import eventually

GIGABYTE = 1 << 30


def _peak_rss_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [peak] = [line for line in lines if line.startswith("VmHWM:")]
    return int(peak.split()[1]) * 1024


def test_a_gigabyte_of_output_costs_bounded_memory_and_is_counted_to_the_byte(runner: Runner) -> None:
    supervisor = runner.only_supervisor()
    before = _peak_rss_bytes(supervisor.pid)
    outcome = runner.run(f"printf begin; head -c {GIGABYTE} /dev/zero; printf end")
    output = outcome.record.output
    assert outcome.record.exit_code == 0
    assert output.total_bytes == GIGABYTE + len("beginend")
    assert output.dropped_bytes == output.total_bytes - 24 * 1024
    assert len(output.merged()) == 24 * 1024
    assert output.merged().startswith(b"begin\0")
    assert output.merged().endswith(b"\0end")
    assert _peak_rss_bytes(supervisor.pid) - before < 4 << 20
    assert len(outcome.chunks) < 300, "live output is bounded too"


def test_what_is_dropped_is_between_a_whole_head_and_a_whole_tail(runner: Runner) -> None:
    outcome = runner.run("seq 100000", output_limit_bytes=1000)
    everything = "".join(f"{number}\n" for number in range(1, 100_001)).encode()
    output = outcome.record.output
    head = b"".join(data for _, data in output.head)
    tail = b"".join(data for _, data in output.tail)
    assert (len(head), len(tail)) == (250, 750)
    assert everything.startswith(head)
    assert everything.endswith(tail)
    assert output.dropped_bytes == len(everything) - 1000


def test_no_character_is_cut_at_the_edges(runner: Runner) -> None:
    outcome = runner.run("for i in $(seq 300); do printf 'x你好'; done", output_limit_bytes=1000)
    output = outcome.record.output
    for frames in (output.head, output.tail):
        b"".join(data for _, data in frames).decode("utf-8")
    assert output.dropped_bytes == 300 * 7 - len(output.merged())
    assert 994 <= len(output.merged()) <= 1000


def test_output_comes_while_the_script_runs(runner: Runner) -> None:
    gate = runner.home / "gate"
    running = runner.start(script_of(f"echo first; while [ ! -e {gate} ]; do sleep 0.02; done; echo second >&2"))
    events = running.events(timeout=10)
    assert isinstance(next(events), Started)
    chunk = next(events)
    assert isinstance(chunk, OutputChunk)
    assert (chunk.offset_bytes, chunk.frames, chunk.skipped_bytes) == (0, [(STDOUT, b"first\n")], 0)
    gate.touch()
    outcome = to_the_end(running)
    rest = outcome.record.output.newest_after(chunk.end_bytes, 100)
    assert rest.frames == [(STDERR, b"second\n")]


def test_a_viewer_of_a_flood_sees_the_newest_and_how_much_was_skipped(runner: Runner) -> None:
    outcome = runner.run("i=0; while [ $i -lt 30 ]; do seq 20000; sleep 0.02; i=$((i+1)); done")
    chunks = outcome.chunks
    assert len(chunks) >= 3
    seen_bytes = 0
    for chunk in chunks:
        assert chunk.offset_bytes == seen_bytes + chunk.skipped_bytes
        assert 0 < chunk.end_bytes - chunk.offset_bytes <= 8 * 1024
        seen_bytes = chunk.end_bytes
    assert sum(chunk.skipped_bytes for chunk in chunks) > 0
    duration_seconds = (outcome.record.finished_ms - outcome.record.started_ms) / 1000
    assert len(chunks) <= duration_seconds * 10 + 1


def test_an_agent_that_does_not_listen_does_not_slow_the_script(runner: Runner) -> None:
    done = runner.home / "done"
    running = runner.start(script_of(f"i=0; while [ $i -lt 200 ]; do seq 3000; i=$((i+1)); done; touch {done}"))
    eventually(done.exists, within_seconds=20, what="the script has ended although nobody read an event")
    assert to_the_end(running).record.exit_code == 0


def test_output_is_on_disk_while_the_script_runs(runner: Runner) -> None:
    gate = runner.home / "gate"
    script = script_of(f"echo saved; while [ ! -e {gate} ]; do sleep 0.02; done")
    running = runner.start(script)
    folder = runner.folder_of(script)
    kept = eventually(lambda: load_output(str(folder)), within_seconds=3, what="the output is saved")
    assert kept.merged() == b"saved\n"
    gate.touch()
    to_the_end(running, clears=True)
    eventually(lambda: not folder.exists(), what="its folder is cleared away")


def test_events_return_when_nothing_happens_for_the_time_given(runner: Runner) -> None:
    gate = runner.home / "gate"
    running = runner.start(script_of(f"while [ ! -e {gate} ]; do sleep 0.02; done"))
    begun_at = time.monotonic()
    assert [type(event) for event in running.events(timeout=0.1)] == [Started]
    assert 0.1 <= time.monotonic() - begun_at < 5
    assert list(running.events(timeout=0)) == []
    gate.touch()
    assert to_the_end(running).record.exit_code == 0
    assert list(running.events()) == []


def test_a_large_kept_output_arrives_whole(runner: Runner) -> None:
    outcome = runner.run("head -c 3000000 /dev/zero", output_limit_bytes=4_000_000)
    assert outcome.record.output.dropped_bytes == 0
    assert outcome.stdout == bytes(3_000_000)
