"""``assist-agent status``: what the agent of this machine does."""

import sys
from pathlib import Path

import click

from ...broker_config.command_line import filled


@click.command(epilog="Example: assist-agent status --output json")
@click.option("--config", default="", metavar="FILE", callback=filled, help="Settings file (TOML).")
@click.option("--home", metavar="FOLDER", callback=filled, help="Folder for the agent's state.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", help="Output format.")
def verb(config: str, home: str | None, output: str) -> None:
    """Tell whether this machine's agent is running, and what it has not delivered yet.

    Exit codes: 0 it is running; 2 a setting is wrong; 4 this user may not look; 5 it is not running.
    """
    from ...broker_config import settings  # lazy: help does without it
    from ...broker_config.errors import SettingsInvalid  # lazy: help does without it
    from ..status import read_status, render  # lazy: help does without it

    try:
        loaded = settings.load({"home": home} if home else {}, config=config).settings
    except SettingsInvalid as exc:
        click.echo(f"assist-agent: {exc}", err=True)
        sys.exit(2)
    try:
        found = read_status(Path(loaded.home))
    except PermissionError:
        click.echo(f"assist-agent: {loaded.home} may not be read by this user; run this as the agent's user", err=True)
        sys.exit(4)
    click.echo(render(found, as_json=output == "json"))
    sys.exit(0 if found.is_running else 5)
