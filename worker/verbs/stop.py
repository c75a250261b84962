"""``assist-agent stop``: tell the machine's service manager."""

import click

from ..service.installing import control
from .service_options import chosen, say, system_option, telling


@click.command(epilog="Example: assist-agent stop")
@system_option
def verb(name: str | None) -> None:
    """Stop the service of the agent; running scripts go on, and their results wait for the next start."""
    telling(lambda: control(chosen(name).stop, say))
