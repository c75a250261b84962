"""Build the Debian package with dpkg-deb."""

import shutil
import subprocess
from pathlib import Path

import package_tree
from bundle_archive import created_seconds
from bundle_facts import NAME, Facts

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
#: Debian's name of a step → our script.
_SCRIPTS = {"postinst": "after_install.sh", "prerm": "before_remove.sh", "postrm": "after_remove.sh"}


def build(bundle: Path, out: Path, facts: Facts, scratch: Path) -> Path:
    """Write ``<name>_<version>_<arch>.deb``.

    Raises:
        SystemExit: dpkg-deb is not here.
    """
    if shutil.which("dpkg-deb") is None:
        raise SystemExit("bundle: --deb needs dpkg-deb (package dpkg)")
    architecture = _ARCHITECTURES.get(facts.arch, facts.arch)
    tree = scratch / "deb"
    package_tree.lay_out(bundle, tree, facts, unit_folder="lib/systemd/system")
    control = tree / "DEBIAN"
    control.mkdir()
    # Whatever the umask of the builder: dpkg-deb takes nothing narrower.
    control.chmod(0o755)
    (control / "control").write_text(
        f"Package: {NAME}\nVersion: {facts.version}\nArchitecture: {architecture}\n"
        f"Maintainer: Cloud Assistant <root@localhost>\nInstalled-Size: {package_tree.size_kilobytes(tree)}\n"
        "Section: admin\nPriority: optional\nDepends: libc6\n"
        f"Description: {package_tree.SUMMARY}\n{package_tree.DESCRIPTION}\n",
        encoding="utf-8",
    )
    kept = [package_tree.ENVIRONMENT_FILE, f"etc/init.d/{package_tree.SERVICE}"]
    (control / "conffiles").write_text("".join(f"/{path}\n" for path in kept), encoding="utf-8")
    for step, name in _SCRIPTS.items():
        path = control / step
        path.write_text(package_tree.script(name, facts), encoding="utf-8")
        path.chmod(0o755)
    package = out / f"{NAME}_{facts.version}_{architecture}.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", tree, package],
        check=True,
        stdout=subprocess.DEVNULL,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SOURCE_DATE_EPOCH": str(created_seconds())},
    )
    return package
