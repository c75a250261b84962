"""What a package is installed from, which scripts run in which order, and what is known of it afterwards."""

import os
import platform
import threading
from pathlib import Path

import pytest
from unit.worker.packages.machine import Machine

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.releases.package_order import PackageAction, PackageOrder
from cloud_assistant.broker_config.releases.package_report import PackageStatus, decode_report
from cloud_assistant.worker.packages.package_index import PackageReport
from cloud_assistant.worker.packages.package_work import PackageWork
from cloud_assistant.worker.upgrade.bundle import this_system
from harness.eventually import eventually

ALL = {"install": "exit 0", "uninstall": "exit 0", "health": "exit 0"}
HERE, ARCH = this_system()
OTHER_OS = "windows" if HERE != "windows" else "linux"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("system", [(HERE, ARCH), ("any", ARCH), (HERE, "any"), ("any", "any")])
def test_an_archive_for_this_system_is_taken(machine: Machine, system: tuple[str, str]) -> None:
    assert machine.work.obey(machine.order("1.0", system=system)) == 0


@pytest.mark.parametrize("system", [(OTHER_OS, ARCH), (HERE, "other"), (OTHER_OS, "any"), ("any", "other")])
def test_an_archive_for_another_system_is_refused(machine: Machine, system: tuple[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        machine.work.obey(machine.order("1.0", system=system))
    assert refused.value.code == "WrongArchive"


def test_an_archive_of_another_package_than_was_ordered_is_refused(machine: Machine) -> None:
    signature = machine.order("1.0", name="other").signature
    with pytest.raises(Refused) as refused:
        machine.work.obey(PackageOrder(action=PackageAction.INSTALL, name="tools", signature=signature))
    assert refused.value.code == "WrongArchive"


def test_an_archive_that_names_another_version_than_was_signed_is_refused(machine: Machine) -> None:
    machine.named_version = "0.9"
    with pytest.raises(Refused) as refused:
        machine.install("1.0")
    assert refused.value.code == "PackageBroken"
    assert machine.versions() == []


def test_a_script_that_is_a_link_out_of_the_package_is_not_run(machine: Machine) -> None:
    with pytest.raises(Refused):
        machine.work.obey(machine.order("1.0", scripts={}, links={"install": "/bin/true"}))


def test_a_script_outside_of_the_package_is_not_run(machine: Machine) -> None:
    machine.script_lines = 'install = "/bin/true"'
    with pytest.raises(Refused, match="names '/bin/true', which is not in it"):
        machine.work.obey(machine.order("1.0", scripts={}))


def test_a_package_may_take_its_time_to_be_healthy(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud_assistant.worker.packages.package_work._HEALTH_PAUSE_SECONDS", 0.01)
    machine.patience = 20
    assert machine.install("1.0", scripts={**ALL, "health": "test -e once || { touch once; exit 1; }"}) == 0
    assert machine.tools.status is PackageStatus.RUNNING


def test_what_was_fetched_is_gone_after_it_was_installed(machine: Machine) -> None:
    machine.install("1.0")
    assert list(machine.work.index.folder.glob("*.part")) == []


@pytest.mark.parametrize(
    ("requires", "said"),
    [
        ('agent = ">=2"', "it needs an agent >=2, and this one is 1.5.0"),
        ('os = ["plan9"]', "it is for plan9, and this is"),
        ('distributions = ["no-such"]', "it is for no-such, and this is debian, like"),
    ],
)
def test_what_a_package_needs_of_the_machine_is_told(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, requires: str, said: str
) -> None:
    monkeypatch.setattr(
        platform, "freedesktop_os_release", lambda: {"ID": "debian", "ID_LIKE": "like", "VERSION_ID": ""}
    )
    monkeypatch.setattr("sys.platform", "linux")
    machine.requires = requires
    with pytest.raises(Refused, match=said) as refused:
        machine.install("1.0")
    assert refused.value.code == "RequirementUnmet"


@pytest.mark.parametrize("name", ["Ubuntu", "ubuntu-22.04", "DEBIAN"])
def test_a_distribution_is_known_by_its_name_its_version_and_what_it_is_like(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(
        platform,
        "freedesktop_os_release",
        lambda: {"ID": "ubuntu", "ID_LIKE": "debian", "VERSION_ID": "22.04"},
    )
    monkeypatch.setattr("sys.platform", "linux")
    machine.requires = f'agent = ">=1,<2", distributions = ["{name}"]'
    assert machine.install("1.0") == 0


def test_a_package_of_the_wrong_version_is_not_the_one_that_is_needed(machine: Machine) -> None:
    machine.install("1.0", name="base")
    machine.needs = ["base>=2"]
    with pytest.raises(Refused, match=r"it needs base>=2, and here is base 1\.0"):
        machine.install("1.0")


def test_a_package_that_was_removed_is_not_the_one_that_is_needed(machine: Machine) -> None:
    machine.install("1.0", name="base")
    machine.uninstall("base")
    machine.needs = ["base>=1"]
    with pytest.raises(Refused, match="and here is none"):
        machine.install("1.0")


def test_a_need_that_cannot_be_read_is_the_packages_fault(machine: Machine) -> None:
    machine.needs = ["base=>1"]
    with pytest.raises(Refused) as refused:
        machine.install("1.0")
    assert refused.value.code == "PackageBroken"


def test_an_update_that_fails_returns_to_the_version_before_with_its_own_scripts(machine: Machine) -> None:
    machine.install("1.0", scripts=ALL)
    machine.lines()
    assert machine.install("2.0", scripts={**ALL, "health": "exit 3"}) == 1
    assert machine.lines() == [
        "install 2.0 previous=1.0",
        "health 2.0 previous=",
        "uninstall 2.0 previous=1.0",
        "install 1.0 previous=",
        "health 1.0 previous=",
    ]
    assert (machine.tools.version, machine.tools.status) == ("1.0", PackageStatus.RUNNING)
    assert machine.tools.reason == "2.0 failed: its health script ended with exit code 3"
    assert machine.versions() == ["1.0"]


def test_a_version_before_that_does_not_work_any_more_is_told_as_crashed(machine: Machine) -> None:
    machine.install("1.0", scripts={**ALL, "install": "test ! -e ../broken"})
    (machine.work.index.folder / "tools" / "broken").touch()
    assert machine.install("2.0", scripts={**ALL, "install": "exit 3"}) == 1
    assert (machine.tools.version, machine.tools.status) == ("1.0", PackageStatus.CRASHED)
    assert "and 1.0 again: its install script ended with exit code 1" in machine.tools.reason


def test_the_same_version_again_that_fails_stays_and_is_crashed(machine: Machine) -> None:
    machine.install("1.0", scripts=ALL)
    assert machine.install("1.0", force=True, scripts={**ALL, "health": "kill -9 $$"}) == 1
    assert (machine.tools.version, machine.tools.status) == ("1.0", PackageStatus.CRASHED)
    assert machine.versions() == ["1.0"]
    # One that crashed is installed again without being forced.
    assert machine.install("1.0", scripts=ALL) == 0
    assert machine.tools.status is PackageStatus.RUNNING


def test_a_first_version_that_fails_leaves_no_folder(machine: Machine) -> None:
    assert machine.install("1.0", scripts={**ALL, "install": "exit 3", "uninstall": "exit 4"}) == 1
    assert machine.tools.status is PackageStatus.REMOVED
    assert machine.versions() == []
    assert "and could not be removed: its uninstall script ended with exit code 4" in machine.said


def test_a_package_that_cannot_be_removed_is_not_known_to_be_there(machine: Machine) -> None:
    machine.install("1.0", scripts={**ALL, "uninstall": "exit 4"})
    assert machine.uninstall("tools") == 1
    assert machine.tools.status is PackageStatus.UNKNOWN
    assert machine.tools.reason == "could not be removed: its uninstall script ended with exit code 4"
    assert machine.versions() == ["1.0"]


def test_what_is_not_there_is_not_healthy_not_updated_and_easily_removed(machine: Machine) -> None:
    assert machine.check() == 1
    assert (machine.do(PackageAction.UPDATE), machine.uninstall("tools")) == (0, 0)
    machine.install("1.0", scripts=ALL)
    machine.uninstall("tools")
    assert machine.versions() == []
    assert machine.check() == 1
    assert (machine.do(PackageAction.UPDATE), machine.uninstall("tools")) == (0, 0)


def test_a_check_asks_once_and_remembers_when_it_was_well(machine: Machine) -> None:
    machine.patience = 20
    machine.install("1.0", scripts={**ALL, "health": "test ! -e ../../../../sick"})
    well = machine.tools
    assert 0 < well.first_healthy_ms <= well.last_healthy_ms
    (machine.folder / "sick").touch()
    machine.lines()
    assert machine.versions() == ["1.0"]
    assert machine.check() == 1
    assert machine.lines() == ["health 1.0 previous="]
    sick = machine.tools
    assert sick.status is PackageStatus.CRASHED
    assert (sick.first_healthy_ms, sick.last_healthy_ms) == (well.first_healthy_ms, well.last_healthy_ms)
    (machine.folder / "sick").unlink()
    assert machine.check() == 0
    assert machine.tools.first_healthy_ms == well.first_healthy_ms


def test_a_reason_is_no_longer_than_a_heartbeat_bears(machine: Machine) -> None:
    machine.install("1.0", scripts=ALL)
    package = machine.work._package_in(machine.work._folder("tools", "1.0"), machine.tools)
    machine.work._note(package, PackageStatus.CRASHED, "x" * 1000, None)
    assert machine.tools.reason == "x" * 300


@pytest.mark.skipif(os.name == "nt", reason="scripts there are not told apart by their mode")
def test_a_script_that_may_be_executed_is_by_its_own_interpreter(machine: Machine) -> None:
    script = f"#!/usr/bin/env python3\nopen({str(machine.folder / 'by python')!r}, 'w')\n"
    assert machine.work.obey(machine.order("1.0", scripts={"install": script}, executable=True)) == 0
    assert (machine.folder / "by python").exists()


def test_a_script_reads_nothing_of_the_order_that_runs_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    standard_input = os.open(tmp_path, os.O_RDONLY)
    before = os.dup(0)
    os.dup2(standard_input, 0)
    try:
        # Reading a folder fails.
        assert machine.install("1.0", scripts={"install": "cat"}) == 0
    finally:
        os.dup2(before, 0)
        for descriptor in (before, standard_input):
            os.close(descriptor)


def test_the_own_gateway_of_an_instance_comes_before_that_of_the_order(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str]] = []

    def fetched(url: str, *_: object, ca_file: str, **__: object) -> None:
        asked.append((url, ca_file))

    monkeypatch.setattr("cloud_assistant.worker.packages.package_work.fetch_archive", fetched)
    order = machine.order("1.0")
    given = PackageOrder(action=order.action, name=order.name, signature=order.signature, url="https://of-order")
    machine.work.obey(given)
    named = work_with(machine, "https://own", "/ca.pem")
    machine.order("1.0")
    named.obey(
        PackageOrder(action=order.action, name=order.name, signature=order.signature, url="https://x", force=True)
    )
    assert asked == [("https://of-order", ""), ("https://own", "/ca.pem")]


def work_with(machine: Machine, url: str, ca_file: str) -> PackageWork:
    notes = machine.work.notes
    changed = type(notes)(publishers_folder=notes.publishers_folder, gateway_url=url, gateway_ca_file=ca_file)
    return PackageWork(home=machine.work.home, notes=changed, say=machine.said.append)


def test_of_two_orders_at_once_one_waits(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    pid = os.fork()
    if pid == 0:
        with machine.work.index.locked():
            (tmp_path / "held").touch()
            eventually((tmp_path / "go").exists, 20)
        os._exit(0)
    eventually((tmp_path / "held").exists, 10)
    done = threading.Event()

    def second() -> None:
        machine.check()
        done.set()

    thread = threading.Thread(target=second)
    thread.start()
    assert not done.wait(0.3)
    (tmp_path / "go").touch()
    os.waitpid(pid, 0)
    thread.join(10)
    assert done.is_set()


def test_the_heartbeat_says_what_packages_there_are_and_not_what_they_need(machine: Machine) -> None:
    report = PackageReport(machine.work.home)
    assert report.fields() == {}
    machine.install("1.0", name="base")
    assert report.fields()
    machine.needs = ["base"]
    machine.install("1.0")
    told = decode_report(report.fields()["packages"])  # type: ignore[arg-type]
    assert [(one.name, one.requires) for one in told] == [("base", ()), ("tools", ())]
    assert machine.tools.requires == ("base",)
