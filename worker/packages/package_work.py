"""Install, update, remove and check packages on this machine.

Runs as part of a script, so the script's timeout and stop hold for all of it. What was under way when it is killed is
shown as Unknown; doing it again puts it right, as install scripts must be able to run twice.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ...broker_config.clock import monotonic_seconds, now_ms
from ...broker_config.errors import Refused
from ...broker_config.releases.package_order import PackageAction, PackageOrder
from ...broker_config.releases.package_report import InstalledPackage, PackageStatus
from ...broker_config.releases.publisher_keys import read_publishers
from ...broker_config.releases.publisher_signing import ANY, Statement, verify
from ...broker_config.releases.version_order import Condition
from ...broker_config.settings import child_environment
from ..upgrade.bundle import this_system
from ..upgrade.download import PART_SUFFIX, fetch_archive
from ..upgrade.unpacking import remove, unpack
from .agent_notes import AgentNotes
from .package_file import PackageFile, read_package_file, unmet
from .package_index import PackageIndex

_HEALTH_PAUSE_SECONDS = 0.5
_REASON_CHARACTERS = 300


class ScriptFailed(Exception):
    """A script of a package ended with another exit code than 0."""


@dataclass(frozen=True, kw_only=True)
class PackageWork:
    """The packages of one home."""

    home: Path
    notes: AgentNotes
    #: Where progress is told.
    say: Callable[[str], None]

    @property
    def index(self) -> PackageIndex:
        """Which packages there are."""
        return PackageIndex(self.home)

    def obey(self, order: PackageOrder) -> int:
        """Do what is asked for; answers the exit code of the script that asks.

        Raises:
            Refused, RequestInvalid, DownloadFailed: it cannot be done here; nothing has changed.
            OSError: the disk does not take it.
        """
        with self.index.locked():
            present = self.index.all().get(order.name)
            match order.action:
                case PackageAction.UNINSTALL:
                    return self._uninstall(order.name, present)
                case PackageAction.CHECK:
                    return self._check(order.name, present)
                case PackageAction.UPDATE if present is None or not _is_there(present):
                    self.say(f"{order.name} is not installed here, so there is nothing to update")
                    return 0
                case _:
                    return self._install(order, present)

    def _install(self, order: PackageOrder, present: InstalledPackage | None) -> int:
        statement = verify(order.signature, read_publishers(Path(self.notes.publishers_folder)))
        system, arch = this_system()
        if statement.name != order.name or statement.os not in (system, ANY) or statement.arch not in (arch, ANY):
            raise Refused(f"{statement} is not {order.name} for {system}/{arch}", code="WrongArchive")
        works = (PackageStatus.INSTALLED, PackageStatus.RUNNING)
        if present and present.version == statement.version and present.status in works and not order.force:
            self.say(f"{statement.name} {statement.version} is installed already")
            return 0
        fresh = self._unpacked(order, statement)
        try:
            package = read_package_file(fresh, statement)
            versions = {one.name: one.version for one in self.index.all().values() if _is_there(one)}
            missing = unmet(package, versions, self.notes.agent_version)
            if missing:
                raise Refused(
                    f"{statement.name} {statement.version} cannot be installed: {missing}", code="RequirementUnmet"
                )
            previous = present if present is not None and _is_there(present) else None
            # Before the first change: the folder may be that of the version which is installed.
            self._note(package, PackageStatus.UNKNOWN, "its installation broke off", previous)
            folder = self._folder(package.name, package.version)
            remove(folder)
            fresh.rename(folder)
        finally:
            remove(fresh)
        return self._put_in_place(package, folder, previous)

    def _put_in_place(self, package: PackageFile, folder: Path, previous: InstalledPackage | None) -> int:
        try:
            self._run(package, folder, "install", previous)
            status = self._healthy(package, folder)
        except ScriptFailed as exc:
            return self._roll_back(package, folder, previous, str(exc))
        self._note(package, status, "", previous)
        # The version before it, and what a run that was killed has left of others.
        for other in folder.parent.iterdir():
            if other != folder:
                remove(other)
        self.say(f"{package.name} {package.version} is installed")
        return 0

    def _roll_back(self, package: PackageFile, folder: Path, previous: InstalledPackage | None, reason: str) -> int:
        """Return to what was there before, with its own scripts."""
        self.say(f"{package.name} {package.version} failed: {reason}")
        is_same = previous is not None and previous.version == package.version
        try:
            self._run(package, folder, "uninstall", previous)
        except ScriptFailed as exc:
            self.say(f"and could not be removed: {exc}")
        if not is_same:
            remove(folder)
        why = f"{package.version} failed: {reason}"
        if previous is None or is_same:
            self._note(package, PackageStatus.CRASHED if is_same else PackageStatus.REMOVED, why, previous)
            return 1
        old_folder = self._folder(package.name, previous.version)
        old = self._package_in(old_folder, previous)
        try:
            self._run(old, old_folder, "install", None)
            status = self._healthy(old, old_folder)
            self.say(f"{old.name} {old.version} is installed again")
        except ScriptFailed as exc:
            status, why = PackageStatus.CRASHED, f"{why}; and {old.version} again: {exc}"
        self._note(old, status, why, previous)
        return 1

    def _uninstall(self, name: str, present: InstalledPackage | None) -> int:
        if present is None or not _is_there(present):
            self.say(f"{name} is not installed")
            return 0
        needing = [
            one.name
            for one in self.index.all().values()
            # One that needs an earlier version of itself does not stand in its own way.
            if _is_there(one) and one.name != name and any(Condition(text).name == name for text in one.requires)
        ]
        if needing:
            raise Refused(f"{name} is needed by {', '.join(needing)}; remove that first", code="PackageNeeded")
        folder = self._folder(name, present.version)
        package = self._package_in(folder, present)
        try:
            self._run(package, folder, "uninstall", None)
        except ScriptFailed as exc:
            self._note(package, PackageStatus.UNKNOWN, f"could not be removed: {exc}", present)
            self.say(f"{name} could not be removed: {exc}")
            return 1
        remove(self.index.folder / name)
        self._note(package, PackageStatus.REMOVED, "", None)
        self.say(f"{name} is removed")
        return 0

    def _check(self, name: str, present: InstalledPackage | None) -> int:
        if present is None or not _is_there(present):
            self.say(f"{name} is not installed")
            return 1
        folder = self._folder(name, present.version)
        package = self._package_in(folder, present)
        try:
            if not folder.is_dir():
                raise ScriptFailed(f"its folder {folder} is gone; install it again")
            status = self._healthy(package, folder, within_seconds=0.0)
        except ScriptFailed as exc:
            self._note(package, PackageStatus.CRASHED, str(exc), present)
            self.say(f"{name} {present.version} is not healthy: {exc}")
            return 1
        self._note(package, status, "", present)
        self.say(f"{name} {present.version}: {status}")
        return 0

    def _unpacked(self, order: PackageOrder, statement: Statement) -> Path:
        """Fetch, verify and unpack the archive beside what is there."""
        part = self.index.folder / f"{statement.sha256}{PART_SUFFIX}"
        url = self.notes.gateway_url or order.url
        fetch_archive(url, statement, part, wait=time.sleep, ca_file=self.notes.gateway_ca_file)
        fresh = self.index.folder / statement.name / f".{statement.version}.new"
        remove(fresh)
        try:
            unpack(part, fresh)
        except BaseException:
            remove(fresh)
            raise
        finally:
            part.unlink(missing_ok=True)
        return fresh

    def _healthy(self, package: PackageFile, folder: Path, within_seconds: float | None = None) -> PackageStatus:
        """Run the health script until it succeeds, as long as it may take.

        Raises:
            ScriptFailed: it did not.
        """
        if not package.scripts_here().health:
            return PackageStatus.INSTALLED
        limit_seconds = package.healthy_within_seconds if within_seconds is None else within_seconds
        deadline = monotonic_seconds() + limit_seconds
        while True:
            try:
                self._run(package, folder, "health", None)
            except ScriptFailed:
                if monotonic_seconds() >= deadline:
                    raise
                time.sleep(_HEALTH_PAUSE_SECONDS)
            else:
                return PackageStatus.RUNNING

    def _run(self, package: PackageFile, folder: Path, word: str, previous: InstalledPackage | None) -> None:
        """Run one of the package's scripts, if it has it; what it writes goes where ours goes.

        Raises:
            ScriptFailed: with what came of it.
        """
        script = getattr(package.scripts_here(), word)
        if not script:
            return
        environment = child_environment(
            CA_PACKAGE_NAME=package.name,
            CA_PACKAGE_VERSION=package.version,
            CA_PACKAGE_FOLDER=str(folder),
            CA_PACKAGE_PREVIOUS=previous.version if previous else "",
        )
        sys.stdout.flush()
        try:
            code = subprocess.run(
                _command(folder / script), cwd=folder, env=environment, stdin=subprocess.DEVNULL, check=False
            ).returncode
        except OSError as exc:
            raise ScriptFailed(f"its {word} script cannot be started: {exc.strerror}") from exc
        if code:
            raise ScriptFailed(f"its {word} script ended with exit code {code}")

    def _note(
        self, package: PackageFile, status: PackageStatus, reason: str, previous: InstalledPackage | None
    ) -> None:
        is_same = previous is not None and previous.version == package.version
        healthy_ms = now_ms() if status is PackageStatus.RUNNING else 0
        self.index.put(
            InstalledPackage(
                name=package.name,
                version=package.version,
                status=status,
                reason=reason[:_REASON_CHARACTERS],
                changed_ms=now_ms(),
                first_healthy_ms=(previous.first_healthy_ms if previous and is_same else 0) or healthy_ms,
                last_healthy_ms=healthy_ms or (previous.last_healthy_ms if previous and is_same else 0),
                requires=tuple(package.requires.packages),
            )
        )

    def _folder(self, name: str, version: str) -> Path:
        return self.index.folder / name / version

    @staticmethod
    def _package_in(folder: Path, present: InstalledPackage) -> PackageFile:
        """The package as it was installed; without its folder, one that has no scripts."""
        statement = Statement(name=present.name, version=present.version, os=ANY, arch=ANY, sha256="", size=0)
        try:
            return read_package_file(folder, statement)
        except Refused:
            return msgspec.convert({"name": present.name, "version": present.version}, PackageFile)


def _command(script: Path) -> list[str]:
    if script.suffix == ".ps1":
        return ["powershell.exe", "-NoProfile", "-ExecutionPolicy", "Bypass", "-File", str(script)]
    return [str(script)] if os.name == "nt" or os.access(script, os.X_OK) else ["/bin/sh", str(script)]


def _is_there(package: InstalledPackage) -> bool:
    return package.status is not PackageStatus.REMOVED
