"""Which orders an agent obeys: signed for it, not expired, later than the last one, and allowed by its owner."""

import errno
import shutil
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from e2e.upgrade.bundles import archive_of, install
from msgspec import json, structs

from cloud_assistant.broker_config.clock import now_ms
from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.releases.publisher_keys import public_text
from cloud_assistant.broker_config.releases.publisher_signing import parse, sign
from cloud_assistant.broker_config.releases.upgrade_order import UpgradeOrder, read_signed, signed_order
from cloud_assistant.broker_config.security.signing import MasterKeys, new_master_keys
from cloud_assistant.broker_config.settings_table import AgentSettings, Settings
from cloud_assistant.worker.trust.key_ring import KeyRing
from cloud_assistant.worker.upgrade.bundle import install_bundle
from cloud_assistant.worker.upgrade.installation import Installation
from cloud_assistant.worker.upgrade.local_request import LocalRequest, take_request, write_request
from cloud_assistant.worker.upgrade.upgrade_state import Stage, UpgradeState, read_state, write_state
from cloud_assistant.worker.upgrade.upgrader import Upgrader
from harness.disk import fill, small_disk
from harness.eventually import eventually

MASTER = new_master_keys()


@dataclass
class Scene:
    """An agent of version 1.0.0 on a machine, and what it was told to try."""

    folder: Path
    signature: str
    settings: Settings
    key: Ed25519PrivateKey
    handed_over: list[str] = field(default_factory=list)

    def upgrader(self, version: str = "1.0.0") -> Upgrader:
        key = f"k1:{MASTER.instance_key('i-one').hex()}"
        keys = KeyRing(Path(self.settings.home), "i-one", key)
        return Upgrader(
            self.settings,
            instance_id="i-one",
            version=version,
            keys=keys,
            hand_over=lambda version, _: self.handed_over.append(version),
        )

    def order(self, **changes: object) -> UpgradeOrder:
        given: dict[str, object] = {
            "serial": 100,
            "rollout_id": "t-1",
            "instance_id": "i-one",
            "version": "2.0.0",
            "signature": self.signature,
            "url": "http://127.0.0.1:1",
            "expires_ms": now_ms() + 60_000,
        }
        return UpgradeOrder(**{**given, **changes})  # type: ignore[arg-type]

    def fetch(self) -> Path:
        """Have the archive of 2.0.0 fetched already; answers the folder that it lies in."""
        downloads = self.folder / "opt" / "downloads"
        downloads.mkdir(mode=0o700)
        archive = next(self.folder.glob("*.tar.gz"))
        shutil.copyfile(archive, downloads / f"{parse(self.signature).statement.sha256}.part")
        return downloads

    def tell(self, order: UpgradeOrder, master: MasterKeys = MASTER) -> UpgradeState:
        """Give the order; answers where that led."""
        upgrader = self.upgrader()
        upgrader.look_at(signed_order(order, master))
        if upgrader._thread is not None:
            upgrader._thread.join(20)
        return read_state(Path(self.settings.home))


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    key = Ed25519PrivateKey.generate()
    for name in ("home", "publishers", "opt"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "publishers" / "us.pub").write_text(public_text(key.public_key()))
    install(tmp_path / "opt", "1.0.0")
    archive = archive_of(tmp_path, "2.0.0", key)
    text = archive.with_name(archive.name + ".sig").read_text()
    agent = AgentSettings(install_folder=str(tmp_path / "opt"), publishers_folder=str(tmp_path / "publishers"))
    return Scene(tmp_path, text, Settings(home=str(tmp_path / "home"), instance_id="i-one", agent=agent), key)


def test_an_order_of_somebody_else_is_not_even_noted(scene: Scene) -> None:
    assert scene.tell(scene.order(), new_master_keys()).serial == 0
    assert scene.tell(scene.order(instance_id="i-two")).serial == 0
    assert scene.tell(scene.order(expires_ms=now_ms() - 3_600_000)).serial == 0
    assert scene.tell(scene.order(v=2)).serial == 0
    assert scene.handed_over == []


def test_an_order_for_another_that_was_signed_with_our_key_is_not_even_noted(scene: Scene) -> None:
    theirs = read_signed(signed_order(scene.order(instance_id="i-two"), None))
    signature = MASTER.sign("i-one", theirs.message).decode()
    upgrader = scene.upgrader()
    upgrader.look_at(json.encode(structs.replace(theirs, signature=signature)))
    assert upgrader._thread is None
    assert upgrader.fields == {}


@pytest.mark.parametrize("stage", [Stage.WAITING, Stage.DOWNLOADING, Stage.UNDECIDED])
def test_an_order_that_was_not_through_is_obeyed_after_a_restart(scene: Scene, stage: Stage) -> None:
    scene.fetch()
    write_state(Path(scene.settings.home), UpgradeState(serial=100, version="2.0.0", stage=stage, trials_count=1))
    state = scene.tell(scene.order())
    assert (state.stage, state.trials_count) == (Stage.PROBATION, 2)
    assert scene.handed_over == ["2.0.0"]


def test_an_order_is_begun_once_however_often_it_is_seen(scene: Scene) -> None:
    upgrader = scene.upgrader()
    order = signed_order(scene.order(window=closed_window()), MASTER)
    upgrader.look_at(order)
    eventually(lambda: read_state(Path(scene.settings.home)).stage is Stage.WAITING)
    first = upgrader._thread
    upgrader.look_at(order)
    assert upgrader._thread is first
    assert not upgrader._changed.is_set(), "it sleeps while it waits"
    upgrader.look_at(b"")


def test_an_order_that_waits_gives_way_to_the_next_one_which_begins_behind_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.fetch()
    home, upgrader = Path(scene.settings.home), scene.upgrader()
    give_up, released = Upgrader._give_up, threading.Event()

    def give_up_late(self: Upgrader, reason: str) -> None:
        released.wait(20)
        give_up(self, reason)

    monkeypatch.setattr(Upgrader, "_give_up", give_up_late)
    upgrader.look_at(signed_order(scene.order(window=closed_window()), MASTER))
    eventually(lambda: read_state(home).stage is Stage.WAITING)
    upgrader.look_at(signed_order(scene.order(serial=101), MASTER))
    assert upgrader._thread is not None
    upgrader._thread.join(0.3)
    assert scene.handed_over == []
    released.set()
    upgrader._thread.join(20)
    assert scene.handed_over == ["2.0.0"]
    assert (read_state(home).serial, read_state(home).stage) == (101, Stage.PROBATION)


def test_an_agent_that_was_started_from_elsewhere_during_a_trial_is_not_on_trial(scene: Scene) -> None:
    trial = UpgradeState(serial=50, version="2.0.0", stage=Stage.PROBATION, trials_count=1)
    write_state(Path(scene.settings.home), trial)
    upgrader = scene.upgrader("1.5.0")
    upgrader.look_at(signed_order(scene.order(), MASTER))
    assert upgrader._thread is not None
    upgrader._thread.join(20)
    state = read_state(Path(scene.settings.home))
    assert (state.stage, "NotABundle" in state.reason) == (Stage.REFUSED, True)


@pytest.mark.parametrize("stage", [Stage.FAILED, Stage.REFUSED, Stage.SUCCEEDED])
def test_an_order_that_was_carried_out_or_is_older_is_not_obeyed_again(scene: Scene, stage: Stage) -> None:
    done = UpgradeState(serial=200, version="3.0.0", stage=stage)
    write_state(Path(scene.settings.home), done)
    for serial in (100, 200):
        assert scene.tell(scene.order(serial=serial)) == done


def test_the_owner_of_a_machine_may_refuse_all_of_it(scene: Scene) -> None:
    scene.settings = replace(scene.settings, agent=replace(scene.settings.agent, self_update=False))
    state = scene.tell(scene.order())
    assert (state.stage, "SelfUpdateOff" in state.reason) == (Stage.REFUSED, True)


def test_a_version_that_failed_here_is_refused_until_somebody_insists(scene: Scene) -> None:
    write_state(Path(scene.settings.home), UpgradeState(serial=1, bad={"2.0.0": "it crashed"}))
    state = scene.tell(scene.order())
    assert (state.stage, "it crashed" in state.reason) == (Stage.REFUSED, True)
    assert state.bad == {"2.0.0": "it crashed"}


def test_an_agent_that_was_not_installed_from_a_bundle_stays_as_it_is(scene: Scene) -> None:
    (scene.folder / "opt" / "current").unlink()
    state = scene.tell(scene.order())
    assert (state.stage, "NotABundle" in state.reason) == (Stage.REFUSED, True)


def test_a_signature_for_another_version_than_the_order_says_is_refused(scene: Scene) -> None:
    state = scene.tell(scene.order(version="2.0.1"))
    assert (state.stage, "WrongArchive" in state.reason) == (Stage.REFUSED, True)


def test_a_trial_that_was_cut_off_twice_is_not_begun_a_third_time(scene: Scene) -> None:
    archive = next(scene.folder.glob("*.tar.gz"))
    install_bundle(archive, parse(scene.signature).statement, Installation(scene.folder / "opt"))
    state = UpgradeState(serial=100, version="2.0.0", stage=Stage.PROBATION, trials_count=2)
    write_state(Path(scene.settings.home), state)
    upgrader = scene.upgrader()
    assert read_state(Path(scene.settings.home)).stage == Stage.UNDECIDED
    with pytest.raises(Refused, match="cut off 2 times"):
        upgrader._try("2.0.0", 100, 1.0)
    assert scene.handed_over == []


def test_a_version_that_is_not_there_any_more_is_not_tried_and_not_bad(scene: Scene) -> None:
    home, upgrader = Path(scene.settings.home), scene.upgrader()
    # Another trial has ended since, and removed what is not needed.
    write_request(home, LocalRequest("3.0.0", now_ms(), 1.0))
    upgrader.look_at(b"")
    eventually(lambda: read_state(home).stage is Stage.REFUSED)
    assert "VersionGone" in read_state(home).reason
    assert read_state(home).bad == {}
    assert scene.handed_over == []


def test_a_request_of_this_machine_does_not_wait_behind_an_order_whose_window_is_closed(scene: Scene) -> None:
    home, upgrader = Path(scene.settings.home), scene.upgrader()
    # A window of an hour, half a day from now.
    hour = (now_ms() // 3_600_000 + 12) % 24
    order = signed_order(scene.order(window=f"{hour:02}:00-{(hour + 1) % 24:02}:00 UTC"), MASTER)
    upgrader.look_at(order)
    eventually(lambda: read_state(home).stage is Stage.WAITING)

    program = Installation(scene.folder / "opt").program("3.0.0")
    program.parent.mkdir(parents=True)
    program.touch()
    known_bad = {"1.9.0": "it crashed"}
    upgrader._state = structs.replace(upgrader._state, bad=known_bad)
    write_request(home, LocalRequest("3.0.0", now_ms(), 1.0))
    upgrader.look_at(order)

    eventually(lambda: scene.handed_over == ["3.0.0"])
    assert read_state(home).bad == known_bad


def test_a_version_on_trial_leaves_orders_and_requests_to_whoever_is_the_agent_after_it(scene: Scene) -> None:
    home = Path(scene.settings.home)
    trial = UpgradeState(serial=50, version="2.0.0", stage=Stage.PROBATION, trials_count=1)
    write_state(home, trial)
    write_request(home, LocalRequest("3.0.0", now_ms(), 1.0))
    upgrader = scene.upgrader("2.0.0")

    upgrader.look_at(signed_order(scene.order(serial=100, version="4.0.0"), MASTER))

    assert upgrader._thread is None
    assert read_state(home) == trial
    assert take_request(home) is not None


def test_an_agent_starts_on_a_full_disk_after_a_trial(scene: Scene) -> None:
    home = Path(scene.settings.home)
    write_state(home, UpgradeState(serial=100, version="1.0.0", stage=Stage.PROBATION, trials_count=1))
    before = (home / "upgrade.json").read_bytes()
    with small_disk(home, 4 * 4096) as home:
        (home / "upgrade.json").write_bytes(before)
        fill(home)
        upgrader = scene.upgrader()
        assert upgrader.fields["upgrade_stage"] == "Succeeded"
        assert read_state(home).stage is Stage.SUCCEEDED


def test_an_agent_starts_with_a_home_that_cannot_be_written_after_a_trial(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_state(Path(scene.settings.home), UpgradeState(serial=100, version="2.0.0", stage=Stage.PROBATION))

    def read_only(_home: Path, _state: UpgradeState) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("cloud_assistant.worker.upgrade.upgrader.write_state", read_only)
    upgrader = scene.upgrader()
    assert upgrader.fields["upgrade_stage"] == "Undecided"
    # An order that is refused is told, too.
    upgrader._guarded(lambda: upgrader._try("3.0.0", 200, 1.0))
    assert (upgrader.fields["upgrade_serial"], upgrader.fields["upgrade_stage"]) == (200, "Refused")


def closed_window() -> str:
    """A window of an hour, half a day from now."""
    hour = (now_ms() // 3_600_000 + 12) % 24
    return f"{hour:02}:00-{(hour + 1) % 24:02}:00 UTC"


def test_an_order_is_carried_out_up_to_the_trial_and_leaves_no_archive(scene: Scene) -> None:
    downloads = scene.fetch()
    # A little late is the clock's fault.
    state = scene.tell(scene.order(expires_ms=now_ms() - 1_000))
    assert (state.stage, state.trials_count) == (Stage.PROBATION, 1), state.reason
    assert scene.handed_over == ["2.0.0"]
    assert Installation(scene.folder / "opt").program("2.0.0").is_file()
    assert list(downloads.iterdir()) == []


def test_a_version_that_failed_here_is_tried_when_somebody_insists_and_stays_known_as_bad(scene: Scene) -> None:
    scene.fetch()
    before = UpgradeState(serial=50, version="2.0.0", stage=Stage.FAILED, bad={"2.0.0": "it crashed", "1.9.0": "too"})
    write_state(Path(scene.settings.home), before)
    state = scene.tell(scene.order(again=True))
    assert scene.handed_over == ["2.0.0"]
    assert (state.serial, state.bad) == (100, before.bad)


def test_the_version_that_runs_is_not_tried(scene: Scene) -> None:
    state = scene.tell(scene.order(version="1.0.0"))
    assert (state.stage, scene.handed_over) == (Stage.SUCCEEDED, [])


def test_a_version_for_another_system_is_refused(scene: Scene) -> None:
    statement = structs.replace(parse(scene.signature).statement, os="windows")
    state = scene.tell(scene.order(signature=sign(scene.key, statement)))
    assert (state.stage, "WrongArchive" in state.reason) == (Stage.REFUSED, True)


def test_an_order_that_is_withdrawn_while_it_waits_is_not_carried_out(scene: Scene) -> None:
    home, upgrader = Path(scene.settings.home), scene.upgrader()
    upgrader.look_at(signed_order(scene.order(window=closed_window()), MASTER))
    eventually(lambda: read_state(home).stage is Stage.WAITING)
    upgrader.look_at(b"")
    eventually(lambda: read_state(home).stage is Stage.REFUSED)
    assert "OrderWithdrawn" in read_state(home).reason
    assert scene.handed_over == []


def test_an_order_that_expires_while_it_waits_is_not_carried_out(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud_assistant.worker.upgrade.upgrader._WINDOW_SECONDS", 0.02)
    state = scene.tell(scene.order(window=closed_window(), expires_ms=now_ms() + 100))
    assert (state.stage, "EnvelopeExpired" in state.reason) == (Stage.REFUSED, True)


def test_a_window_that_closed_during_the_download_is_waited_for(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.fetch()
    looks: list[UpgradeOrder] = []
    monkeypatch.setattr(Upgrader, "_wait_for_window", lambda _, order: looks.append(order))
    scene.tell(scene.order())
    assert len(looks) == 2


@pytest.mark.parametrize("place", [1, 2])
def test_a_publisher_that_is_trusted_no_more_when_the_window_opens_says_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    scene.fetch()
    looks: list[UpgradeOrder] = []

    def waited(_: Upgrader, order: UpgradeOrder) -> None:
        looks.append(order)
        if len(looks) == place:
            (scene.folder / "publishers" / "us.pub").unlink()

    monkeypatch.setattr(Upgrader, "_wait_for_window", waited)
    state = scene.tell(scene.order())
    assert (state.stage, "PublisherUnknown" in state.reason, len(looks)) == (Stage.REFUSED, True, place)
    assert scene.handed_over == []


@pytest.mark.parametrize("own", ["", "https://own"])
def test_the_own_gateway_of_an_instance_comes_before_that_of_the_order(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, own: str
) -> None:
    asked: list[tuple[str, object]] = []

    def fetched(url: str, *_: object, **named: object) -> None:
        asked.append((url, named["ca_file"]))
        raise Refused("enough", code="Enough")

    monkeypatch.setattr("cloud_assistant.worker.upgrade.download.fetch_archive", fetched)
    gateway = replace(scene.settings.gateway, url=own, ca_file="/ca.pem")
    scene.settings = replace(scene.settings, gateway=gateway)
    assert "Enough" in scene.tell(scene.order()).reason
    assert asked == [(own or "http://127.0.0.1:1", "/ca.pem")]


def test_where_there_never_was_an_upgrade_the_heartbeat_says_nothing_of_it(scene: Scene) -> None:
    assert scene.upgrader().fields == {}


def test_a_version_that_works_after_all_is_not_bad_any_more_and_the_oldest_are_forgotten() -> None:
    state = UpgradeState(version="2.0.0", bad={f"1.{number}": "why" for number in range(20)})
    failed = state.moved(Stage.FAILED, "x" * 1000)
    assert (len(failed.bad), failed.bad["2.0.0"], "1.0" in failed.bad) == (20, "x" * 300, False)
    assert "2.0.0" not in failed.moved(Stage.SUCCEEDED).bad
