import errno
import json
import os
import stat
from pathlib import Path

import pytest

from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.record import spare_root
from cloud_assistant.worker.execution.supervisor.script_folder import ScriptFolder
from harness.needs import skip_without


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    path = tmp_path / "spool"
    path.mkdir()
    Path(spare_root(str(path))).mkdir()
    return path


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def spares_of(spool: Path) -> list[str]:
    return names_in(Path(spare_root(str(spool))))


def made(folder: ScriptFolder, path: Path, *, is_passable: bool = False, script: str = "script.sh") -> Path:
    """Make a folder as it is while a script runs."""
    folder.make(str(path), is_passable=is_passable)
    folder.claim(str(path), b"{}")
    if not folder.may_overwrite(script):
        (path / script).touch(0o500, exist_ok=False)
    (path / script).chmod(0o700)
    (path / script).write_text(f"echo {path.name}")
    (path / script).chmod(0o500)
    return path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_emptied_folder_is_used_again_with_its_files(spool: Path) -> None:
    if os.geteuid() != 0:
        skip_without("root's rights", "An ordinary user may not write to a script's file: it is made anew.")
    folder = ScriptFolder("1-2")
    first = made(folder, spool / "first")
    numbers = first.stat().st_ino, (first / "script.sh").stat().st_ino, (first / "started.json").stat().st_ino

    folder.empty(str(first))
    assert (names_in(spool), spares_of(spool)) == ([], ["1-2"])
    assert (Path(spare_root(str(spool))) / "1-2" / "script.sh").read_bytes() == b""
    second = made(folder, spool / "second")

    assert (second.stat().st_ino, (second / "script.sh").stat().st_ino, (second / "started.json").stat().st_ino) == (
        numbers
    )
    assert (mode_of(second), (second / "script.sh").read_text()) == (0o700, "echo second")
    assert spares_of(spool) == []


def test_a_claim_is_made_once_and_leaves_nothing_of_the_one_before(spool: Path) -> None:
    folder = ScriptFolder("1-2")
    folder.make(str(spool / "first"), is_passable=False)
    folder.claim(str(spool / "first"), b'{"a": "much longer than the next one"}')
    folder.empty(str(spool / "first"))
    folder.make(str(spool / "second"), is_passable=False)
    assert names_in(spool / "second") == ["claim"]

    folder.claim(str(spool / "second"), b'{"b": 1}')

    assert json.loads((spool / "second" / "started.json").read_bytes()) == {"b": 1}
    with pytest.raises(FileExistsError):
        folder.claim(str(spool / "second"), b"{}")


@pytest.mark.parametrize("error", [errno.EPERM, errno.EOPNOTSUPP])
def test_where_a_file_has_one_name_a_claim_is_made_once_all_the_same(
    spool: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(os, "link", refuse)
    folder = ScriptFolder("1-2")
    for name in ("first", "second"):
        path = made(folder, spool / name)
        assert json.loads((path / "started.json").read_bytes()) == {}
        folder.complete_claim(b'{"pid": 1}')
        assert json.loads((path / "started.json").read_bytes()) == {"pid": 1}
        folder.empty(str(path))
        assert (names_in(spool), spares_of(spool)) == ([], [])
    (spool / "third").mkdir()
    (spool / "third" / "started.json").touch()
    folder.make(str(spool / "third"), is_passable=False)
    with pytest.raises(FileExistsError):
        folder.claim(str(spool / "third"), b"{}")


def test_what_was_given_up_is_not_claimed(spool: Path) -> None:
    (spool / "first").mkdir()
    (spool / "first" / "started.json").touch()
    folder = ScriptFolder("1-2")
    folder.make(str(spool / "first"), is_passable=False)

    with pytest.raises(FileExistsError):
        folder.claim(str(spool / "first"), b"{}")

    assert (spool / "first" / "started.json").read_bytes() == b""


def test_a_script_of_another_name_is_a_new_file(spool: Path) -> None:
    folder = ScriptFolder("1-2")
    folder.empty(str(made(folder, spool / "first")))
    folder.make(str(spool / "second"), is_passable=False)
    assert not folder.may_overwrite("script.py")


def test_a_script_that_was_removed_meanwhile_is_a_new_file_the_next_time(spool: Path) -> None:
    """So it is when nobody has taken the result in time, and the record was written to disk."""
    folder = ScriptFolder("1-2")
    first = made(folder, spool / "first")
    (first / "script.sh").unlink()

    folder.empty(str(first))

    assert (made(folder, spool / "second") / "script.sh").read_text() == "echo second"


@pytest.mark.parametrize("how", ["linked elsewhere", "open elsewhere", "another mode", "a link"])
def test_a_script_that_somebody_else_may_use_is_not_written_to_again(spool: Path, tmp_path: Path, how: str) -> None:
    folder = ScriptFolder("1-2")
    first = made(folder, spool / "first")
    script = first / "script.sh"
    kept = tmp_path / "kept"
    reader = (first / "script.sh").open()
    if how == "linked elsewhere":
        kept.hardlink_to(script)
    if how != "open elsewhere":
        reader.close()
    if how == "another mode":
        script.chmod(0o755)
    if how == "a link":
        script.unlink()
        kept.write_text("echo first")
        script.symlink_to(kept)

    folder.empty(str(first))

    assert spares_of(spool) == ["1-2"]
    assert names_in(Path(spare_root(str(spool))) / "1-2") == ["claim"]
    assert (made(folder, spool / "second") / "script.sh").read_text() == "echo second"
    if how == "open elsewhere":
        assert reader.read() == "echo first"
        reader.close()
    if kept.exists():
        assert kept.read_text() == "echo first"


def test_a_script_that_removed_our_files_costs_the_folder(spool: Path) -> None:
    folder = ScriptFolder("1-2")
    first = made(folder, spool / "first")
    (first / "claim").unlink()

    folder.empty(str(first))

    assert (names_in(spool), spares_of(spool)) == ([], [])
    assert mode_of(made(folder, spool / "second")) == 0o700


def test_a_folder_left_to_somebody_else_is_not_touched_by_the_next(spool: Path) -> None:
    folder = ScriptFolder("1-2")
    first = made(folder, spool / "first")

    folder.let_go()
    second = made(folder, spool / "second")

    assert (first / "claim").stat().st_ino != (second / "claim").stat().st_ino
    assert (first / "script.sh").read_text() == "echo first"


def test_a_folder_that_others_could_enter_is_not_kept(spool: Path) -> None:
    folder = ScriptFolder("1-2")
    path = made(folder, spool / "passable", is_passable=True)
    assert mode_of(path) == 0o711

    folder.empty(str(path))

    assert (names_in(spool), spares_of(spool)) == ([], [])


@pytest.mark.parametrize("mode", [0o777, 0o755, 0o701])
def test_a_folder_that_its_script_has_opened_to_others_is_not_kept(spool: Path, mode: int) -> None:
    """Whoever has gone in meanwhile could put a script of his own in the place of the next one."""
    folder = ScriptFolder("1-2")
    path = made(folder, spool / "first")
    path.chmod(mode)

    folder.empty(str(path))

    assert (names_in(spool), spares_of(spool)) == ([], [])
    assert mode_of(made(folder, spool / "second")) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_that_its_script_has_given_away_is_not_kept(spool: Path) -> None:
    folder = ScriptFolder("1-2")
    path = made(folder, spool / "first")
    os.chown(path, 65534, 65534)

    folder.empty(str(path))

    assert spares_of(spool) == []


def test_what_a_script_made_beside_itself_goes_with_it(spool: Path) -> None:
    folder = ScriptFolder("1-2")
    path = made(folder, spool / "first")
    (path / "inner").mkdir()
    (path / "inner" / "file").write_text("x")

    folder.empty(str(path))

    assert names_in(spool) == []


def test_without_a_place_for_it_nothing_is_kept(tmp_path: Path) -> None:
    folder = ScriptFolder("1-2")

    folder.empty(str(made(folder, tmp_path / "first")))

    assert names_in(tmp_path) == []
    folder.make(str(tmp_path / "second"), is_passable=False)
    assert mode_of(tmp_path / "second") == 0o700


def test_what_is_in_the_place_stays(spool: Path) -> None:
    folder = ScriptFolder("1-2")
    folder.empty(str(made(folder, spool / "first")))
    wanted = spool / "wanted"
    wanted.mkdir(mode=0o777)
    (wanted / "started.json").write_text("{}")

    folder.make(str(wanted), is_passable=False)

    assert ((wanted / "started.json").read_text(), mode_of(wanted)) == ("{}", 0o700)
    assert spares_of(spool) == []


def test_a_link_in_the_place_is_refused(spool: Path) -> None:
    (spool / "link").symlink_to(spool)

    with pytest.raises(NotStarted, match="not a folder of the agent"):
        ScriptFolder("1-2").make(str(spool / "link"), is_passable=False)


def test_who_leaves_takes_what_was_kept_along(spool: Path) -> None:
    folder = ScriptFolder("1-2")
    folder.empty(str(made(folder, spool / "first")))

    folder.leave()
    folder.leave()

    assert spares_of(spool) == []
