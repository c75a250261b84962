import stat
from pathlib import Path

import pytest

from cloud_assistant.worker.execution.not_started import NotStarted
from cloud_assistant.worker.execution.supervisor.script_folder import ScriptFolder, spare_root


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


def made(folder: ScriptFolder, path: Path, *, is_passable: bool = False) -> Path:
    folder.make(str(path), is_passable=is_passable)
    (path / "script.sh").write_text("echo")
    return path


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_emptied_folder_is_used_again(spool: Path) -> None:
    folder = ScriptFolder("1-2")
    first = made(folder, spool / "first")
    number = first.stat().st_ino

    folder.empty(str(first))
    assert (names_in(spool), spares_of(spool)) == ([], ["1-2"])
    folder.make(str(spool / "second"), is_passable=False)

    found = spool / "second"
    assert (found.stat().st_ino, mode_of(found), names_in(found)) == (number, 0o700, [])
    assert spares_of(spool) == []


def test_a_folder_that_others_could_enter_is_not_kept(spool: Path) -> None:
    folder = ScriptFolder("1-2")
    path = made(folder, spool / "passable", is_passable=True)
    assert mode_of(path) == 0o711

    folder.empty(str(path))

    assert (names_in(spool), spares_of(spool)) == ([], [])


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
