"""``assist-agent run``: the agent in the foreground."""

import sys
from typing import Any

import click

from ...broker_config.programs.command_line import config_option, filled
from .settings_options import home_option


@click.command(epilog="Example: assist-agent run --instance-id i-web1 --redis-url redis://10.0.0.5:6379/0")
@config_option
@click.option("--instance-id", metavar="ID", callback=filled, help="The id of this instance, i-… or mi-….")
@click.option("--redis-url", metavar="URL", callback=filled, help="Where Redis is.")
@home_option
@click.option("--slots", type=click.IntRange(1, 1000), help="How many scripts run at once.")
@click.option("--debug", is_flag=True, help="Log every step.")
def verb(config: str, debug: bool, **given: Any) -> None:
    """Run the agent in the foreground until SIGTERM or Ctrl-C; scripts that are running then go on.

    Exit codes: 0 ended as asked; 2 a setting is wrong; 4 another agent has this home or this instance id; 75 start me
    again.
    """
    from ..program import run as run_program  # lazy: help does without it

    names = {"instance_id": "instance_id", "redis_url": "redis_url", "home": "home", "slots": "agent.slots"}
    overrides = {names[name]: value for name, value in given.items() if value is not None}
    # As they were given, for the one that takes this agent's place in an upgrade.
    words = {"config": config, **given}
    arguments = [f"--{name.replace('_', '-')}={value}" for name, value in words.items() if value]
    arguments += ["--debug"] if debug else []
    sys.exit(run_program(overrides, config=config, debug=debug, arguments=arguments))
