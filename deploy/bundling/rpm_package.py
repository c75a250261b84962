"""Build the RPM package with rpmbuild."""

import shutil
import subprocess
from pathlib import Path

import package_tree
from bundle_facts import NAME, Facts

_SPEC = """\
%global __os_install_post %{{nil}}
%global debug_package %{{nil}}
%global _build_id_links none
%global _binary_payload w6.gzdio
Name: {name}
Version: {version}
Release: 1
Summary: {summary}
License: GPL-3.0-only
BuildArch: {arch}
AutoReqProv: no
Requires: /bin/sh
%description
{description}
%files
%defattr(-,root,root,-)
/{prefix}
/usr/bin/assist-agent
/usr/lib/systemd/system/{service}.service
%dir %attr(0700,root,root) /{private_folder}
%config(noreplace) /{environment_file}
%config(noreplace) /etc/init.d/{service}
%post
{post}
%preun
{preun}
%postun
{postun}
"""


def build(bundle: Path, out: Path, facts: Facts, scratch: Path) -> Path:
    """Write ``<name>-<version>-1.<arch>.rpm``.

    Raises:
        SystemExit: rpmbuild is not here.
    """
    if shutil.which("rpmbuild") is None:
        raise SystemExit("bundle: --rpm needs rpmbuild (package rpm, or rpm-build)")
    tree = scratch / "rpm"
    package_tree.lay_out(bundle, tree, facts, unit_folder="usr/lib/systemd/system")
    spec = scratch / f"{NAME}.spec"
    spec.write_text(
        _SPEC.format(
            name=NAME,
            version=facts.version,
            arch=facts.arch,
            summary=package_tree.SUMMARY,
            description=package_tree.DESCRIPTION,
            prefix=package_tree.PREFIX,
            service=package_tree.SERVICE,
            private_folder=package_tree.PRIVATE_FOLDER,
            environment_file=package_tree.ENVIRONMENT_FILE,
            post=_body("after_install.sh", facts),
            preun=_body("before_remove.sh", facts),
            postun=_body("after_remove.sh", facts),
        ),
        encoding="utf-8",
    )
    # rpmbuild empties the build root before it packs; ours is filled, so it works on a copy of its own.
    command = ["rpmbuild", "-bb", "--quiet", "--target", facts.arch, "--define", f"_topdir {scratch / 'rpmbuild'}"]
    command += ["--define", f"_rpmdir {scratch / 'rpms'}", "--buildroot", str(tree), "--noclean", str(spec)]
    subprocess.run(command, check=True)
    built = next((scratch / "rpms").rglob("*.rpm"))
    package = out / built.name
    shutil.copyfile(built, package)
    return package


def _body(name: str, facts: Facts) -> str:
    """A script without its first line, which rpm writes itself; percent signs doubled."""
    return package_tree.script(name, facts).split("\n", 1)[1].replace("%", "%%")
