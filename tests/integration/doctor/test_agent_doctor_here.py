"""What ``assist-agent doctor`` finds on its own machine, and of functions in Redis, each thing at its very limit."""

import os
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.functions.function_library import TEXT_VERSION
from cloud_assistant.broker_config.programs.findings import Finding
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.settings_table import AgentSettings, Settings
from cloud_assistant.worker.doctor import machine_checks, network_checks
from cloud_assistant.worker.doctor.network_checks import network_findings
from cloud_assistant.worker.identity import remember_epoch
from cloud_assistant.worker.service.catalogue import SYSTEMS

_MIB = 1024 * 1024


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return home


def here(home: Path, **changed: object) -> dict[str, Finding]:
    given = {"home": str(home), "instance_id": "i-one", **changed}
    return {one.check: one for one in machine_checks.machine_findings(Settings(**given))}  # type: ignore[arg-type]


@pytest.mark.parametrize("below", ["", "below/it"])
def test_a_file_where_the_home_should_be_is_in_the_way(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    finding = here(tmp_path / "file" / below)["home"]
    assert (finding.verdict, finding.text) == ("fail", f"{tmp_path}/file is no folder")


def test_a_home_that_leads_nowhere_is_in_its_own_way(tmp_path: Path) -> None:
    (tmp_path / "home").symlink_to(tmp_path / "absent")
    assert here(tmp_path / "home")["home"].text == f"{tmp_path}/home is no folder"


def test_a_home_that_can_be_made_is_told_from_one_that_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = tmp_path / "deep" / "home"
    assert (here(absent)["home"].verdict, "can be made" in here(absent)["home"].text) == ("ok", True)
    monkeypatch.setattr(os, "access", lambda *_: False)
    finding = here(absent)["home"]
    assert (finding.verdict, finding.mend) == ("fail", f"run as root: install -d -m 0700 {absent}")


@pytest.mark.parametrize(
    ("mode", "verdict"), [(0o700, "ok"), (0o710, "ok"), (0o720, "warn"), (0o702, "warn"), (0o704, "warn")]
)
def test_a_home_that_is_open_to_others_is_found(home: Path, mode: int, verdict: str) -> None:
    home.chmod(mode)
    assert here(home)["home"].verdict == verdict


def test_libraries_that_are_older_than_the_agent_needs_are_found(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_checks, "_LIBRARIES", (("msgspec", (0, 1)), ("click", (999, 0)), ("no-such", (1, 0))))
    finding = here(home)["libraries"]
    assert finding.verdict == "fail"
    assert "click " in finding.text
    assert finding.text.endswith(" is older than 999.0; no-such is not installed")


@pytest.mark.parametrize(("name", "verdict"), [("i-one", "ok"), ("one", "fail"), ("", "fail")])
def test_an_id_that_is_none_is_found(home: Path, name: str, verdict: str) -> None:
    assert here(home, instance_id=name)["identity"].verdict == verdict


@pytest.mark.parametrize(("accepts", "verdict"), [(True, "warn"), (False, "fail")])
def test_without_a_key_it_depends_on_what_is_accepted(home: Path, accepts: bool, verdict: str) -> None:
    assert here(home, agent=AgentSettings(accept_unsigned=accepts))["key"].verdict == verdict


@pytest.mark.parametrize(("free_mib", "verdict"), [(64, "ok"), (63, "warn"), (8, "warn"), (7, "fail")])
def test_little_room_is_found(home: Path, monkeypatch: pytest.MonkeyPatch, free_mib: int, verdict: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=100 * _MIB, free=free_mib * _MIB))
    assert here(home)["disk"].verdict == verdict


@pytest.mark.parametrize(("files", "verdict"), [(1000, "ok"), (999, "fail")])
def test_a_disk_that_takes_few_files_more_is_found(
    home: Path, monkeypatch: pytest.MonkeyPatch, files: int, verdict: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=100 * _MIB, free=100 * _MIB))
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_files=1, f_favail=files))
    assert here(home)["disk"].verdict == verdict


def test_a_home_without_an_agent_is_told(home: Path) -> None:
    assert here(home)["agent"].verdict == "fail"


def test_a_service_of_a_package_is_one(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = tmp_path / "unit"
    packaged = replace(SYSTEMS["systemd"], files=lambda _: [], packaged=(str(unit).lstrip("/"),))
    monkeypatch.setattr(machine_checks, "detect", lambda: packaged)
    assert (here(home)["service"].verdict, here(home)["service"].mend) == ("warn", "assist-agent install")
    unit.touch()
    assert here(home)["service"].text == "installed for systemd"


def test_one_sentinel_of_several_without_a_name_is_a_warning() -> None:
    sentinels = Settings(redis_url="sentinel://127.0.0.1:1,no-such-name.invalid:2/mymaster")
    name = next(iter(network_findings(sentinels)))
    assert (name.check, name.verdict, "no-such-name.invalid" in name.text) == ("name", "warn", True)


@pytest.mark.parametrize(("newer", "verdict"), [(1, "ok"), (0, "ok"), (-1, "fail")])
def test_functions_of_an_earlier_release_do_not_serve_this_agent(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, newer: int, verdict: str
) -> None:
    monkeypatch.setattr(network_checks, "text_version", lambda _: TEXT_VERSION + newer)
    findings = {one.check: one for one in network_findings(Settings(redis_url=redis.url))}
    assert findings["functions"].verdict == verdict


def test_a_heartbeat_of_an_earlier_run_of_this_home_is_no_other_agents(redis: Redis, home: Path) -> None:
    remember_epoch(home, "earlier")
    remember_epoch(home, "present")
    settings = Settings(redis_url=redis.url, home=str(home), instance_id="i-one")
    for epoch, verdict in (("earlier", "ok"), ("present", "ok"), ("another", "fail")):
        redis.call("HSET", keys.info("i-one"), "epoch", epoch)
        assert {one.check: one for one in network_findings(settings)}["instance"].verdict == verdict
