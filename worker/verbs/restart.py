"""``assist-agent restart``: tell the machine's service manager."""

import click

from ..service.installing import control
from .service_options import chosen, say, system_option, telling


@click.command(epilog="Example: assist-agent restart")
@system_option
def verb(name: str | None) -> None:
    """Restart the service of the agent; running scripts go on and are taken up again."""
    telling(lambda: control(chosen(name).restart, say))
