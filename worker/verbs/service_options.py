"""What the verbs about the service share: which service manager, which plan, and how a refusal is told."""

import sys
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

import click

from ...broker_config.errors import Refused
from ...broker_config.files.system_folders import LOG_FOLDER, SETTINGS_FILE, STATE_FOLDER
from ..exit_codes import EXIT_REFUSED
from ..service.catalogue import SYSTEMS, ServiceSystem, detect
from ..service.plan import ServicePlan, own_program

system_option = click.option(
    "--system", "name", type=click.Choice(sorted(SYSTEMS)), help="The service manager; default is the one found here."
)
root_option = click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("/"),
    help="Work in an image of a machine at this folder; nothing is started.",
)


def plan_of(
    *, program: str | None, config: str | None, home: str | None, log_folder: str | None, harden: bool = False
) -> ServicePlan:
    """The plan that the options ask for; a service manager starts elsewhere, so no path in it is relative."""
    return ServicePlan(
        program=_absolute(program) or own_program(),
        config=_absolute(config) or SETTINGS_FILE,
        home=_absolute(home) or STATE_FOLDER,
        log_folder=_absolute(log_folder) or LOG_FOLDER,
        is_hardened=harden,
    )


def _absolute(path: str | None) -> str:
    # A plan for Windows may be printed elsewhere.
    if not path or PureWindowsPath(path).is_absolute():
        return path or ""
    return str(Path(path).absolute())


def chosen(name: str | None, root: Path = Path("/")) -> ServiceSystem:
    """The service manager that is named, else the one of the machine.

    Raises:
        Refused: none is named, and the machine has none that we know.
    """
    found = SYSTEMS[name] if name else detect(root)
    if found is None:
        raise Refused(
            f"no service manager that we know is at {root}; name one with --system ({', '.join(sorted(SYSTEMS))}), or"
            " run `assist-agent run` under what this machine has",
            code="NoServiceManager",
        )
    return found


def telling(action: Callable[[], None]) -> None:
    """Do it, or say why not and end with exit code 4."""
    try:
        action()
    except Refused as exc:
        click.echo(f"assist-agent: {exc}", err=True)
        sys.exit(EXIT_REFUSED)


def say(text: str) -> None:
    """Tell what was done; results are on standard output, this is talk."""
    click.echo(text, err=True)
