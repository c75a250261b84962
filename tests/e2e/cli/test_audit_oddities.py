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


def test_an_export_that_cannot_be_made_leaves_the_one_before(system: System, tmp_path: Path) -> None:
    system.assist("instance", "add", "i-1").must_succeed()
    export = tmp_path / "exports" / "audit.jsonl"
    export.parent.mkdir()
    made = system.assist("audit", "export", str(export), "--output", "json").must_succeed()
    assert made.json == {"File": str(export), "EntryCount": 2}
    before = export.read_bytes()
    again = ("audit", "export", "--overwrite")
    assert system.assist("--redis-url", "redis://127.0.0.1:1/0", *again, export).exit_code == 3
    assert (export.read_bytes(), list(export.parent.iterdir())) == (before, [export])
    system.assist("instance", "add", "i-2").must_succeed()
    link = export.parent / "link"
    link.symlink_to(export)
    for target in (export, link):
        # It may be all that knows of what was cut off in Redis since.
        refused = system.assist("audit", "export", target)
        assert (refused.exit_code, "--overwrite" in refused.stderr) == (4, True)
    assert export.read_bytes() == before
    system.assist(*again, link).must_succeed()
    assert export.read_bytes().startswith(before)
    assert len(export.read_bytes().splitlines()) == 4
    assert link.is_symlink()


def test_an_export_goes_into_what_is_no_file_and_what_is_empty_too(system: System, tmp_path: Path) -> None:
    system.assist("instance", "add", "i-1").must_succeed()
    empty = tmp_path / "empty"
    empty.touch()
    system.assist("audit", "export", empty).must_succeed()
    assert len(empty.read_bytes().splitlines()) == 2
    assert len(system.assist("audit", "export", "/dev/stdout").must_succeed().stdout.splitlines()) == 2
