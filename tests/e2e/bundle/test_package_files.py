"""What the packages put where, whoever built them; from a bundle that is a single line of shell."""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cloud_assistant.worker.upgrade.bundle import this_system
from harness.disk import small_disk
from harness.needs import skip_without

_REPOSITORY = Path(__file__).parents[3]
_BUILD = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import MODULE
from bundle_facts import Facts
folder = Path(sys.argv[2])
print(MODULE.build(folder / "bundle", folder, Facts("1.0", "linux", "x86_64"), folder / "scratch"))
"""


def built(folder: Path, module: str, tool: str) -> Path:
    """Build one kind of package as somebody whose umask keeps others out."""
    if shutil.which(tool) is None:
        skip_without(tool, f"Install the package that has {tool}.")
    program = folder / "bundle" / "bin" / "assist-agent"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho '#!/bin/sh'\n")
    program.chmod(0o755)
    (folder / "scratch").mkdir()
    code = _BUILD.replace("MODULE", module)
    command = [sys.executable, "-c", code, str(_REPOSITORY / "deploy/bundling"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, umask=0o077, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.splitlines()[-1])


def modes(listing: list[str]) -> dict[str, str]:
    """Name → mode, from a long listing."""
    lines = [line.split() for line in listing]
    return {line[5 if line[5].startswith(".") else 8].strip("./"): line[0] for line in lines if line[0][0] != "l"}


def closed_to_others_where_credentials_lie(found: dict[str, str]) -> bool:
    assert found["opt/cloud-assistant/versions/1.0/bin/assist-agent"] == "-rwxr-xr-x"
    assert found["opt/cloud-assistant/versions/1.0"] == "drwxr-xr-x"
    return found["etc/cloud-assistant"] == "drwx------"


def test_a_debian_package_closes_the_folder_of_the_credentials(tmp_path: Path) -> None:
    package = built(tmp_path, "deb_package", "dpkg-deb")
    listing = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True, check=True).stdout
    assert closed_to_others_where_credentials_lie(modes(listing.splitlines()))


def test_an_rpm_package_closes_the_folder_of_the_credentials(tmp_path: Path) -> None:
    package = built(tmp_path, "rpm_package", "rpmbuild")
    listing = subprocess.run(["rpm", "-qplv", package], capture_output=True, text=True, check=True).stdout
    assert closed_to_others_where_credentials_lie(modes(listing.splitlines()))


@pytest.mark.parametrize("machine", ["x86_64", "amd64", "AMD64", "aarch64", "arm64", "riscv64"])
def test_a_bundle_is_named_as_agents_ask_for_it(machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        f"import platform, sys; platform.machine = lambda: {machine!r}; sys.path.insert(0, sys.argv[1]);"
        " from bundle_facts import facts_here; facts = facts_here('1.0'); print(facts.os, facts.arch)"
    )
    command = [sys.executable, "-c", code, str(_REPOSITORY / "deploy/bundling")]
    named = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert tuple(named) == this_system()


def bundling(*options: str, **variables: str) -> str:
    """What building a bundle says that must fail."""
    command = [sys.executable, str(_REPOSITORY / "deploy/bundling"), *options]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **variables}
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_missing_key_is_told_before_anything_is_built(tmp_path: Path) -> None:
    missing = tmp_path / "publisher.key"
    assert bundling("--out", str(tmp_path / "out"), "--sign", str(missing)) == (
        f"bundle: cannot read the publisher's key {missing}: No such file or directory; name its file with --sign, "
        "or make one: assist publisher key create\n"
    )
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_told_in_one_line() -> None:
    said = bundling("--out", "/dev/null/out")
    assert said == "bundle: cannot use /dev/null/out: Not a directory; --out names another folder\n"


def test_a_disk_without_room_for_the_work_is_told_in_one_line(tmp_path: Path) -> None:
    with small_disk(tmp_path / "work", 4 << 20) as work:
        said = bundling("--out", str(tmp_path / "out"), TMPDIR=str(work))
        assert list(work.iterdir()) == []
    assert said.splitlines()[-1].startswith("bundle: there is no room (")
    assert said.splitlines()[-1].endswith("TMPDIR=… one for the work")


def test_an_archive_that_the_disk_has_no_room_for_leaves_no_half(tmp_path: Path) -> None:
    root = tmp_path / "cloud-assistant-agent-1.0"
    root.mkdir()
    (root / "manifest.json").write_bytes(os.urandom(200_000))
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import bundle_archive;"
        " from bundle_facts import Facts; root = Path(sys.argv[2]); manifest = root / 'manifest.json';"
        " bundle_archive.write_archive(root, Path(sys.argv[3]), Facts('1.0', 'linux', 'x86_64'), manifest)"
    )
    with small_disk(tmp_path / "out", 100_000) as out:
        command = [sys.executable, "-c", code, str(_REPOSITORY / "deploy/bundling"), str(root), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "No space left" in done.stderr
        assert list(out.iterdir()) == []


@pytest.mark.slow
def test_a_package_index_that_is_not_there_is_told_with_how_to_name_another(tmp_path: Path) -> None:
    said = bundling("--out", str(tmp_path), PIP_INDEX_URL="http://127.0.0.1:9/", PIP_RETRIES="0")
    assert said.splitlines()[-1].startswith("bundle: pip failed (see above); is a package index reachable?")
