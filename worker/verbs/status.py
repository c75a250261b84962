"""``assist-agent status``: what the agent of this machine does."""

import sys
from pathlib import Path

import click

from ...broker_config.programs.command_line import config_option
from ..exit_codes import EXIT_NOT_RUNNING, EXIT_REFUSED
from .settings_options import home_option, settings_of


@click.command(epilog="Example: assist-agent status --output json")
@config_option
@home_option
@click.option("--output", type=click.Choice(["text", "json"]), default="text", help="Output format.")
def verb(config: str, home: str | None, output: str) -> None:
    """Tell whether this machine's agent is running, and what it has not delivered yet.

    Exit codes: 0 it is running; 2 a setting is wrong; 4 this user may not look; 5 it is not running.
    """
    from ..status import read_status, render  # lazy: help does without it

    folder = settings_of(config=config, home=home).home
    try:
        found = read_status(Path(folder))
    except PermissionError:
        click.echo(f"assist-agent: {folder} may not be read by this user; run this as the agent's user", err=True)
        sys.exit(EXIT_REFUSED)
    click.echo(render(found, as_json=output == "json"))
    sys.exit(0 if found.is_running else EXIT_NOT_RUNNING)
