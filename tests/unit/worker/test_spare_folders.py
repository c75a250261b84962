import stat
from pathlib import Path

import pytest

from cloud_assistant.worker.spare_folders import SpareFolders


@pytest.fixture
def spares(tmp_path: Path) -> SpareFolders:
    made = SpareFolders(str(tmp_path / "spare"))
    made.make()
    return made


def folder(tmp_path: Path, name: str, mode: int = 0o700) -> Path:
    path = tmp_path / name
    path.mkdir()
    path.chmod(mode)
    return path


def test_a_folder_is_used_again(tmp_path: Path, spares: SpareFolders) -> None:
    used = folder(tmp_path, "first")
    number = used.stat().st_ino

    assert spares.keep(str(used))
    assert not used.exists()
    spares.take(str(tmp_path / "second"))

    found = (tmp_path / "second").stat()
    assert (found.st_ino, stat.S_IMODE(found.st_mode)) == (number, 0o700)
    spares.take(str(tmp_path / "third"))
    assert not (tmp_path / "third").exists()


def test_a_folder_that_others_could_enter_is_not_kept(tmp_path: Path, spares: SpareFolders) -> None:
    assert not spares.keep(str(folder(tmp_path, "passable", 0o711)))
    assert (tmp_path / "passable").is_dir()


def test_a_link_is_not_kept(tmp_path: Path, spares: SpareFolders) -> None:
    (tmp_path / "link").symlink_to(folder(tmp_path, "elsewhere"))

    assert not spares.keep(str(tmp_path / "link"))


def test_no_more_are_kept_than_slots_need(tmp_path: Path, spares: SpareFolders) -> None:
    kept = [spares.keep(str(folder(tmp_path, f"f{number}"))) for number in range(20)]

    assert kept == [True] * 16 + [False] * 4


def test_what_is_in_the_place_stays(tmp_path: Path, spares: SpareFolders) -> None:
    spares.keep(str(folder(tmp_path, "used")))
    wanted = folder(tmp_path, "wanted")
    (wanted / "started.json").write_text("{}")

    spares.take(str(wanted))

    assert (wanted / "started.json").read_text() == "{}"
    assert list((tmp_path / "spare").iterdir()) == []


def test_what_an_earlier_agent_left_is_removed(tmp_path: Path, spares: SpareFolders) -> None:
    spares.keep(str(folder(tmp_path, "used")))

    SpareFolders(str(tmp_path / "spare")).make()

    assert list((tmp_path / "spare").iterdir()) == []
