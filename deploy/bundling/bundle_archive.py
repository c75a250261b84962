"""Write the manifest and the archive of a bundle; the same input gives the same bytes."""

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, cast

from bundle_facts import NAME, Facts

MANIFEST = "manifest.json"


def created_seconds() -> int:
    """When the bundle was made: SOURCE_DATE_EPOCH, else the time of the commit, else now."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    asked = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return int(asked.stdout) if asked.returncode == 0 and asked.stdout.strip() else int(datetime.now(UTC).timestamp())


def write_manifest(root: Path, facts: Facts, *, wire_version: int) -> Path:
    """Say what is in the bundle, file by file, in ``manifest.json`` at its top."""
    listed = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            raise SystemExit(f"bundle: {path} is a link; a bundle has files only")
        if path.is_file():
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
            content = path.read_bytes()
            listed[path.relative_to(root).as_posix()] = {
                "sha256": hashlib.sha256(content).hexdigest(),
                "size": len(content),
                "mode": f"{path.stat().st_mode & 0o777:04o}",
            }
    stated = {
        "name": NAME,
        "version": facts.version,
        "os": facts.os,
        "arch": facts.arch,
        "wire_version": wire_version,
        "created": datetime.fromtimestamp(created_seconds(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "files": listed,
    }
    manifest = root / MANIFEST
    manifest.write_text(json.dumps(stated, indent=1) + "\n", encoding="utf-8")
    return manifest


def write_archive(root: Path, out: Path, facts: Facts, manifest: Path) -> Path:
    """Pack the bundle, and put its manifest beside the archive as well."""
    archive = out / f"{facts.stem}.tar.gz"
    # Half of one is never found under its name.
    fresh = archive.with_name(archive.name + ".new")
    moment = created_seconds()

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        member.mtime = moment
        if member.isdir():
            member.mode = 0o755
        return member

    try:
        with (
            fresh.open("wb") as raw,
            gzip.GzipFile("", "wb", 6, raw, mtime=moment) as packed,
            tarfile.open(fileobj=cast(IO[bytes], packed), mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for path in [root, *sorted(root.rglob("*"))]:
                tar.add(path, str(Path(facts.top) / path.relative_to(root)), recursive=False, filter=plain)
        fresh.replace(archive)
    finally:
        fresh.unlink(missing_ok=True)
    shutil.copyfile(manifest, archive.with_name(archive.name + ".manifest.json"))
    return archive
