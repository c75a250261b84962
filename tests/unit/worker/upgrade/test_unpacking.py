"""An archive that was signed may still be wrong: nothing of it lands outside its folder."""

import io
import os
import tarfile
from pathlib import Path

import pytest

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.worker.upgrade.unpacking import unpack

TOP = "agent-1"


def member(name: str, data: bytes = b"x", mode: int = 0o644, kind: bytes = tarfile.REGTYPE, link: str = "") -> tuple:  # type: ignore[type-arg]
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type, info.linkname = (len(data) if kind == tarfile.REGTYPE else 0), mode, kind, link
    return info, data


def archive(folder: Path, *members: tuple) -> Path:  # type: ignore[type-arg]
    path = folder / "archive.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return path


def test_files_come_out_with_modest_modes_and_links_inside(tmp_path: Path) -> None:
    made = archive(
        tmp_path,
        member(TOP, kind=tarfile.DIRTYPE),
        member(f"{TOP}/bin/run", mode=0o6777),
        member(f"{TOP}/lib/libx.so.1", mode=0o666),
        member(f"{TOP}/lib/libx.so", kind=tarfile.SYMTYPE, link="libx.so.1"),
        member(f"{TOP}/share/run", kind=tarfile.SYMTYPE, link="../bin/run"),
    )
    target = tmp_path / "out"
    unpack(made, target, strip_top=TOP)
    assert (target / "bin/run").stat().st_mode & 0o7777 == 0o755
    assert (target / "lib/libx.so.1").stat().st_mode & 0o7777 == 0o644
    assert (target / "lib/libx.so").resolve() == target / "lib/libx.so.1"
    assert (target / "share/run").resolve() == target / "bin/run"


@pytest.mark.parametrize(
    "members",
    [
        [member("/etc/evil")],
        [member(f"{TOP}/../evil")],
        [member("other/file")],
        [member(f"{TOP}/a", kind=tarfile.SYMTYPE, link="/etc/passwd")],
        [member(f"{TOP}/a", kind=tarfile.SYMTYPE, link="../../evil")],
        [member(f"{TOP}/a", kind=tarfile.SYMTYPE, link="b/../../../evil")],
        [member(f"{TOP}/a", kind=tarfile.LNKTYPE, link="/etc/passwd")],
        [member(f"{TOP}/a", kind=tarfile.FIFOTYPE)],
        [member(f"{TOP}/a", kind=tarfile.CHRTYPE)],
        [member(f"{TOP}/a"), member(f"{TOP}/a")],
        [member(f"{TOP}/d", kind=tarfile.SYMTYPE, link="e"), member(f"{TOP}/d", kind=tarfile.SYMTYPE, link="f")],
    ],
    ids=lambda members: members[-1][0].name + " " + members[-1][0].linkname,
)
def test_what_leads_out_or_is_no_file_is_refused(tmp_path: Path, members: list[tuple]) -> None:  # type: ignore[type-arg]
    with pytest.raises(Refused) as refused:
        unpack(archive(tmp_path, *members), tmp_path / "out", strip_top=TOP)
    assert refused.value.code == "ArchiveUnsafe"
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("name", ["/etc/evil", "../evil", "a/../../evil"])
def test_what_leads_out_of_a_package_is_refused_too(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused, match="leads out of the folder"):
        unpack(archive(tmp_path, member(name)), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    made = archive(
        tmp_path, member(f"{TOP}/d", kind=tarfile.SYMTYPE, link="elsewhere"), member(f"{TOP}/d/file", b"written")
    )
    with pytest.raises(Refused):
        unpack(made, tmp_path / "out", strip_top=TOP)


def test_a_broken_archive_is_refused(tmp_path: Path) -> None:
    made = archive(tmp_path, member(f"{TOP}/a", b"x" * 100_000))
    made.write_bytes(made.read_bytes()[:-20])
    with pytest.raises(Refused) as refused:
        unpack(made, tmp_path / "out", strip_top=TOP)
    assert refused.value.code == "ArchiveBroken"


def test_folders_can_be_entered_whatever_mask_the_service_was_given(tmp_path: Path) -> None:
    made = archive(tmp_path, member(f"{TOP}/lib", kind=tarfile.DIRTYPE), member(f"{TOP}/bin/run", mode=0o755))
    before = os.umask(0o077)
    try:
        unpack(made, tmp_path / "versions" / "1", strip_top=TOP)
    finally:
        os.umask(before)
    folders = ("versions", "versions/1", "versions/1/lib", "versions/1/bin")
    assert [oct((tmp_path / name).stat().st_mode & 0o777) for name in folders] == ["0o755"] * 4


def test_a_folder_that_is_there_already_is_not_unpacked_into(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError):
        unpack(archive(tmp_path, member(f"{TOP}/bin/run")), tmp_path / "out", strip_top=TOP)


def test_a_file_and_a_folder_of_one_name_are_not_both_taken(tmp_path: Path) -> None:
    made = archive(tmp_path, member(f"{TOP}/run"), member(f"{TOP}/run", kind=tarfile.DIRTYPE))
    with pytest.raises(FileExistsError):
        unpack(made, tmp_path / "out", strip_top=TOP)


@pytest.mark.parametrize(("limit", "most"), [("LIMIT_BYTES", 99), ("LIMIT_COUNT", 1)])
def test_an_archive_may_not_grow_without_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    made = archive(tmp_path, member(f"{TOP}/a", b"x" * 50), member(f"{TOP}/b", b"x" * 50))
    monkeypatch.setattr(f"cloud_assistant.worker.upgrade.unpacking.{limit}", most)
    with pytest.raises(Refused, match="makes it too large"):
        unpack(made, tmp_path / "out", strip_top=TOP)


@pytest.mark.parametrize("name", [f"{TOP}/a\\b", f"{TOP}/c:b"])
def test_a_name_that_leads_elsewhere_on_windows_is_refused_everywhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused, match="leads out of the folder"):
        unpack(archive(tmp_path, member(name)), tmp_path / "out", strip_top=TOP)


def test_a_link_that_climbs_behind_a_name_is_refused_wherever_it_would_end(tmp_path: Path) -> None:
    made = archive(tmp_path, member(f"{TOP}/x/l", kind=tarfile.SYMTYPE, link="sub/../../y"))
    with pytest.raises(Refused, match="is a link to"):
        unpack(made, tmp_path / "out", strip_top=TOP)


def test_a_link_behind_a_link_is_refused(tmp_path: Path) -> None:
    made = archive(
        tmp_path,
        member(f"{TOP}/e", kind=tarfile.DIRTYPE),
        member(f"{TOP}/d", kind=tarfile.SYMTYPE, link="e"),
        member(f"{TOP}/d/inner", kind=tarfile.SYMTYPE, link="x"),
    )
    with pytest.raises(Refused, match="lies behind a link"):
        unpack(made, tmp_path / "out", strip_top=TOP)


@pytest.mark.skipif(not hasattr(os, "sync"), reason="there each file is forced to disk by itself")
def test_everything_is_on_the_disk_when_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = []
    monkeypatch.setattr(os, "sync", lambda: there.append((tmp_path / "out/bin/run").exists()))
    unpack(archive(tmp_path, member(f"{TOP}/bin/run")), tmp_path / "out", strip_top=TOP)
    assert there == [True]
