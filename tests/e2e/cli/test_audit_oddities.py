"""`assist audit` with odd files and times: each gets one line that helps, never a defect."""

from pathlib import Path

from harness.system import System


def test_files_and_times_that_cannot_be_used_are_told(system: System, tmp_path: Path) -> None:
    system.assist("key", "create").must_succeed()
    system.assist("instance", "add", "i-1").must_succeed()
    # Longer ago than 1970.
    assert len(system.assist("audit", "list", "--since", "30000d", "--output", "json").must_succeed().json) == 4
    outcome = system.assist("audit", "export", str(tmp_path / "none" / "audit.jsonl"))
    assert (outcome.exit_code, "FileNotUsable" in outcome.stderr) == (4, True)
    assert system.assist("audit", "verify", "--unsealed-through", "-1").exit_code == 2
    note = system.folder / "operator" / "audit-anchor.json"
    note.write_text("{")
    outcome = system.assist("audit", "verify")
    assert (outcome.exit_code, str(note) in outcome.stderr) == (4, True)
    note.unlink()
    note.mkdir()
    outcome = system.assist("audit", "verify")
    assert (outcome.exit_code, "FileNotUsable" in outcome.stderr) == (4, True)


def test_a_note_that_cannot_be_written_leaves_the_verdict(system: System) -> None:
    system.assist("instance", "add", "i-1").must_succeed()
    # There is no master key, so nothing else of the home is needed.
    outcome = system.assist("--home", "/proc/none", "audit", "verify").must_succeed()
    assert "entries 1 to 2 are as they were written" in outcome.stdout
    assert "/proc/none/audit-anchor.json" in outcome.stderr
