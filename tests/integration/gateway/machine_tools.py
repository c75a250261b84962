"""The programs of a machine that ``install.sh`` works with; where it has no downloader, one like FreeBSD's."""

import shutil
import sys
from pathlib import Path

#: What the script needs of a machine, beside something to download with and to check signatures with.
_TOOLS = (
    *("sh", "cat", "sed", "tr", "wc", "cut", "uname", "mktemp", "rm", "mkdir", "rmdir", "mv", "ln", "chmod"),
    *("id", "gzip", "tar", "sha256sum", "grep", "env"),
)
_FETCH = """\
#!{python} -IS
import shutil, ssl, sys, urllib.error, urllib.request
*options, flag, target, url = sys.argv[1:]
authority = [one.partition("=")[2] for one in options if one.startswith("--ca-cert=")]
assert (flag, [one for one in options if not one.startswith("--ca-cert=")]) == ("-o", ["-q"]), sys.argv
context = ssl.create_default_context(cafile=authority[0]) if authority else None
try:
    with urllib.request.urlopen(url, context=context) as reply, open(target, "wb") as file:
        shutil.copyfileobj(reply, file)
except (OSError, urllib.error.URLError) as exc:
    sys.exit(f"fetch: {{url}}: {{exc}}")
"""


def link_tools(folder: Path) -> Path:
    """Make a folder with links to the tools of this machine; it is all of a search path."""
    folder.mkdir()
    for name in _TOOLS:
        found = shutil.which(name)
        assert found, name
        (folder / name).symlink_to(found)
    return folder


def make_fetch(folder: Path) -> Path:
    """Make the program."""
    folder.mkdir(exist_ok=True)
    program = folder / "fetch"
    program.write_text(_FETCH.format(python=Path(sys.executable).resolve()))
    program.chmod(0o755)
    return program


def any_downloader(folder: Path) -> Path:
    """A program that the script downloads with here, made in this folder where the machine has none."""
    found = shutil.which("curl") or shutil.which("wget")
    return Path(found) if found else make_fetch(folder)
