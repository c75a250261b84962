"""``assist-agent package``: what a script of `assist package` hands over to. Not for people."""

import sys
from pathlib import Path

import click

from ..exit_codes import EXIT_REFUSED


@click.command(hidden=True)
@click.option("--home", required=True, type=click.Path(path_type=Path))
@click.option("--order", "text", required=True)
def verb(home: Path, text: str) -> None:
    """Do what an order about a package says. Exit code 1: a script of the package failed; 4: refused."""
    from ...broker_config.errors import CloudAssistantError  # lazy: help does without it
    from ...broker_config.releases.package_order import decode_package_order  # lazy: help does without it
    from ..packages.agent_notes import read_notes  # lazy: help does without it
    from ..packages.package_work import PackageWork  # lazy: help does without it

    notes = read_notes(home)
    if notes is None:
        click.echo(f"assist-agent: no agent ever ran with home {home}", err=True)
        sys.exit(EXIT_REFUSED)
    try:
        sys.exit(PackageWork(home=home, notes=notes, say=click.echo).obey(decode_package_order(text)))
    except CloudAssistantError as exc:
        click.echo(f"assist-agent: {exc} ({exc.code})", err=True)
    except OSError as exc:
        click.echo(f"assist-agent: {exc.filename or home}: {exc.strerror}", err=True)
    sys.exit(EXIT_REFUSED)
