"""Packages: signed, installed as ordinary executions, put back when they are not healthy."""

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.eventually import eventually
from harness.redis_server import RedisServer
from harness.system import Outcome, System

NOTE = "echo {word} $CA_PACKAGE_VERSION from=$CA_PACKAGE_PREVIOUS >> {log}\n"


class Shop:
    """Two instances, a gateway that serves packages, and a publisher that the first instance trusts."""

    def __init__(self, system: System, folder: Path) -> None:
        self.system = system
        self.folder = folder
        self.log = folder / "log"

    def package(self, name: str, version: str, *, health: str = "true", requires: str = "", os: str = "any") -> None:
        """Make, sign and publish a package whose scripts write into the log."""
        script = {word: NOTE.format(word=word, log=self.log) for word in ("install", "uninstall")}
        files = {
            "package.toml": f'name = "{name}"\nversion = "{version}"\nhealthy_within_seconds = 0.1\n'
            f'{requires}\n[scripts.any]\ninstall = "install.sh"\nuninstall = "uninstall.sh"\nhealth = "health.sh"\n',
            "install.sh": script["install"],
            "uninstall.sh": script["uninstall"],
            "health.sh": f"{health}\n",
        }
        archive = self.folder / f"{name}-{version}-{os}-any.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            for path, text in files.items():
                member = tarfile.TarInfo(path)
                member.size = len(text)
                tar.addfile(member, io.BytesIO(text.encode()))
        self.system.assist("publisher", "sign", archive).must_succeed()
        self.system.assist("package", "publish", archive).must_succeed()

    def call(self, *words: str, instance_id: str = "i-one") -> Outcome:
        return self.system.assist("package", *words, "--instance", instance_id)

    def lines(self) -> list[str]:
        """What the scripts wrote since the last call."""
        text = self.log.read_text() if self.log.exists() else ""
        self.log.unlink(missing_ok=True)
        return text.splitlines()

    def status(self, name: str, instance_id: str = "i-one") -> Any:
        (shown,) = self.call("status", name, "--output", "json", instance_id=instance_id).must_succeed().json
        return shown["Packages"][0]

    def wait_for(self, name: str, version: str, status: str) -> None:
        """Wait until the instance has told."""

        def told() -> bool:
            shown = self.status(name)
            return (shown["Version"], shown["Status"]) == (version, status)

        eventually(told, within_seconds=20)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder = tmp_path_factory.mktemp("shop")
    with RedisServer(folder / "redis") as server:
        system = System(
            folder / "system",
            server.url(),
            {
                "CLOUD_ASSISTANT_GATEWAY_FILES_FOLDER": str(folder / "files"),
                "CLOUD_ASSISTANT_AGENT_HEARTBEAT_SECONDS": "0.3",
            },
        )
        try:
            public = system.assist("publisher", "key", "create").must_succeed().stdout
            (folder / "publishers").mkdir(mode=0o755)
            (folder / "publishers" / "us.pub").write_text(public)
            system.environment["CLOUD_ASSISTANT_GATEWAY_AGENT_URL"] = system.start_gateway().url
            trusting = {"CLOUD_ASSISTANT_AGENT_PUBLISHERS_FOLDER": str(folder / "publishers")}
            system.start_agent("i-one", environment=trusting)
            system.start_agent("i-two")
            yield Shop(system, folder)
        finally:
            system.stop()


def test_a_package_is_installed_once_updated_and_removed(shop: Shop) -> None:
    shop.package("tools", "1.0")
    assert "is installed\n" in shop.call("install", "tools").must_succeed().stdout
    assert "installed already" in shop.call("install", "tools").must_succeed().stdout
    assert shop.lines() == ["install 1.0 from="]
    shop.wait_for("tools", "1.0", "Running")

    shop.package("tools", "1.10")
    shop.package("tools", "1.9")
    shop.call("update", "tools").must_succeed()
    assert shop.lines() == ["install 1.10 from=1.0"]
    shop.wait_for("tools", "1.10", "Running")

    shop.call("uninstall", "tools").must_succeed()
    assert shop.lines() == ["uninstall 1.10 from="]
    shop.wait_for("tools", "1.10", "Removed")
    assert "nothing to update" in shop.call("update", "tools").must_succeed().stdout
    assert not (shop.folder / "system" / "i-one" / "packages" / "tools").exists()

    shop.system.assist("package", "withdraw", "tools", "1.10").must_succeed()
    assert shop.system.assist("package", "install", "tools", "--version", "1.10", "--all").exit_code == 5


def test_a_few_instances_at_a_time_get_it_and_none_more_after_too_many_failures(shop: Shop) -> None:
    shop.package("staged", "1.0")
    beat = shop.system.start_beat("beat")
    # The second instance trusts no publisher, and is asked first.
    chosen = ("--instance", "i-two", "--instance", "i-one", "--at-once", "1")
    stopped = shop.system.assist("package", "install", "staged", *chosen, "--stop-at", "1")
    assert stopped.exit_code == 1
    assert "not started: 1 of the others failed, and the limit was 1" in stopped.stdout
    assert shop.lines() == []
    went_on = shop.system.assist("package", "install", "staged", *chosen)
    assert "no publisher" in went_on.stdout or "trusted here is nobody" in went_on.stdout, went_on.stdout
    assert shop.lines() == ["install 1.0 from="]
    shop.call("uninstall", "staged", "--at-once", "1").must_succeed()
    refused = shop.call("update", "staged", "--at-once", "some")
    assert (refused.exit_code, "'some' is neither a number" in refused.stderr) == (2, True)
    shop.lines()
    beat.stop()


def test_a_version_that_is_not_healthy_gives_way_to_the_one_before(shop: Shop) -> None:
    shop.package("web", "1.0")
    shop.call("install", "web").must_succeed()
    shop.package("web", "2.0", health="exit 7")
    failed = shop.call("install", "web")
    assert failed.exit_code == 1
    assert "exit code 7" in failed.stdout
    assert shop.lines() == ["install 1.0 from=", "install 2.0 from=1.0", "uninstall 2.0 from=1.0", "install 1.0 from="]
    shop.wait_for("web", "1.0", "Running")
    assert "2.0 failed" in shop.status("web")["Reason"]
    assert shop.call("check", "web").exit_code == 0


def test_a_first_version_that_is_not_healthy_leaves_nothing(shop: Shop) -> None:
    shop.package("sick", "1.0", health="exit 7")
    assert shop.call("install", "sick").exit_code == 1
    assert shop.lines() == ["install 1.0 from=", "uninstall 1.0 from="]
    shop.wait_for("sick", "1.0", "Removed")


def test_what_a_package_needs_must_be_there(shop: Shop) -> None:
    shop.package("base", "1.0")
    shop.package("top", "1.0", requires='requires.packages = ["base>=1.0"]')
    shop.package("other", "1.0", requires='requires.os = ["windows"]')
    for name, what in (("top", "it needs base>=1.0, and here is none"), ("other", "it is for windows")):
        refused = shop.call("install", name)
        assert refused.exit_code == 1
        assert what in refused.stderr + refused.stdout
    shop.call("install", "base").must_succeed()
    shop.call("install", "top").must_succeed()
    assert "needed by top" in str(shop.call("uninstall", "base"))
    assert shop.lines() == ["install 1.0 from=", "install 1.0 from="]


def test_an_instance_that_does_not_trust_the_publisher_installs_nothing(shop: Shop) -> None:
    shop.package("trusted", "1.0")
    refused = shop.call("install", "trusted", instance_id="i-two")
    assert refused.exit_code == 1
    assert "PublisherUnknown" in str(refused)
    assert shop.lines() == []
    assert shop.status("trusted", "i-two")["Status"] == "NotInstalled"


def test_the_api_tells_of_packages_too(shop: Shop) -> None:
    shop.package("told", "1.0")
    shop.call("install", "told").must_succeed()
    shop.wait_for("told", "1.0", "Running")
    asked = shop.system.assist("ecs", "ListPluginStatus", "--InstanceId.1", "i-one", "--Name", "told").must_succeed()
    (instance,) = asked.json["InstancePluginStatusSet"]["InstancePluginStatus"]
    (plugin,) = instance["PluginStatusSet"]["PluginStatus"]
    assert (plugin["PluginName"], plugin["PluginVersion"], plugin["PluginStatus"]) == ("told", "1.0", "Running")
    assert plugin["FirstHeartbeatTime"].endswith("Z")
    shop.lines()
