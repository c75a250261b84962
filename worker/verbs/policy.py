"""``assist-agent policy``: what the owner of this machine allows."""

import sys

import click
import msgspec

from ...broker_config.programs.command_line import config_option, filled
from ..exit_codes import EXIT_USAGE
from ..policy.local_policy import explain
from ..policy.policy_file import PolicyInForce, read_policy
from .settings_options import settings_of


@click.group("policy", epilog="Example: assist-agent policy check agent.toml")
def verb() -> None:
    """Show the local policy of this machine, or check a file before it becomes one.

    The policy is a file (agent.policy_file, else /etc/cloud-assistant/agent.toml) that only root can write. What it
    forbids is refused whatever the control side sends; a changed file counts at once.
    """


_output = click.option("--output", type=click.Choice(["text", "json"]), default="text", help="Output format.")


@verb.command("show", epilog="Example: assist-agent policy show --output json")
@config_option
@_output
def show(config: str, output: str) -> None:
    """Say what is in force on this machine. Exit code 2: the file cannot be used, so nothing runs."""
    path = settings_of(config=config).agent.policy_file
    _print(path, read_policy(path), output, invalid="NOTHING RUNS HERE")


@verb.command("check", epilog="Example: assist-agent policy check /etc/cloud-assistant/agent.toml")
@click.argument("file", callback=filled)
@_output
def check(file: str, output: str) -> None:
    """Read FILE as the agent would, owner and permissions included. Exit code 2: the agent would not use it."""
    _print(file, read_policy(file), output, invalid="an agent that is to use it runs nothing")


def _print(path: str, found: PolicyInForce, output: str, *, invalid: str) -> None:
    lines = explain(found.policy) if found.policy is not None else []
    if output == "json":
        shown = {"File": path, "InForce": found.policy is not None, "Problem": found.problem, "Rules": lines}
        click.echo(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())
    elif found.problem:
        click.echo(f"{invalid}: {found.problem}")
    elif found.policy is None:
        click.echo(f"no local policy: there is no file {path}")
    else:
        click.echo("\n".join([f"local policy {path}:", *(f"  {line}" for line in lines)]))
    sys.exit(EXIT_USAGE if found.problem else 0)
