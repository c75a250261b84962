"""Build the agent's bundle and packages; ``deploy/bundle`` is the way to call this."""

import argparse
import errno
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bundle_archive
import bundle_signature
import deb_package
import dependencies
import interpreter
import rpm_package
from bundle_facts import facts_here, repository_version

REPOSITORY = Path(__file__).resolve().parents[2]
_STARTS_COUNT = 9


def main() -> int:
    """Build what was asked for; returns the exit code. What keeps us from it is told in one line."""
    options = _options()
    try:
        if options.sign:
            # Before all the work, not behind it.
            bundle_signature.check_key_file(options.sign)
        _build(options)
    except subprocess.CalledProcessError as failed:
        program = Path(failed.cmd[0]).name
        is_pip = "pip" in failed.cmd
        mend = "; is a package index reachable? PIP_INDEX_URL=… names another one" if is_pip else ""
        if failed.stderr:
            sys.stderr.write(failed.stderr)
        raise SystemExit(f"bundle: {'pip' if is_pip else program} failed (see above){mend}") from None
    except OSError as error:
        raise SystemExit(f"bundle: {_problem_with_files(error)}") from None
    return 0


def _problem_with_files(error: OSError) -> str:
    """Say it in one line, with the way out: the work is done in one folder, and its result lands in another."""
    what, reason = error.filename, error.strerror or str(error)
    if isinstance(error, shutil.Error):
        # Of a whole tree: the first file stands for all.
        what, _, reason = error.args[0][0]
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in reason:
        return f"there is no room ({reason}); --out names another folder for the result, TMPDIR=… one for the work"
    return f"cannot use {what}: {reason}; --out names another folder"


def _build(options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="assist-bundle-") as scratch:
        facts = facts_here(repository_version(REPOSITORY))
        root = Path(scratch) / facts.top
        _say(f"collecting {facts.top} for {facts.os} on {facts.arch} with Python {platform.python_version()}")
        interpreter.collect(root / "lib" / "python", Path(scratch))
        dependencies.collect(root / "lib" / "packages", REPOSITORY, Path(scratch))
        _put_launcher(root)
        dependencies.compile_all(root)
        manifest = bundle_archive.write_manifest(root, facts, wire_version=_wire_version(root))
        archive = bundle_archive.write_archive(root, options.out, facts, manifest)
        _report(root, archive)
        if options.sign:
            _say(f"signed: {bundle_signature.sign(archive, facts, options.sign, root)}")
        if options.deb:
            _say(f"package: {deb_package.build(root, options.out, facts, Path(scratch))}")
        if options.rpm:
            _say(f"package: {rpm_package.build(root, options.out, facts, Path(scratch))}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="deploy/bundle", description="Build the agent with its own interpreter.")
    parser.add_argument("--out", type=Path, default=REPOSITORY / "dist", help="folder for the results; default dist/")
    parser.add_argument("--deb", action="store_true", help="build a Debian package too (dpkg-deb)")
    parser.add_argument("--rpm", action="store_true", help="build an RPM package too (rpmbuild)")
    parser.add_argument("--sign", type=Path, metavar="KEY", help="publisher's private key; writes <archive>.sig")
    return parser.parse_args()


def _put_launcher(root: Path) -> None:
    """Put the program itself into the bundle: a line of shell, and the file that the interpreter runs."""
    launcher = root / "bin" / "assist-agent"
    launcher.parent.mkdir(parents=True)
    launcher.write_text((Path(__file__).parent / "launcher.sh").read_text(encoding="utf-8"), encoding="utf-8")
    launcher.chmod(0o755)
    agent = root / "lib" / "assist_agent.py"
    agent.write_text((Path(__file__).parent / "assist_agent.py").read_text(encoding="utf-8"), encoding="utf-8")


def _wire_version(root: Path) -> int:
    code = (
        f"import sys; sys.path.append({str(root / 'lib' / 'packages')!r}); "
        "from cloud_assistant.broker_config.messages import WIRE_VERSION; print(WIRE_VERSION)"
    )
    answer = subprocess.run(
        [interpreter.executable(root / "lib" / "python"), "-I", "-S", "-B", "-c", code],
        check=True,
        capture_output=True,
        text=True,
    )
    return int(answer.stdout)


def _report(root: Path, archive: Path) -> None:
    """Print what was built, how large it is and how long it takes to start."""
    unpacked_bytes = sum(path.lstat().st_size for path in root.rglob("*") if path.is_file())
    seconds = []
    for _ in range(_STARTS_COUNT):
        begun = time.perf_counter()
        shown = subprocess.run([root / "bin" / "assist-agent", "--version"], check=True, capture_output=True, text=True)
        seconds.append(time.perf_counter() - begun)
    _say(f"{shown.stdout.strip()}: {statistics.median(seconds) * 1000:.0f} ms for --version")
    _say(f"archive: {archive} ({archive.stat().st_size / 1e6:.1f} MB; unpacked {unpacked_bytes / 1e6:.1f} MB)")


def _say(text: str) -> None:
    print(f"bundle: {text}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
