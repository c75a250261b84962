"""Which commands there are: one row each, read without importing any of them.

To add one, add a row; the module is imported when the command is called or asked for its own help.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """Where a command lives (``module:attribute``, relative to this package) and its line in the help."""

    target: str
    help: str


ROWS: dict[str, Row] = {
    "run": Row(".run:run", "Run a script on instances and show what came of it."),
    "invoke": Row(".invocation_create:invoke", "Invoke a stored command; the same as `invocation create`."),
    "command": Row(".command:group", "Store, list, change and delete commands."),
    "invocation": Row(".invocation:group", "Invoke commands; follow, show and stop invocations."),
    "instance": Row(".instance:group", "List, name and tag instances."),
    "config": Row(".config:group", "Show the settings and where each comes from."),
    "up": Row("..local_system.command:up_command", "Run a whole local system on this machine."),
    "version": Row(".version:version", "Show the version."),
}
