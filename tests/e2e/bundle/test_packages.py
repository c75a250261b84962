"""The .deb and the .rpm, installed for real into a copy of this machine."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.machine_copy import MachineCopy
from harness.needs import skip_without

pytestmark = [pytest.mark.slow, pytest.mark.bundle, pytest.mark.timeout(300)]

NAME = "cloud-assistant-agent"
ENVIRONMENT_FILE = "/etc/cloud-assistant/agent.env"
WANTS_LINK = "/etc/systemd/system/multi-user.target.wants/cloud-assistant-agent.service"


@pytest.fixture
def deb(built: Path) -> Path:
    found = next(built.glob("*.deb"), None)
    if found is None:
        skip_without("dpkg-deb", "Install the package dpkg.")
    return found


@pytest.fixture
def rpm(built: Path) -> Path:
    found = next(built.glob("*.rpm"), None)
    if found is None:
        skip_without("rpmbuild", "Install the package rpm, or rpm-build.")
    return found


def shell(machine: MachineCopy, script: str) -> str:
    return machine.run("sh", "-ec", script, within_seconds=120).stdout


def test_a_debian_package_installs_upgrades_and_is_purged(deb: Path, machine: MachineCopy, tmp_path: Path) -> None:
    first = machine.put(deb, "/packages/first.deb")
    second = machine.put(_next_version(deb, tmp_path), "/packages/second.deb")

    said = machine.run("dpkg", "-i", first).stdout
    assert "not started" in said
    assert shell(
        machine, f"assist-agent --version; readlink /opt/cloud-assistant/current; stat -c %a /var/lib/{_folder}"
    )
    shell(
        machine, f"echo 'CLOUD_ASSISTANT_AGENT_SLOTS=3' > {ENVIRONMENT_FILE}; echo > /etc/cloud-assistant/config.toml"
    )
    machine.run("dpkg", "-i", second)
    state = shell(
        machine, f"readlink /opt/cloud-assistant/current; ls /opt/cloud-assistant/versions; cat {ENVIRONMENT_FILE}"
    )
    assert state.splitlines() == ["versions/9.9.9", "9.9.9", "CLOUD_ASSISTANT_AGENT_SLOTS=3"]
    if shutil.which("systemctl"):
        assert (machine.written / WANTS_LINK.lstrip("/")).is_symlink(), "not enabled by the first installation"
        shell(machine, f"systemctl disable {NAME}; dpkg -i /packages/second.deb")
        assert not (machine.written / WANTS_LINK.lstrip("/")).is_symlink(), "enabled again by an upgrade"
        shell(machine, f"dpkg --remove {NAME}; dpkg -i /packages/second.deb")
        assert (machine.written / WANTS_LINK.lstrip("/")).is_symlink(), "not enabled when it was installed again"

    machine.run("dpkg", "--remove", NAME)
    assert shell(
        machine, f"ls /etc/cloud-assistant; ls -d /opt/cloud-assistant /usr/bin/assist-agent {WANTS_LINK} || true"
    ) == ("agent.env\nconfig.toml\n")
    machine.run("dpkg", "--purge", NAME)
    assert shell(machine, "ls -d /etc/cloud-assistant /var/lib/cloud-assistant /var/log/cloud-assistant || true") == ""


def test_an_rpm_package_installs_upgrades_and_is_removed(rpm: Path, machine: MachineCopy) -> None:
    package = machine.put(rpm, "/packages/agent.rpm")

    said = shell(machine, f"rpm --install --nodeps {package}; rpm --verify --nodeps {NAME}; assist-agent --version")
    assert "not started" in said
    assert "assist-agent " in said
    shell(
        machine, f"echo 'CLOUD_ASSISTANT_AGENT_SLOTS=3' > {ENVIRONMENT_FILE}; echo > /etc/cloud-assistant/config.toml"
    )
    shell(
        machine, f"rpm --upgrade --force --nodeps {package}; readlink -e /opt/cloud-assistant/current/bin/assist-agent"
    )
    assert "SLOTS=3" in shell(machine, f"cat {ENVIRONMENT_FILE}")
    shell(machine, f"rpm --erase --nodeps {NAME}")
    left = shell(machine, "ls -d /opt/cloud-assistant /usr/bin/assist-agent || true; ls /etc/cloud-assistant")
    assert left.split() == ["agent.env.rpmsave", "config.toml"]


def test_without_systemd_the_package_uses_the_init_script(deb: Path, machine: MachineCopy) -> None:
    package = machine.put(deb, "/packages/agent.deb")
    said = shell(
        machine,
        f"rm -f /usr/bin/systemctl; dpkg -i {package};"
        ' printf \'redis_url = "redis://127.0.0.1:1/0"\\ninstance_id = "i-old"\\n[agent]\\naccept_unsigned = true\\n\''
        " > /etc/cloud-assistant/config.toml;"
        f" /etc/init.d/{NAME} start; /etc/init.d/{NAME} status; assist-agent status || true;"
        f" /etc/init.d/{NAME} restart; /etc/init.d/{NAME} stop; /etc/init.d/{NAME} status || echo ended $?",
    )
    assert f"{NAME} runs (pid" in said
    assert said.endswith(f"{NAME} does not run\nended 3\n")
    assert (machine.written / f"etc/rc2.d/S01{NAME}").is_symlink() or list(machine.written.glob(f"etc/rc2.d/S*{NAME}"))


def test_the_package_is_upgraded_where_the_service_was_taken_away(deb: Path, machine: MachineCopy) -> None:
    package = machine.put(deb, "/packages/agent.deb")
    shell(
        machine,
        f"rm -f /usr/bin/systemctl; dpkg -i {package}; echo > /etc/cloud-assistant/config.toml;"
        f" assist-agent uninstall --system sysv; dpkg -i {package}; test ! -e /etc/init.d/{NAME}",
    )


_folder = "cloud-assistant"


def _next_version(deb: Path, tmp_path: Path) -> Path:
    """The same package as version 9.9.9."""
    tree = tmp_path / "tree"
    subprocess.run(["dpkg-deb", "-R", deb, tree], check=True)
    version = next((tree / "opt/cloud-assistant/versions").iterdir())
    version.rename(version.with_name("9.9.9"))
    for name in ("control", "postinst"):
        path = tree / "DEBIAN" / name
        path.write_text(path.read_text(encoding="utf-8").replace(version.name, "9.9.9"), encoding="utf-8")
    package = tmp_path / "next.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", tree, package], check=True, capture_output=True)
    return package
