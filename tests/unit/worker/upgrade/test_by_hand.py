"""What an upgrade by hand leaves alone, and for whom it leaves its request."""

import os
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from e2e.upgrade.bundles import archive_of, install
from msgspec import structs

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.releases.publisher_keys import public_text
from cloud_assistant.broker_config.releases.publisher_signing import Statement, parse, sign
from cloud_assistant.broker_config.settings_table import AgentSettings, Settings
from cloud_assistant.worker.upgrade.by_hand import upgrade_by_hand
from cloud_assistant.worker.upgrade.installation import Installation
from cloud_assistant.worker.upgrade.local_request import LocalRequest, take_request, write_request


@dataclass
class Machine:
    """A machine with version 1.0.0, and an archive of 2.0.0 to install by hand."""

    folder: Path
    archive: Path
    settings: Settings
    key: Ed25519PrivateKey

    @property
    def installation(self) -> Installation:
        return Installation(self.folder / "opt")

    def upgrade(self, *, version: str = "", file: Path | None = None) -> str:
        return upgrade_by_hand(self.settings, version=version, file=file, probation_seconds=1.0)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    key = Ed25519PrivateKey.generate()
    for name in ("home", "publishers", "opt", "opt/downloads"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "publishers" / "us.pub").write_text(public_text(key.public_key()))
    install(tmp_path / "opt", "1.0.0")
    archive = archive_of(tmp_path, "2.0.0", key)
    agent = AgentSettings(install_folder=str(tmp_path / "opt"), publishers_folder=str(tmp_path / "publishers"))
    return Machine(tmp_path, archive, Settings(home=str(tmp_path / "home"), instance_id="i-one", agent=agent), key)


def test_what_the_agent_is_fetching_for_an_order_is_left_alone(machine: Machine) -> None:
    text = machine.archive.with_name(machine.archive.name + ".sig").read_text()
    of_agent = machine.folder / "opt" / "downloads" / f"{parse(text).statement.sha256}.part"
    of_agent.write_bytes(machine.archive.read_bytes()[:100])

    assert "2.0.0 is installed" in machine.upgrade(file=machine.archive)

    assert [path.name for path in of_agent.parent.iterdir()] == [of_agent.name]
    assert of_agent.read_bytes() == machine.archive.read_bytes()[:100]


def test_another_archive_than_the_signed_one_changes_nothing(machine: Machine) -> None:
    with machine.archive.open("ab") as file:
        file.write(b"x")
    with pytest.raises(Refused) as refused:
        machine.upgrade(file=machine.archive)
    assert refused.value.code == "ArchiveNotSigned"
    assert machine.installation.current() == "1.0.0"
    assert not machine.installation.version_folder("2.0.0").exists()
    assert list((machine.folder / "opt" / "downloads").iterdir()) == []


def test_a_gateway_that_gives_another_version_is_not_believed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = machine.archive.with_name(machine.archive.name + ".sig").read_text()
    monkeypatch.setattr("cloud_assistant.worker.upgrade.by_hand.fetch_signature", lambda *_, **__: text)
    with pytest.raises(Refused, match=r"for 3\.0\.0"):
        machine.upgrade(version="3.0.0")


def test_what_the_gateway_gave_is_not_kept_beside_what_was_made_of_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = machine.archive.with_name(machine.archive.name + ".sig").read_text()

    def fetched(_url: str, _statement: Statement, target: Path, **_: object) -> None:
        target.write_bytes(machine.archive.read_bytes())

    monkeypatch.setattr("cloud_assistant.worker.upgrade.by_hand.fetch_signature", lambda *_, **__: text)
    monkeypatch.setattr("cloud_assistant.worker.upgrade.by_hand.fetch_archive", fetched)
    assert "2.0.0 is installed" in machine.upgrade(version="latest")
    assert machine.installation.current() == "2.0.0"
    assert list((machine.folder / "opt" / "downloads").iterdir()) == []


def test_a_version_for_another_system_is_refused(machine: Machine) -> None:
    signature = machine.archive.with_name(machine.archive.name + ".sig")
    statement = structs.replace(parse(signature.read_text()).statement, os="windows")
    signature.write_text(sign(machine.key, statement))
    with pytest.raises(Refused) as refused:
        machine.upgrade(file=machine.archive)
    assert refused.value.code == "WrongArchive"
    assert machine.installation.current() == "1.0.0"


def test_a_request_takes_the_place_of_a_longer_one_that_was_cut_off(tmp_path: Path) -> None:
    (tmp_path / "upgrade-request.json.new").write_bytes(b"x" * 1000)
    write_request(tmp_path, LocalRequest("2.0.0", 1, 60.0))
    assert take_request(tmp_path) == LocalRequest("2.0.0", 1, 60.0)
    assert take_request(tmp_path) is None


def test_the_agent_that_runs_is_asked_unless_it_is_of_that_version(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path(machine.settings.home)
    monkeypatch.setattr("cloud_assistant.worker.upgrade.by_hand.is_held", lambda _: True)
    assert "tries it with its next heartbeat" in machine.upgrade(file=machine.archive)
    assert machine.installation.current() == "1.0.0"
    request = take_request(home)
    assert request is not None
    assert (request.version, request.probation_seconds) == ("2.0.0", 1.0)

    machine.installation.switch("2.0.0")
    assert machine.upgrade(file=machine.archive) == "2.0.0 runs already"
    assert take_request(home) is None


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="nothing tells there which folder was forced to disk")
def test_a_switch_is_on_the_disk_when_it_is_told_and_never_before_its_version(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced = []
    (machine.installation.folder / "versions").mkdir(exist_ok=True)

    def force(descriptor: int) -> None:
        forced.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, machine.installation.current()))

    monkeypatch.setattr(os, "fsync", force)
    before = machine.installation.current()
    machine.installation.switch("2.0.0")
    assert forced == [("versions", before), (machine.installation.folder.name, "2.0.0")]


def test_a_switch_that_was_cut_off_leaves_nothing_for_ever(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    (tmp_path / "versions").mkdir()
    (tmp_path / ".current.0badcafe").symlink_to("versions/0.9")
    installation.switch("1.0.0")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "versions"]
    assert installation.current() == "1.0.0"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can leave something for somebody else")
def test_the_agents_own_user_can_read_what_root_asks_for(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    write_request(tmp_path, LocalRequest("2.0.0", 1, 60.0))
    (request,) = tmp_path.iterdir()
    assert (request.stat().st_uid, request.stat().st_mode & 0o777) == (65534, 0o600)
    assert take_request(tmp_path) == LocalRequest("2.0.0", 1, 60.0)
