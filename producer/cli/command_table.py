"""Which commands there are: one row each, read without importing any of them.

To add one, add a row; the module is imported when the command is called or asked for its own help.
"""

from typing import NamedTuple


class Row(NamedTuple):
    """Where a command lives (``module:attribute``, relative to this package) and its line in the help."""

    target: str
    help: str


ROWS: dict[str, Row] = {
    "run": Row(".verbs.run:run", "Run a script on instances and show the results."),
    "invoke": Row(".verbs.invocation_create:invoke", "Invoke a stored command; the same as `invocation create`."),
    "command": Row(".verbs.command:group", "Store, list, change and delete commands."),
    "invocation": Row(".verbs.invocation:group", "Invoke commands; follow, show and stop invocations."),
    "timed": Row(".verbs.timed:group", "List, preview, pause, change and stop timed invocations."),
    "instance": Row(".verbs.instance:group", "List, name and tag instances."),
    "activation": Row(".verbs.activation:group", "Create and manage codes with which machines register."),
    "file": Row(".verbs.file:group", "Send small files to instances."),
    "ecs": Row(".verbs.ecs:ecs", "Call any API action by its name."),
    "access-key": Row(".verbs.access_key:group", "Create and manage access keys for the gateway."),
    "key": Row(".verbs.key:group", "Make and rotate the master key that executions are signed with."),
    "program": Row(".verbs.control_program:group", "Renew what beat, gateway, assist and Flower may do in Redis."),
    "package": Row(".verbs.package:group", "Publish packages; install and remove them on instances."),
    "agent-version": Row(".verbs.agent_version:group", "Publish versions of the agent and roll them out."),
    "publisher": Row(".verbs.publisher:group", "Manage a publisher's key; sign versions and packages with it."),
    "audit": Row(".verbs.audit:group", "Show and verify the record of changes and refusals."),
    "doctor": Row(".verbs.doctor:doctor", "Check this installation, and say how to fix what is wrong."),
    "config": Row(".verbs.config:group", "Show the settings and where each comes from."),
    "up": Row("..local_system.command:up_command", "Run a whole local system on this machine."),
    "version": Row(".verbs.version:version", "Show the version."),
}


class SharedOption(NamedTuple):
    """An option that every command has."""

    shown: str
    help: str


VERSION_HELP = "Show the version."
#: Each may stand before and after the verb.
SHARED_OPTIONS: dict[str, SharedOption] = {
    "--output": SharedOption("[text|json]", "Format of what goes to standard output."),
    "--redis-url": SharedOption("URL", "Where Redis is.  [CLOUD_ASSISTANT_REDIS_URL]"),
    "--home": SharedOption("FOLDER", "State folder.  [CLOUD_ASSISTANT_HOME]"),
    "--config": SharedOption("FILE", "Settings file (TOML).  [CLOUD_ASSISTANT_CONFIG]"),
    "--debug": SharedOption("", "Show the traceback of an error."),
}
