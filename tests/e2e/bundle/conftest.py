"""The bundle, built once for all tests of a run, and a place where it is installed."""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.bundle.installed import InstalledBundle

from cloud_assistant.broker_config.releases.publisher_keys import create_private_key
from harness.machine_copy import MachineCopy
from harness.redis_server import RedisServer

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with archive, manifest and packages; parallel test processes share one build.

    ``BUNDLE_OUT`` names one that is there already, for whoever works on these tests.
    """
    if given := os.environ.get("BUNDLE_OUT"):
        return Path(given)
    shared = tmp_path_factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        shared = shared.parent
    out = shared / "bundle-build"
    out.mkdir(exist_ok=True)
    with (out / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (out / "done").exists():
            tools = [f"--{kind}" for kind, tool in (("deb", "dpkg-deb"), ("rpm", "rpmbuild")) if shutil.which(tool)]
            create_private_key(out / "publisher.key")
            command = [sys.executable, str(REPOSITORY / "deploy" / "bundling"), "--out", str(out), *tools]
            command += ["--sign", str(out / "publisher.key")]
            outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
            assert outcome.returncode == 0, outcome.stdout + outcome.stderr
            (out / "done").write_text(outcome.stderr, encoding="utf-8")
    return out


@pytest.fixture(scope="session")
def archive(built: Path) -> Path:
    return next(built.glob("*.tar.gz"))


@pytest.fixture(scope="session")
def unpacked(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The top folder of the unpacked archive."""
    folder = tmp_path_factory.mktemp("unpacked")
    # As a machine's owner would: the filters of Python's own tarfile came with 3.11.4.
    subprocess.run(["tar", "-xzf", archive, "-C", folder], check=True)
    return next(folder.iterdir())


@pytest.fixture
def installed(unpacked: Path, tmp_path: Path, redis_server: RedisServer) -> Iterator[InstalledBundle]:
    """The bundle under ``versions``, with the ``current`` link, for an instance of this test's server."""
    version = unpacked.name.rpartition("-")[2]
    shutil.copytree(unpacked, tmp_path / "opt" / "versions" / version, copy_function=os.link)
    (tmp_path / "opt" / "current").symlink_to(f"versions/{version}")
    bundle = InstalledBundle(tmp_path, version, redis_server.url())
    yield bundle
    bundle.clean_up()


@pytest.fixture
def machine(tmp_path: Path) -> MachineCopy:
    return MachineCopy(tmp_path / "machine")
