"""Put the agent's service on a machine, or into an image of one, and take it away again."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from ...broker_config.errors import Refused
from ...broker_config.files.private_file import make_private_folder
from .catalogue import ServiceSystem
from .commands import Order, Say, run
from .plan import ServicePlan


def install(system: ServiceSystem, plan: ServicePlan, root: Path, say: Say) -> None:
    """Write the files and have the service start with the machine; where it runs, nothing is disturbed.

    With another root than ``/`` nothing is executed: the links that a live machine's commands would make are made.

    Raises:
        Refused: no right to write there, or the service manager does not want it.
    """
    packaged = _packaged(system, root)
    if packaged and not plan.is_default:
        say(f"the package's own file is left aside for what was asked for: {root / packaged}")
        packaged = None
    if packaged:
        # What was asked for before would come first.
        _remove([root / file.path for file in system.files(plan)], say)
        say(f"the package's own file is used: {root / packaged}")
    for file in system.files(plan) if packaged is None else ():
        _write(root / file.path, file.text, file.mode)
        say(f"wrote {root / file.path}")
    for folder in (plan.home, plan.log_folder, str(Path(plan.config).parent)):
        _make_folder(root / folder.lstrip("/"))
    if root == Path("/") and (commands := system.enabling()):
        for command in commands:
            run(command, say)
        return
    for path, target in system.links.items():
        _link(root / path, f"/{packaged}" if packaged else target)
        say(f"linked {root / path}")


def uninstall(system: ServiceSystem, plan: ServicePlan, root: Path, say: Say) -> None:
    """Stop the agent, and remove what ``install`` wrote; settings, keys, results and scripts that run stay.

    Raises:
        Refused: no right to do so, or the service manager does not obey.
    """
    files = [root / file.path for file in system.files(plan)]
    packaged = _packaged(system, root)
    ours = [*files, *(root / link for link in system.links)]
    if not packaged and not any(path.exists() or path.is_symlink() for path in ours):
        say(f"there is no service of the agent for {system.name} here")
    if root == Path("/") and (packaged or any(path.exists() for path in files)):
        control(system.stop, say)
        for command in system.disabling():
            run(command, say)
    _remove(ours, say)
    if packaged:
        say(f"{root / packaged} stays: it goes with the package")
    if root == Path("/") and system.name == "systemd":
        run(("systemctl", "daemon-reload"), say)


def control(order: Order, say: Say) -> None:
    """Tell the service manager to start, stop or restart the agent.

    Raises:
        Refused: it did not; the text has what it said.
    """
    if callable(order):
        order(say)
    else:
        run(order, say)


def _packaged(system: ServiceSystem, root: Path) -> str | None:
    """The file that a package brought for this service manager."""
    return next((path for path in system.packaged if (root / path).exists()), None)


def _write(path: Path, text: str, mode: int) -> None:
    """Write a file in one step, so that a service manager never reads half of it, even after a power failure."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.chmod(mode)
        fresh.replace(path)
    except OSError as exc:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise _not_written(path, exc) from exc


def _remove(paths: Iterable[Path], say: Say) -> None:
    for path in paths:
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        except OSError as exc:
            raise _not_written(path, exc) from exc
        say(f"removed {path}")


def _make_folder(path: Path) -> None:
    if path.is_dir():
        return
    try:
        make_private_folder(path)
    except OSError as exc:
        raise _not_written(path, exc) from exc


def _link(path: Path, target: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)
    except OSError as exc:
        raise _not_written(path, exc) from exc


def _not_written(path: Path, exc: OSError) -> Refused:
    rights = "; run it as root" if hasattr(os, "geteuid") and os.geteuid() != 0 else ""
    return Refused(f"{path}: {exc.strerror}{rights}", code="FileNotWritten")
