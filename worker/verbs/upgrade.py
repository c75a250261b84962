"""``assist-agent upgrade``: another version, by hand and on trial."""

import sys
from pathlib import Path

import click

from ...broker_config.programs.command_line import config_option
from ..exit_codes import EXIT_REFUSED
from .settings_options import home_option

_LONGEST_PROBATION_SECONDS = 86_400


@click.command(
    epilog="Examples: assist-agent upgrade --version latest;"
    " assist-agent upgrade --file cloud-assistant-agent-1.2.0-linux-x86_64.tar.gz"
)
@click.option(
    "--version", "version", default="", metavar="VERSION", help="The version to fetch from the gateway, or `latest`."
)
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Use this archive; FILE.sig must lie beside it.",
)
@click.option(
    "--probation",
    default=180.0,
    show_default=True,
    type=float,
    metavar="SECONDS",
    help="How long it has to show that it works.",
)
@config_option
@home_option
def verb(version: str, file: Path | None, probation: float, config: str, home: str | None) -> None:
    """Install another version beside this one and try it; running scripts go on.

    A publisher whose key is in agent.publishers_folder must have signed it. The running agent begins the trial with its
    next heartbeat; if the new version does not heartbeat, take work and report a result in time, the old one runs again
    by itself. If no agent is running, the next start is of the new version, without a trial.
    """
    from ...broker_config import settings  # lazy: help does without it
    from ...broker_config.errors import CloudAssistantError  # lazy: help does without it
    from ...broker_config.programs import program_log  # lazy: help does without it
    from ..upgrade.by_hand import upgrade_by_hand  # lazy: help does without it

    if bool(version) == (file is not None):
        raise click.UsageError("give either --version or --file")
    # In this order "nan", which is neither, is refused as well.
    if not 1 <= probation <= _LONGEST_PROBATION_SECONDS:
        raise click.UsageError(f"--probation takes 1 to {_LONGEST_PROBATION_SECONDS} seconds")
    program_log.set_up()
    try:
        loaded = settings.load({"home": home} if home else {}, config=config).settings
        click.echo(upgrade_by_hand(loaded, version=version, file=file, probation_seconds=probation))
    except CloudAssistantError as exc:
        click.echo(f"assist-agent: {exc} ({exc.code})", err=True)
        sys.exit(EXIT_REFUSED)
    except OSError as exc:
        click.echo(f"assist-agent: {exc.filename or loaded.agent.install_folder}: {exc.strerror}", err=True)
        sys.exit(EXIT_REFUSED)
