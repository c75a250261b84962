"""Versions made for tests: bundles whose program is this very agent under another version number, or misbehaves."""

import hashlib
import io
import json
import platform
import sys
import tarfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud_assistant.broker_config.releases.publisher_signing import AGENT_NAME, SUFFIX, sign, statement_of

_START = f"""#!{sys.executable}
import os, sys
import cloud_assistant.worker.identity as identity
identity.version = lambda _name: "VERSION"
"""
_END = """
from cloud_assistant.worker.cli import main
main()
"""
_ONLY_AS_AGENT = 'if "run" in sys.argv[1:2]:\n'
#: What goes wrong with a version, as lines of its program.
BEHAVIOURS = {
    "good": "",
    "crashes": "    sys.exit(3)\n",
    # Nor does it heed that it is asked to end.
    "hangs": """
    import signal, threading
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Event().wait(600)
""",
    "cannot connect": "    os.environ['CLOUD_ASSISTANT_REDIS_URL'] = 'redis://127.0.0.1:1'\n",
    "cannot execute": """
    from cloud_assistant.worker.execution import launcher
    from cloud_assistant.worker.execution.not_started import EXECUTION_EXCEPTION, NotStarted
    def refuse(self, plan):
        plan.close()
        raise NotStarted(EXECUTION_EXCEPTION, "this version cannot start anything")
    launcher.Launcher.launch = refuse
""",
    "takes nothing": """
    from cloud_assistant.worker.queue import celery_worker
    import threading
    celery_worker.QueueWorker.run = lambda self: threading.Event().wait(600)
""",
}


def program_text(version: str, behaviour: str = "good") -> str:
    """The program of a version."""
    lines = BEHAVIOURS[behaviour]
    return _START.replace("VERSION", version) + (_ONLY_AS_AGENT + lines if lines else "") + _END


def bundle_files(version: str, behaviour: str = "good", padding_bytes: int = 0) -> dict[str, bytes]:
    """The files of a bundle, its manifest with them."""
    files = {"bin/assist-agent": program_text(version, behaviour).encode()}
    if padding_bytes:
        files["lib/padding"] = b"\0" * padding_bytes
    manifest = {
        "name": AGENT_NAME,
        "version": version,
        "os": "linux",
        "arch": platform.machine(),
        "wire_version": 1,
        "created": "2026-01-01T00:00:00Z",
        "files": {
            name: {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "mode": "0755"}
            for name, data in files.items()
        },
    }
    return {**files, "manifest.json": json.dumps(manifest).encode()}


def install(folder: Path, version: str) -> None:
    """Put a good version where the service starts it."""
    for name, data in bundle_files(version).items():
        path = folder / "versions" / version / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(0o755)
    (folder / "current").symlink_to(Path("versions") / version)


def archive_of(
    folder: Path, version: str, key: Ed25519PrivateKey, behaviour: str = "good", padding_bytes: int = 0
) -> Path:
    """Make a signed archive."""
    path = folder / f"{AGENT_NAME}-{version}-linux-{platform.machine()}.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, data in bundle_files(version, behaviour, padding_bytes).items():
            member = tarfile.TarInfo(f"{AGENT_NAME}-{version}/{name}")
            member.size, member.mode = len(data), 0o755
            tar.addfile(member, io.BytesIO(data))
    sign_again(path, version, key)
    return path


def sign_again(path: Path, version: str, key: Ed25519PrivateKey) -> None:
    """Sign an archive as it is now."""
    statement = statement_of(path, name=AGENT_NAME, version=version, os="linux", arch=platform.machine())
    path.with_name(path.name + SUFFIX).write_text(sign(key, statement))
