"""What an installation that was killed left behind, and what a check says of a package that is not whole."""

import os
from pathlib import Path

import pytest
from unit.worker.packages.machine import Machine

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.releases.package_report import InstalledPackage, PackageStatus
from cloud_assistant.worker.packages.package_index import PackageReport
from cloud_assistant.worker.upgrade.unpacking import remove


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_what_killed_installations_left_goes_with_the_next_one_that_works(machine: Machine) -> None:
    assert machine.install("1.0") == 0
    tools = machine.work.index.folder / "tools"
    # An update to 2.0 was killed while its install script ran, another one while it was unpacked.
    (tools / "2.0").mkdir()
    (tools / ".3.0.new").mkdir()
    machine.work.index.put(InstalledPackage(name="tools", version="2.0", status=PackageStatus.UNKNOWN))

    assert machine.install("2.0") == 0

    assert [path.name for path in tools.iterdir()] == ["2.0"]


def test_a_package_whose_folder_is_gone_is_not_called_healthy(machine: Machine) -> None:
    machine.install("1.0")
    assert machine.check() == 0
    (machine.work.index.folder / "tools" / "1.0").rename(machine.folder / "away")

    assert machine.check() == 1

    assert machine.work.index.all()["tools"].status is PackageStatus.CRASHED
    assert "install it again" in machine.said[-1]
    assert machine.install("1.0") == 0


def test_the_file_of_a_package_may_begin_with_the_mark_that_editors_of_windows_write(machine: Machine) -> None:
    machine.mark = "\ufeff"
    assert machine.install("1.0") == 0, machine.said


def test_a_new_installation_of_the_same_version_that_is_cut_off_as_the_old_files_go_is_not_called_installed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.install("1.0")

    def killed(folder: Path) -> None:
        remove(folder)
        if folder.name == "1.0":
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("cloud_assistant.worker.packages.package_work.remove", killed)
        with pytest.raises(KeyboardInterrupt):
            machine.install("1.0", force=True)

    assert machine.work.index.all()["tools"].status is PackageStatus.UNKNOWN
    assert machine.install("1.0") == 0
    assert machine.check() == 0


def test_a_package_that_needs_an_earlier_version_of_itself_can_be_removed(machine: Machine) -> None:
    machine.install("1.0")
    machine.needs = ["tools>=1.0"]
    assert machine.install("2.0") == 0
    assert machine.uninstall("tools") == 0
    assert machine.work.index.all()["tools"].status is PackageStatus.REMOVED


def test_a_package_that_another_one_needs_is_not_removed(machine: Machine) -> None:
    machine.install("1.0")
    machine.needs = ["tools>=1.0"]
    assert machine.install("1.0", name="more") == 0
    with pytest.raises(Refused, match="tools is needed by more"):
        machine.uninstall("tools")


def test_a_package_may_be_called_lock(machine: Machine) -> None:
    # As an earlier release left it.
    machine.work.index.folder.mkdir()
    (machine.work.index.folder / "lock").touch()
    assert machine.install("1.0", name="lock") == 0
    assert machine.install("2.0", name="lock") == 0
    assert [path.name for path in (machine.work.index.folder / "lock").iterdir()] == ["2.0"]


def test_of_an_archive_that_is_refused_nothing_stays(machine: Machine) -> None:
    order = machine.order("1.0", links={"health": "/etc/passwd"})
    with pytest.raises(Refused) as refused:
        machine.work.obey(order)
    assert refused.value.code == "ArchiveUnsafe"
    assert machine.versions() == []
    assert list(machine.work.index.folder.glob("*.part")) == []


def test_the_heartbeat_tells_what_changed_also_where_the_new_file_took_the_number_of_an_old_one(
    machine: Machine,
) -> None:
    report = PackageReport(machine.folder / "home")
    assert report.fields() == {}
    machine.install("1.0")
    before = report.fields()
    path = machine.folder / "home" / "packages.json"
    path.write_bytes(path.read_bytes().replace(b'"1.0"', b'"1.1"'))
    os.utime(path, ns=(1, 1))
    assert report.fields() != before
    assert b'"1.1"' in bytes(report.fields()["packages"])  # type: ignore[arg-type]
