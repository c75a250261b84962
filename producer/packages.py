"""Install, update, remove and check packages on instances, and tell what is on them."""

from collections.abc import Mapping, Sequence

import msgspec

from ..broker_config.errors import RequestInvalid
from ..broker_config.releases.package_order import (
    HOME_VARIABLE,
    PROGRAM_VARIABLE,
    PackageAction,
    PackageOrder,
    encode_package_order,
)
from ..broker_config.releases.package_report import REPORT_FIELD, InstalledPackage, PackageStatus, decode_report
from ..broker_config.releases.publisher_signing import AGENT_NAME, system_of
from .api import Assistant
from .file_store.catalogue import LATEST, Catalogue
from .fleet import instances
from .fleet.instances import StoredInstance
from .fleet.targets import Targets, resolve
from .invocations.invoked import Invoked
from .invocations.invoking import RunOptions

#: Installing takes longer than most scripts.
TIMEOUT_SECONDS = 600


class PackageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to do with a package."""

    action: PackageAction
    name: str
    version: str = LATEST
    force: bool = False
    timeout_seconds: int = TIMEOUT_SECONDS
    #: How long an instance that is offline has to come back; 0 is limits.deliver_within_seconds.
    deliver_within_seconds: int = 0
    #: How many instances do it at the same time, and how many failures end it, of each kind of machine.
    at_once: str = ""
    stop_at: str = ""

    @property
    def options(self) -> RunOptions:
        """As what is asked for of an ordinary invocation."""
        return RunOptions(
            timeout_seconds=self.timeout_seconds,
            deliver_within_seconds=self.deliver_within_seconds,
            at_once=self.at_once,
            stop_at=self.stop_at,
        )


class InstancePackages(msgspec.Struct, frozen=True):
    """What one instance says of its packages."""

    instance_id: str
    connected: bool
    packages: Sequence[InstalledPackage]


class Packages:
    """The packages of one installation."""

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant
        self._catalogue = Catalogue(assistant.redis)

    def run(self, request: PackageRequest, targets: Targets) -> list[Invoked]:
        """Have instances do it, as ordinary executions; one invocation for each kind of machine.

        Raises:
            NotFound: the package was not published for one of the instances. RequestInvalid: the name is the agent's,
            or how many at once makes no sense.
        """
        if request.name == AGENT_NAME:
            raise RequestInvalid(
                "the agent upgrades itself; use `assist agent-version rollout`", code="InvalidPluginName.NotFound"
            )
        chosen = resolve(self._assistant.redis, targets, self._assistant.settings.limits)
        found = instances.load_all(self._assistant.redis, chosen)
        groups: dict[tuple[str, bool], list[str]] = {}
        for name, stored in zip(chosen, found, strict=True):
            if stored is None:
                raise instances.not_registered(name)
            groups.setdefault((self._signature(request, stored), _is_windows(stored)), []).append(name)
        return [self._dispatch(request, *kind, ids) for kind, ids in groups.items()]

    def status(self, instance_ids: Sequence[str], name: str = "") -> list[InstancePackages]:
        """What instances say of all their packages, or of one.

        Raises:
            NotFound: an instance is not registered.
        """
        answered = []
        for instance_id, stored in zip(
            instance_ids, instances.load_all(self._assistant.redis, instance_ids), strict=True
        ):
            if stored is None:
                raise instances.not_registered(instance_id)
            packages = [one for one in _reported(stored) if name in ("", one.name)]
            if name and not packages:
                status = PackageStatus.NOT_INSTALLED if stored.connected else PackageStatus.UNKNOWN
                packages = [InstalledPackage(name=name, version="", status=status)]
            answered.append(InstancePackages(instance_id, stored.connected, packages))
        return answered

    def is_known(self, name: str) -> bool:
        """Whether a package of this name was published."""
        return bool(self._catalogue.list(name))

    def _signature(self, request: PackageRequest, stored: StoredInstance) -> str:
        if request.action not in (PackageAction.INSTALL, PackageAction.UPDATE):
            return ""
        report: Mapping[str, str] = stored.report
        system, arch = system_of(report.get("os_type") or "Linux", report.get("arch", ""))
        return self._catalogue.find(request.name, request.version, os=system, arch=arch).signed.text

    def _dispatch(
        self, request: PackageRequest, signature: str, is_windows: bool, instance_ids: Sequence[str]
    ) -> Invoked:
        order = PackageOrder(
            action=request.action,
            name=request.name,
            signature=signature,
            url=self._assistant.agent_versions.download_url() if signature else "",
            force=request.force,
        )
        return self._assistant.run_command(
            _script(encode_package_order(order), is_windows=is_windows),
            Targets(instance_ids=tuple(instance_ids)),
            request.options,
            type="RunPowerShellScript" if is_windows else "RunShellScript",
            name=f"package {request.action} {request.name}"[:128],
        )


def _script(order: str, *, is_windows: bool) -> str:
    if is_windows:
        call = f"& $env:{PROGRAM_VARIABLE} package --home $env:{HOME_VARIABLE} --order '{order}'"
        return f"{call}\r\nexit $LASTEXITCODE\r\n"
    program = f'"${{{PROGRAM_VARIABLE}:?this agent knows no packages; upgrade it}}"'
    return f"#!/bin/sh\nexec {program} package --home \"${HOME_VARIABLE}\" --order '{order}'\n"


def _reported(stored: StoredInstance) -> list[InstalledPackage]:
    return sorted(decode_report(stored.report.get(REPORT_FIELD, "")), key=lambda one: one.name)


def _is_windows(stored: StoredInstance) -> bool:
    return stored.report.get("os_type", "").lower() == "windows"
