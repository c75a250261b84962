"""Where ``assist-agent`` begins: Ctrl-C is told in one line before anything is imported."""

from ..broker_config.programs.first_instruction import end_on_interrupt, raise_on_interrupt


def main() -> None:
    """Run ``assist-agent`` with the words of the command line."""
    end_on_interrupt("assist-agent")
    from .cli import main as command_line  # lazy: see above

    # Some verbs change this machine: what they have begun they clear up.
    raise_on_interrupt()
    command_line(prog_name="assist-agent")
