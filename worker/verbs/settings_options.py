"""What the verbs that read the agent's settings share: where these are, and how a wrong one is told."""

import sys
from typing import TYPE_CHECKING

import click

from ...broker_config.programs.command_line import filled
from ..exit_codes import EXIT_USAGE

if TYPE_CHECKING:
    from ...broker_config.settings_table import Settings

home_option = click.option("--home", metavar="FOLDER", callback=filled, help="Folder for the agent's state.")


def settings_of(*, config: str, home: str | None = None) -> "Settings":
    """The settings of this machine's agent; one that is wrong is told, and ends the program."""
    from ...broker_config import settings  # lazy: help does without it
    from ...broker_config.errors import SettingsInvalid  # lazy: help does without it

    try:
        return settings.load({"home": home} if home else {}, config=config).settings
    except SettingsInvalid as exc:
        click.echo(f"assist-agent: {exc}", err=True)
        sys.exit(EXIT_USAGE)
