"""A full disk: the script runs, its result arrives, and the result says what was missing."""

from pathlib import Path

import pytest
from integration.execution.running import Runner, processes_of, script_of, to_the_end

from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.record import load_exit
from harness.disk import fill, small_disk
from harness.eventually import eventually


def test_a_script_runs_from_memory_when_the_disk_is_full(runner: Runner, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 1 << 20) as disk:
        runner.home = disk
        fill(disk)
        outcome = runner.run("#!/bin/sh -e\necho ran; df -P . >/dev/null; exit 2")
        assert outcome.stdout == b"ran\n"
        assert outcome.record.exit_code == 2
        assert any("disk" in note and "memory" in note for note in outcome.record.notes)
        assert any("could not be written" in note for note in outcome.record.notes)


def test_a_disk_that_fills_up_while_the_script_runs_loses_nothing(runner: Runner, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 1 << 20) as disk:
        runner.home = disk
        script = script_of(f"seq 5000; cat /dev/zero > {disk}/ballast; sleep 0.7; echo last; exit 3", username="")
        outcome = to_the_end(runner.start(script))
        assert outcome.record.exit_code == 3
        assert outcome.stdout.endswith(b"last\n")


def test_a_record_waits_for_room_when_no_agent_is_there(runner: Runner, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 1 << 20) as disk:
        runner.home = disk
        gate = tmp_path / "gate"
        script = script_of(f"while [ ! -e {gate} ]; do sleep 0.02; done; head -c 20000 /dev/zero; exit 3")
        running = runner.start(script)
        ballast = fill(disk)
        running.close()
        gate.touch()
        folder = str(runner.folder_of(script))
        eventually(lambda: not (Path(folder) / "script.sh").exists(), what="the script has ended")
        assert load_exit(folder) is None
        ballast.unlink()
        record = eventually(lambda: load_exit(folder), what="the record was written as soon as there was room")
        assert record.exit_code == 3
        assert len(record.output.merged()) == 20000


@pytest.mark.parametrize("pause", ["", "sleep 0.2; "])
def test_a_script_that_kills_its_supervisor_on_a_full_disk_runs_once(
    runner: Runner, tmp_path: Path, pause: str
) -> None:
    """Nothing on disk says that it was started."""
    seen = tmp_path / "seen"
    with small_disk(tmp_path / "small", 1 << 20) as disk:
        runner.home = disk
        fill(disk)
        script = script_of(f"echo once >>{seen}; {pause}kill -9 $PPID; exec sleep 60")

        record = to_the_end(runner.start(script)).record

        assert (record.reason, record.error_code, record.survivors) == ("supervisor_lost", "ExecutionInterrupted", 0)
        assert processes_of(script) == []
    assert seen.read_text() == "once\n"


def test_what_has_no_claim_is_given_up_where_no_file_can_be_made(runner: Runner, tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", 1 << 20, file_count=2) as disk:
        folder = disk / "x-1"
        folder.mkdir()
        assert runner.launcher.adopt(folder) is None


def test_powershell_cannot_run_from_memory_and_says_so(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    powershell = tmp_path / "bin" / "pwsh"
    powershell.parent.mkdir()
    powershell.write_text("#!/bin/sh\n")
    powershell.chmod(0o755)
    monkeypatch.setattr("cloud_assistant.worker.execution.environment.SEARCH_PATH", str(powershell.parent))
    with small_disk(tmp_path / "small", 1 << 20) as disk:
        runner.home = disk
        fill(disk)
        with pytest.raises(NotStarted, match="free some space"):
            runner.run("1", script_type="RunPowerShellScript")
