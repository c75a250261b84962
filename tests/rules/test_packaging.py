"""What is installed is what is in the repository."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from rules.source import NAMESPACE, PRODUCT_FOLDERS, REPOSITORY, repository_paths

#: What the programs read at run time, next to the code.
SHIPPED_SUFFIXES = {".py", ".lua", ".html", ".css", ".js", ".sh", ".ps1", ".typed"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of the working tree, built in a copy so that nothing of it lands in the tree."""
    copy = tmp_path_factory.mktemp("tree")
    for path in repository_paths():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / path, copy / path)
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    outcome = subprocess.run(
        [sys.executable, "-c", build, str(copy / "dist")], cwd=copy, capture_output=True, text=True, check=False
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    return zipfile.ZipFile(next((copy / "dist").glob("*.whl")))


def test_the_wheel_holds_every_module_and_every_file_that_the_programs_read(wheel: zipfile.ZipFile) -> None:
    expected = {
        f"{NAMESPACE}/{path}"
        for path in repository_paths()
        if path.parts[0] in PRODUCT_FOLDERS and path.suffix in SHIPPED_SUFFIXES
    }
    missing = sorted(expected - set(wheel.namelist()))
    assert not missing, f"add an __init__.py or package data in setup.py for: {missing}"


def test_the_wheel_puts_nothing_beside_the_namespace(wheel: zipfile.ZipFile) -> None:
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {NAMESPACE}


def test_the_changelog_begins_with_the_packages_version() -> None:
    changelog = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[([^\]]+)\]", changelog, re.MULTILINE)
    setup = (REPOSITORY / "setup.py").read_text(encoding="utf-8")
    declared = re.search(r'^    version="([^"]+)"', setup, re.MULTILINE)
    assert declared
    assert versions
    assert versions[0] == declared.group(1)


def test_requirements_pin_what_setup_asks_for() -> None:
    setup = (REPOSITORY / "setup.py").read_text(encoding="utf-8")
    asked = {_name(text) for text in re.findall(r'^    "([A-Za-z][\w.-]*(?:\[\w+\])?[<>=][^"]*)"', setup, re.MULTILINE)}
    pinned = set()
    for line in Path(REPOSITORY / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            assert "==" in line, f"not pinned: {line}"
            pinned.add(_name(line))
    assert asked
    assert not asked - pinned, "run 'make requirements'"


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return re.sub(r"[-_.]+", "-", found.group()).lower()
