"""The root: its commands are imported when they are called, and its help is there without it."""

from collections.abc import Mapping
from typing import Any

import click

from .assist_command import AssistGroup
from .command_table import Row
from .root_help import help_text


class LazyGroup(AssistGroup):
    """Finds its commands through a table of where they live."""

    def __init__(self, *arguments: Any, rows: Mapping[str, Row], **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        self._rows = rows

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of the table."""
        return list(self._rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        row = self._rows.get(cmd_name)
        if row is None:
            return None
        from importlib import import_module  # lazy: the help needs it not

        module, _, attribute = row.target.partition(":")
        command = getattr(import_module(module, __package__), attribute)
        assert isinstance(command, click.Command)
        return command

    def get_help(self, ctx: click.Context) -> str:
        """Show what is shown without us, too."""
        return help_text()
