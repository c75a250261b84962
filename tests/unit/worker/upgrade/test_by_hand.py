"""What an upgrade by hand leaves alone, and for whom it leaves its request."""

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from e2e.upgrade.bundles import archive_of, install

from cloud_assistant.broker_config.publisher_keys import public_text
from cloud_assistant.broker_config.publisher_signing import parse
from cloud_assistant.broker_config.settings_table import AgentSettings, Settings
from cloud_assistant.worker.upgrade.by_hand import upgrade_by_hand
from cloud_assistant.worker.upgrade.installation import Installation
from cloud_assistant.worker.upgrade.local_request import LocalRequest, take_request, write_request


def test_what_the_agent_is_fetching_for_an_order_is_left_alone(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    for name in ("home", "publishers", "opt", "opt/downloads"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "publishers" / "us.pub").write_text(public_text(key.public_key()))
    install(tmp_path / "opt", "1.0.0")
    archive = archive_of(tmp_path, "2.0.0", key)
    statement = parse(archive.with_name(archive.name + ".sig").read_text()).statement
    of_agent = tmp_path / "opt" / "downloads" / f"{statement.sha256}.part"
    of_agent.write_bytes(archive.read_bytes()[:100])
    agent = AgentSettings(install_folder=str(tmp_path / "opt"), publishers_folder=str(tmp_path / "publishers"))
    settings = Settings(home=str(tmp_path / "home"), instance_id="i-one", agent=agent)

    said = upgrade_by_hand(settings, version="", file=archive, probation_seconds=1.0)

    assert "2.0.0 is installed" in said
    assert [path.name for path in of_agent.parent.iterdir()] == [of_agent.name]
    assert of_agent.read_bytes() == archive.read_bytes()[:100]


def test_a_switch_that_was_cut_off_leaves_nothing_for_ever(tmp_path: Path) -> None:
    installation = Installation(tmp_path)
    (tmp_path / ".current.0badcafe").symlink_to("versions/0.9")
    installation.switch("1.0.0")
    assert [path.name for path in tmp_path.iterdir()] == ["current"]
    assert installation.current() == "1.0.0"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can leave something for somebody else")
def test_the_agents_own_user_can_read_what_root_asks_for(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    write_request(tmp_path, LocalRequest("2.0.0", 1, 60.0))
    (request,) = tmp_path.iterdir()
    assert (request.stat().st_uid, request.stat().st_mode & 0o777) == (65534, 0o600)
    assert take_request(tmp_path) == LocalRequest("2.0.0", 1, 60.0)
