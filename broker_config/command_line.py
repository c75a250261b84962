"""What the command lines of beat, gateway and agent have in common."""

from typing import Any

import click

from .standard_streams import prepare_streams


class Program(click.Command):
    """A command line that gets the standard streams ready before it reads or shows anything."""

    def main(self, *arguments: Any, **named: Any) -> Any:
        """Do what the command line says."""
        prepare_streams()
        return super().main(*arguments, **named)
