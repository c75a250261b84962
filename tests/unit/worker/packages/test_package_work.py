"""What an installation that was killed left behind, and what a check says of a package that is not whole."""

import hashlib
import io
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_assistant.broker_config.package_order import PackageAction, PackageOrder
from cloud_assistant.broker_config.package_report import InstalledPackage, PackageStatus
from cloud_assistant.broker_config.publisher_keys import public_text
from cloud_assistant.broker_config.publisher_signing import Statement, sign
from cloud_assistant.worker.packages.agent_notes import AgentNotes
from cloud_assistant.worker.packages.package_work import PackageWork

_FILE = """name = "tools"
version = "{version}"
healthy_within_seconds = 0
[scripts.any]
install = "install.sh"
health = "health.sh"
"""


@dataclass
class Machine:
    """A machine with the archives of one publisher already fetched."""

    folder: Path
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    said: list[str] = field(default_factory=list)
    #: What its file begins with.
    mark: str = ""

    def __post_init__(self) -> None:
        for name in ("home", "publishers"):
            (self.folder / name).mkdir(mode=0o700)
        (self.folder / "publishers" / "us.pub").write_text(public_text(self.key.public_key()))
        notes = AgentNotes(publishers_folder=str(self.folder / "publishers"))
        self.work = PackageWork(home=self.folder / "home", notes=notes, say=self.said.append)

    def install(self, version: str) -> int:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            files = {
                "package.toml": self.mark + _FILE.format(version=version),
                "install.sh": "exit 0",
                "health.sh": "exit 0",
            }
            for name, text in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(text.encode())
                tar.addfile(member, io.BytesIO(text.encode()))
        data = packed.getvalue()
        sha256 = hashlib.sha256(data).hexdigest()
        self.work.index.folder.mkdir(exist_ok=True)
        (self.work.index.folder / f"{sha256}.part").write_bytes(data)
        statement = Statement(name="tools", version=version, os="any", arch="any", sha256=sha256, size=len(data))
        order = PackageOrder(action=PackageAction.INSTALL, name="tools", signature=sign(self.key, statement))
        return self.work.obey(order)

    def check(self) -> int:
        return self.work.obey(PackageOrder(action=PackageAction.CHECK, name="tools"))


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
