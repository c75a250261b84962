"""Shell scripts are readable by the shell that they name."""

import os
import subprocess
from pathlib import PurePosixPath

import pytest

from rules.source import REPOSITORY, Source, repository_sources


def shell_of(source: Source) -> str | None:
    """``bash`` or ``sh`` for a shell script, None for another file."""
    first = source.lines[0] if source.lines else ""
    if first.startswith("#!") and first.rstrip().endswith("bash"):
        return "bash"
    if (first.startswith("#!") and first.rstrip().endswith("sh")) or source.path.suffix == ".sh":
        return "sh"
    return None


def complaint_about(source: Source) -> str:
    """What the shell says about the script's grammar; empty when it is fine."""
    shell = shell_of(source)
    assert shell
    outcome = subprocess.run([shell, "-n"], input=source.text, capture_output=True, text=True, check=False)
    return outcome.stderr if outcome.returncode else ""


SCRIPTS = [source for source in repository_sources() if shell_of(source)]


@pytest.mark.parametrize("source", SCRIPTS, ids=lambda source: str(source.path))
def test_the_shell_can_read_it(source: Source) -> None:
    assert not complaint_about(source)


@pytest.mark.parametrize("name", ["tests/run", "deploy/quickstart"])
def test_a_command_of_the_readme_can_be_run(name: str) -> None:
    path = REPOSITORY / name
    assert not path.exists() or os.access(path, os.X_OK), f"chmod +x {name}"


@pytest.mark.parametrize(
    ("path", "text"),
    [("deploy/install.sh", "if true; then\n"), ("deploy/quickstart", "#!/usr/bin/env bash\ncase x in\n")],
)
def test_a_broken_script_is_noticed(path: str, text: str) -> None:
    assert complaint_about(Source(PurePosixPath(path), text))
