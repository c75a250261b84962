"""The command line of the agent. Only what a verb needs is imported, so that ``--help`` is quick."""

from typing import NamedTuple

import click

from ..broker_config.programs.command_line import Program, version_option


class Row(NamedTuple):
    """In which module of ``verbs`` a verb lives (as ``verb``), and its line in the help."""

    module: str
    help: str


#: One row a verb, in the order of the help. To add one, add a row.
VERBS: dict[str, Row] = {
    "register": Row("register", "Make this machine an instance, with an activation code."),
    "run": Row("run", "Run the agent in the foreground."),
    "status": Row("status", "Tell whether this machine's agent is running."),
    "policy": Row("policy", "Show or check the local policy of this machine."),
    "upgrade": Row("upgrade", "Install another version of the agent and try it."),
    "doctor": Row("doctor", "Say why this agent is not online, and how to fix it."),
    "install": Row("install", "Make the agent a service of this machine."),
    "uninstall": Row("uninstall", "Remove the service; state and settings stay."),
    "start": Row("start", "Start the service."),
    "stop": Row("stop", "Stop the service; running scripts go on."),
    "restart": Row("restart", "Restart the service; running scripts go on."),
}
#: Verbs that programs of ours call; the help does not show them.
HIDDEN = {"supervise-version": "supervise_version", "package": "package"}


class VerbGroup(Program, click.Group):
    """Finds a verb through the table; the help is there without importing any."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one verb."""
        row = VERBS.get(cmd_name)
        module = row.module if row is not None else HIDDEN.get(cmd_name)
        if module is None:
            return None
        from importlib import import_module  # lazy: the help needs it not

        command = import_module(f".verbs.{module}", __package__).verb
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs from the table."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, row.help) for name, row in VERBS.items()])


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"]})
@version_option("assist-agent")
def main() -> None:
    """Run commands of Cloud Assistant on this machine.

    Settings come from the command line, then the environment (CLOUD_ASSISTANT_…), then a TOML file.
    """
