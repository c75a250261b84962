"""Which archives become a version of the agent, and what is left of those that do not."""

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from e2e.upgrade.bundles import bundle_files

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.releases.publisher_signing import AGENT_NAME, Statement, statement_of
from cloud_assistant.worker.upgrade.bundle import check_fits, install_bundle, this_system
from cloud_assistant.worker.upgrade.installation import Installation

OS, ARCH = this_system()


@dataclass
class Machine:
    """A machine that bundles are installed on."""

    folder: Path
    files: dict[str, bytes] = field(default_factory=lambda: bundle_files("2.0.0"))

    @property
    def installation(self) -> Installation:
        return Installation(self.folder / "opt")

    def install(self) -> None:
        archive = self.folder / "archive.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            for name, data in self.files.items():
                member = tarfile.TarInfo(f"{AGENT_NAME}-2.0.0/{name}")
                member.size, member.mode = len(data), 0o755
                tar.addfile(member, io.BytesIO(data))
        statement = statement_of(archive, name=AGENT_NAME, version="2.0.0", os=OS, arch=ARCH)
        install_bundle(archive, statement, self.installation)

    def change(self, what: Callable[[dict[str, Any]], object]) -> None:
        manifest = json.loads(self.files["manifest.json"])
        what(manifest)
        self.files["manifest.json"] = json.dumps(manifest).encode()

    def versions(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "opt" / "versions").iterdir())


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("changes", [{"name": "tools"}, {"os": "plan9"}, {"arch": "pdp11"}, {"os": "any"}])
def test_what_is_no_agent_for_this_machine_does_not_fit(changes: dict[str, str]) -> None:
    fitting = Statement(name=AGENT_NAME, version="2.0.0", os=OS, arch=ARCH, sha256="0" * 64, size=1)
    check_fits(fitting)
    with pytest.raises(Refused) as refused:
        check_fits(msgspec.structs.replace(fitting, **changes))
    assert refused.value.code == "WrongArchive"


def another_digest(manifest: dict[str, Any]) -> None:
    manifest["files"]["bin/assist-agent"]["sha256"] = "0" * 64


def without_program(manifest: dict[str, Any]) -> None:
    del manifest["files"]["bin/assist-agent"]


def with_one_more(manifest: dict[str, Any]) -> None:
    manifest["files"]["lib/missing"] = manifest["files"]["bin/assist-agent"]


def from_outside(manifest: dict[str, Any]) -> None:
    # The same bytes, by another way.
    manifest["files"]["../1.0.0/bin/assist-agent"] = manifest["files"]["bin/assist-agent"]


def named(word: str) -> Callable[[dict[str, Any]], None]:
    def change(manifest: dict[str, Any]) -> None:
        manifest[word] = "another"

    return change


@pytest.mark.parametrize(
    "change",
    [another_digest, without_program, with_one_more, from_outside, *map(named, ("name", "version", "os", "arch"))],
)
def test_a_bundle_that_is_not_what_its_manifest_says_leaves_nothing(
    machine: Machine, change: Callable[[dict[str, Any]], None]
) -> None:
    program = machine.folder / "opt/versions/1.0.0/bin/assist-agent"
    program.parent.mkdir(parents=True)
    program.write_bytes(machine.files["bin/assist-agent"])
    machine.change(change)
    with pytest.raises(Refused) as refused:
        machine.install()
    assert refused.value.code == "ArchiveBroken"
    assert machine.versions() == ["1.0.0"]


def test_a_version_that_was_damaged_is_installed_again_unless_it_is_the_one_that_runs(machine: Machine) -> None:
    machine.install()
    program = machine.installation.program("2.0.0")
    program.write_text("damaged")
    machine.install()
    assert program.read_bytes() == machine.files["bin/assist-agent"]

    machine.installation.switch("2.0.0")
    program.write_text("damaged")
    with pytest.raises(Refused):
        machine.install()
    assert program.read_text() == "damaged"


def test_the_version_that_runs_is_kept_as_it_is_when_it_is_whole(machine: Machine) -> None:
    machine.install()
    machine.installation.switch("2.0.0")
    before = machine.installation.version_folder("2.0.0").stat().st_ino
    machine.install()
    assert machine.installation.version_folder("2.0.0").stat().st_ino == before


def test_nothing_stays_of_what_was_unpacked_for_an_earlier_order(machine: Machine) -> None:
    machine.install()
    # Of a publisher who is not trusted any more, say: a bundle is not judged by its own manifest alone.
    folder = machine.installation.version_folder("2.0.0")
    (folder / "bin" / "sitecustomize.py").write_text("evil")
    machine.install()
    assert sorted(path.name for path in (folder / "bin").iterdir()) == ["assist-agent"]
    assert machine.versions() == ["2.0.0"]


def test_the_version_that_the_link_leads_to_is_never_removed(machine: Machine) -> None:
    machine.install()
    machine.installation.switch("2.0.0")
    (machine.folder / "opt/versions/.3.0.0.cafe").mkdir()
    (machine.folder / "opt/versions/1.0.0").mkdir()
    machine.installation.remove_others("1.0.0")
    assert machine.versions() == ["1.0.0", "2.0.0"]


def test_an_agent_whose_program_is_gone_has_nothing_to_return_to(machine: Machine) -> None:
    machine.install()
    machine.installation.switch("2.0.0")
    machine.installation.require_running("2.0.0")
    machine.installation.program("2.0.0").unlink()
    with pytest.raises(Refused):
        machine.installation.require_running("2.0.0")
