"""``assist-agent start``: tell the machine's service manager."""

import click

from ..service.installing import control
from .service_options import chosen, say, system_option, telling


@click.command(epilog="Example: assist-agent start")
@system_option
def verb(name: str | None) -> None:
    """Start the service of the agent."""
    telling(lambda: control(chosen(name).start, say))
