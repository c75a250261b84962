"""The command line of the agent. Only what a verb needs is imported, so that ``--help`` is quick."""

import sys
from pathlib import Path
from typing import Any

import click


def _version(context: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from importlib.metadata import version  # lazy: 20 ms that only this option needs

        click.echo(f"assist-agent {version('cloud-assistant')}")
        context.exit()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-V", "--version", is_flag=True, callback=_version, expose_value=False, is_eager=True, help="Show it.")
def main() -> None:
    """Run commands of Cloud Assistant on this machine.

    Settings come from the command line, the environment (CLOUD_ASSISTANT_…), a TOML file, in this order.
    """


@main.command(epilog="Example: assist-agent run --instance-id i-web1 --redis-url redis://10.0.0.5:6379/0")
@click.option("--config", default="", metavar="FILE", help="Settings file (TOML).")
@click.option("--instance-id", metavar="ID", help="The id of this instance, i-… or mi-….")
@click.option("--redis-url", metavar="URL", help="Where Redis is.")
@click.option("--home", metavar="FOLDER", help="Folder for the agent's state.")
@click.option("--slots", type=click.IntRange(1, 1000), help="Scripts that run at once.")
@click.option("--debug", is_flag=True, help="Log every step.")
def run(config: str, debug: bool, **given: Any) -> None:
    """Run the agent in the foreground until SIGTERM or Ctrl-C; scripts that run then go on.

    Exit codes: 0 ended as asked; 2 a setting is wrong; 4 another agent has this home or this instance id;
    75 start me again.
    """
    from .program import run as run_program  # lazy: the other verbs do not need it

    names = {"instance_id": "instance_id", "redis_url": "redis_url", "home": "home", "slots": "agent.slots"}
    overrides = {names[name]: value for name, value in given.items() if value is not None}
    sys.exit(run_program(overrides, config=config, debug=debug))


@main.command(epilog="Example: assist-agent status --output json")
@click.option("--config", default="", metavar="FILE", help="Settings file (TOML).")
@click.option("--home", metavar="FOLDER", help="Folder for the agent's state.")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", help="How to print.")
def status(config: str, home: str | None, output: str) -> None:
    """Tell whether the agent of this machine runs, and what it has not delivered yet. Exit code 5: it does not run."""
    from ..broker_config import settings  # lazy: help does without it
    from ..broker_config.errors import SettingsInvalid  # lazy: help does without it
    from .status import read_status, render  # lazy: help does without it

    try:
        loaded = settings.load({"home": home} if home else {}, config=config).settings
    except SettingsInvalid as exc:
        click.echo(f"assist-agent: {exc}", err=True)
        sys.exit(2)
    found = read_status(Path(loaded.home))
    click.echo(render(found, as_json=output == "json"))
    sys.exit(0 if found.is_running else 5)
