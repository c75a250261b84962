"""Every service manager we know: its files, its commands, and how to tell that a machine has it."""

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from . import launchd, systemd, upstart, windows
from .commands import Order, attempt, unless
from .plan import SERVICE_NAME, ServicePlan, template

_FREEBSD_NAME = "cloud_assistant_agent"
_INIT_SCRIPT = f"etc/init.d/{SERVICE_NAME}"


@dataclass(frozen=True)
class ServiceFile:
    """A file that a service manager reads; the path is below the machine's root."""

    path: str
    text: str
    mode: int = 0o644


@dataclass(frozen=True)
class LinkKeeper:
    """A program of some distributions that keeps the links of init scripts; ours would be doubles of its own."""

    name: str
    enable: tuple[str, ...]
    disable: tuple[str, ...]

    def program(self) -> str | None:
        """Where it is on this machine; an administrator's ``PATH`` may leave such folders out."""
        return shutil.which(self.name, path="/usr/sbin:/sbin:/usr/bin:/bin")


@dataclass(frozen=True, kw_only=True)
class ServiceSystem:
    """One service manager."""

    name: str
    files: Callable[[ServicePlan], list[ServiceFile]]
    #: Tells whether a machine with this root has it.
    is_present: Callable[[Path], bool]
    #: Links that start it with the machine: path below the root → target. For images; a live machine runs ``enable``.
    links: dict[str, str] = field(default_factory=dict)
    #: Who is asked for these links on a live machine: the first that it has.
    link_keepers: tuple[LinkKeeper, ...] = ()
    #: Where a package puts the same files; then they are not written a second time.
    packaged: tuple[str, ...] = ()
    enable: tuple[tuple[str, ...], ...] = ()
    disable: tuple[tuple[str, ...], ...] = ()
    start: Order
    stop: Order
    restart: Order

    def enabling(self) -> tuple[tuple[str, ...], ...]:
        """What has it start with this machine; nothing where the links alone do."""
        return self.enable or tuple((program, *one.enable) for program, one in self._keeper())

    def disabling(self) -> tuple[tuple[str, ...], ...]:
        """What takes that back."""
        return self.disable or tuple((program, *one.disable) for program, one in self._keeper())

    def _keeper(self) -> list[tuple[str, LinkKeeper]]:
        return [(program, one) for one in self.link_keepers if (program := one.program())][:1]


def _running(root: Path, *, live: str, installed: tuple[str, ...]) -> bool:
    """On the machine itself ask for what runs, in an image for what is installed."""
    if root == Path("/"):
        return Path(live).exists()
    return any((root / path).exists() for path in installed)


def _powershell(command: str) -> tuple[str, ...]:
    return ("powershell.exe", "-NoProfile", "-ExecutionPolicy", "Bypass", "-Command", command)


def _systemd_files(plan: ServicePlan) -> list[ServiceFile]:
    return [ServiceFile(systemd.UNIT_FILE, systemd.unit(plan))]


def _sysv_files(plan: ServicePlan) -> list[ServiceFile]:
    return [ServiceFile(_INIT_SCRIPT, plan.fill(template("sysv.sh")), 0o755)]


def _openrc_files(plan: ServicePlan) -> list[ServiceFile]:
    return [ServiceFile(_INIT_SCRIPT, plan.fill(template("openrc.sh")), 0o755)]


def _freebsd_files(plan: ServicePlan) -> list[ServiceFile]:
    return [
        ServiceFile(f"usr/local/etc/rc.d/{_FREEBSD_NAME}", plan.fill(template("freebsd.sh")), 0o755),
        ServiceFile(f"etc/rc.conf.d/{_FREEBSD_NAME}", f'{_FREEBSD_NAME}_enable="YES"\n'),
    ]


def _runs_on_freebsd() -> bool:
    return attempt(("service", _FREEBSD_NAME, "status")).exit_code == 0


_SYSV_LINKS = {f"etc/rc{level}.d/S95{SERVICE_NAME}": f"../init.d/{SERVICE_NAME}" for level in "2345"} | {
    f"etc/rc{level}.d/K05{SERVICE_NAME}": f"../init.d/{SERVICE_NAME}" for level in "016"
}

#: In the order in which they are looked for: the first that a machine has is the one.
SYSTEMS: dict[str, ServiceSystem] = {
    one.name: one
    for one in (
        ServiceSystem(
            name="windows",
            files=lambda plan: [ServiceFile(windows.SCRIPT_FILE, windows.install_script(plan))],
            is_present=lambda _: sys.platform == "win32",
            enable=(_powershell(f"& '{windows.SCRIPT_FILE}'"),),
            disable=(("schtasks.exe", "/Delete", "/F", "/TN", SERVICE_NAME),),
            start=("schtasks.exe", "/Run", "/TN", SERVICE_NAME),
            stop=("schtasks.exe", "/End", "/TN", SERVICE_NAME),
            restart=_powershell(f"Stop-ScheduledTask {SERVICE_NAME}; Start-ScheduledTask {SERVICE_NAME}"),
        ),
        ServiceSystem(
            name="launchd",
            files=lambda plan: [ServiceFile(launchd.PROPERTY_LIST, launchd.property_list(plan))],
            is_present=lambda root: (root / "bin/launchctl").exists(),
            # Its property list is enough for the start with the machine.
            start=launchd.start,
            stop=launchd.stop,
            restart=launchd.restart,
        ),
        ServiceSystem(
            name="freebsd",
            files=_freebsd_files,
            is_present=lambda root: (root / "etc/rc.subr").exists(),
            start=unless(_runs_on_freebsd, "rc.d runs it already", ("service", _FREEBSD_NAME, "start")),
            stop=unless(lambda: not _runs_on_freebsd(), "rc.d does not run it", ("service", _FREEBSD_NAME, "stop")),
            restart=("service", _FREEBSD_NAME, "restart"),
        ),
        ServiceSystem(
            name="systemd",
            files=_systemd_files,
            is_present=lambda root: _running(
                root, live="/run/systemd/system", installed=("lib/systemd/systemd", "usr/lib/systemd/systemd")
            ),
            packaged=systemd.PACKAGED_UNITS,
            links={systemd.WANTS_LINK: f"/{systemd.UNIT_FILE}"},
            enable=(("systemctl", "daemon-reload"), ("systemctl", "enable", SERVICE_NAME)),
            disable=(("systemctl", "disable", SERVICE_NAME),),
            start=("systemctl", "start", SERVICE_NAME),
            stop=("systemctl", "stop", SERVICE_NAME),
            restart=("systemctl", "restart", SERVICE_NAME),
        ),
        ServiceSystem(
            name="openrc",
            files=_openrc_files,
            is_present=lambda root: (root / "sbin/openrc-run").exists(),
            links={f"etc/runlevels/default/{SERVICE_NAME}": f"/{_INIT_SCRIPT}"},
            enable=(("rc-update", "add", SERVICE_NAME, "default"),),
            disable=(("rc-update", "delete", SERVICE_NAME),),
            start=("rc-service", SERVICE_NAME, "start"),
            stop=("rc-service", SERVICE_NAME, "stop"),
            restart=("rc-service", SERVICE_NAME, "restart"),
        ),
        ServiceSystem(
            name="upstart",
            files=lambda plan: [ServiceFile(f"etc/init/{SERVICE_NAME}.conf", upstart.configuration(plan))],
            is_present=lambda root: (root / "sbin/initctl").exists() and (root / "etc/init").is_dir(),
            start=upstart.start,
            stop=upstart.stop,
            restart=upstart.restart,
        ),
        ServiceSystem(
            name="sysv",
            files=_sysv_files,
            is_present=lambda root: (root / "etc/init.d").is_dir(),
            links=_SYSV_LINKS,
            link_keepers=(
                LinkKeeper("update-rc.d", (SERVICE_NAME, "defaults"), ("-f", SERVICE_NAME, "remove")),
                LinkKeeper("chkconfig", ("--add", SERVICE_NAME), ("--del", SERVICE_NAME)),
            ),
            start=(f"/{_INIT_SCRIPT}", "start"),
            stop=(f"/{_INIT_SCRIPT}", "stop"),
            restart=(f"/{_INIT_SCRIPT}", "restart"),
        ),
    )
}


def detect(root: Path = Path("/")) -> ServiceSystem | None:
    """Find the service manager of the machine with this root; ``None`` when it has none that we know."""
    return next((one for one in SYSTEMS.values() if one.is_present(root)), None)
