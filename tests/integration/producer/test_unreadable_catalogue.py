"""An entry of the catalogue that cannot be read keeps nobody from the others, and can be withdrawn."""

import json
from pathlib import Path

import pytest

from cloud_assistant.broker_config import keys
from cloud_assistant.broker_config.errors import NotFound
from cloud_assistant.broker_config.redis.client import Redis
from cloud_assistant.broker_config.releases.publisher_keys import create_private_key
from cloud_assistant.broker_config.releases.publisher_signing import AGENT_NAME, sign, statement_of
from cloud_assistant.broker_config.settings_table import AgentSettings, GatewaySettings, Settings
from cloud_assistant.producer.cli import main
from cloud_assistant.producer.file_store.publishing import Publishing

SPOILT = ("x", b"\xff", "cloud-assistant publisher's signature 1\nkey k\nsignature s\nstatement {}\n")


@pytest.fixture
def publishing(redis: Redis, tmp_path: Path) -> Publishing:
    settings = Settings(
        redis_url=redis.url,
        home=str(tmp_path),
        gateway=GatewaySettings(files_folder=str(tmp_path / "files")),
        agent=AgentSettings(publishers_folder=str(tmp_path / "publishers")),
    )
    publishing = Publishing(redis, settings)
    archive = tmp_path / "tools.tar.gz"
    archive.write_bytes(b"tools")
    key = create_private_key(tmp_path / "publisher.pem")
    for version in ("1.0", "2.0"):
        statement = statement_of(archive, name="tools", version=version, os="any", arch="any")
        publishing.publish_file(archive, sign(key, statement))
    return publishing


@pytest.mark.parametrize("text", SPOILT)
def test_the_others_are_listed_found_and_withdrawn(publishing: Publishing, redis: Redis, text: str | bytes) -> None:
    redis.call("HSET", keys.PACKAGES, "tools/3.0/any/any", text)
    catalogue = publishing.catalogue
    assert [one.version for one in catalogue.list("tools")] == ["2.0", "1.0"]
    assert catalogue.find("tools", "latest", os="linux", arch="x86_64").version == "2.0"
    [(field, why)] = catalogue.unreadable().items()
    assert (field, "assist package withdraw tools 3.0" in str(why)) == ("tools/3.0/any/any", True)
    assert catalogue.unreadable("tool") == {}

    assert publishing.withdraw("tools", "2.0") == ["tools/2.0/any/any"]
    assert publishing.withdraw("tools", "1.0") == ["tools/1.0/any/any"]
    assert len(publishing.store.list()) == 1, "the one that cannot be read may be of this file"
    assert publishing.withdraw("tools", "3.0") == ["tools/3.0/any/any"]
    with pytest.raises(NotFound):
        publishing.withdraw("tools", "3.0")
    assert catalogue.unreadable() == {}


def test_a_file_goes_with_the_last_that_needs_it(publishing: Publishing) -> None:
    publishing.withdraw("tools", "2.0")
    assert len(publishing.store.list()) == 1
    publishing.withdraw("tools", "1.0")
    assert publishing.store.list() == []


def test_a_withdrawal_that_is_cut_off_at_its_file_is_done_by_the_same_once_more(publishing: Publishing) -> None:
    publishing.withdraw("tools", "2.0")
    [stored] = publishing.store.list()
    # Nobody, root neither, removes a folder as a file.
    stored.path.unlink()
    stored.path.mkdir()
    with pytest.raises(OSError, match=stored.sha256):
        publishing.withdraw("tools", "1.0")
    stored.path.rmdir()
    stored.path.write_bytes(b"tools")
    assert publishing.withdraw("tools", "1.0") == ["tools/1.0/any/any"]
    assert publishing.store.list() == []


def test_lists_name_it_and_its_remedy(
    publishing: Publishing, redis: Redis, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    redis.call("HSET", keys.PACKAGES, "tools/3.0/any/any", "x", f"{AGENT_NAME}/9.0/linux/x86_64", "x")
    settings = ["--redis-url", redis.url, "--home", str(tmp_path)]
    for verb, told, untold in (
        ("package", "assist package withdraw tools 3.0", "agent-version"),
        ("agent-version", "assist agent-version withdraw 9.0", "package withdraw"),
    ):
        assert main([*settings, verb, "list"]) == 0
        shown = capsys.readouterr()
        assert (told in shown.err, untold in shown.err) == (True, False)
    assert main([*settings, "agent-version", "withdraw", "9.0"]) == 0
    assert capsys.readouterr().err.endswith(f"withdrawn: {AGENT_NAME}/9.0/linux/x86_64\n")


@pytest.mark.usefixtures("publishing")
def test_a_withdrawal_answers_in_json_by_the_names_of_a_list(
    redis: Redis, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["--redis-url", redis.url, "--home", str(tmp_path), "--output", "json"]
    assert main([*settings, "package", "withdraw", "tools", "1.0"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"Name": "tools", "Version": "1.0", "Os": "any", "Arch": "any"}]
