"""``assist-agent doctor``: why is this agent not online?"""

import sys

import click

from ...broker_config.programs.command_line import filled
from .settings_options import home_option, settings_of


@click.command(epilog="Example: assist-agent doctor --config /etc/cloud-assistant/config.toml --output json")
@click.option("--config", default="", metavar="FILE", callback=filled, help="Settings file (TOML) of the agent.")
@home_option
@click.option("--output", type=click.Choice(["text", "json"]), default="text", help="Output format.")
def verb(config: str, home: str | None, output: str) -> None:
    """Look at everything between this machine and its work, and say what is wrong and how to fix it.

    It changes nothing, here or in Redis. Run it as the user of the agent. Exit codes: 0 nothing fails; 2 a setting is
    wrong; 3 Redis cannot be reached; 4 something else fails.
    """
    from ...broker_config.programs.findings import as_json, as_text, exit_code  # lazy: help does without it
    from ..doctor.examination import WAY_TO_REDIS, examine  # lazy: help does without it

    findings = []
    for finding in examine(settings_of(config=config, home=home)):
        findings.append(finding)
        if output == "text":
            click.echo(as_text(finding))
    if output == "json":
        click.echo(as_json(findings))
    sys.exit(exit_code(findings, WAY_TO_REDIS))
