"""``assist-agent uninstall``: the service goes, the agent's state stays."""

from pathlib import Path

import click

from ..service.installing import uninstall
from .service_options import chosen, plan_of, root_option, say, system_option, telling


@click.command(epilog="Example: assist-agent uninstall")
@system_option
@root_option
def verb(name: str | None, root: Path) -> None:
    """Stop the agent and remove its service; settings, keys and undelivered results stay, running scripts go on."""
    plan = plan_of(program=None, config=None, home=None, log_folder=None)
    telling(lambda: uninstall(chosen(name, root), plan, root, say))
