"""Where ``assist-beat`` begins: Ctrl-C is told in one line before anything is imported."""

from ..broker_config.programs.first_instruction import end_on_interrupt


def main() -> None:
    """Run ``assist-beat`` with the words of the command line."""
    end_on_interrupt("assist-beat")
    from .cli import main as command_line  # lazy: see above

    command_line()
