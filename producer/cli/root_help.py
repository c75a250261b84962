"""The help of ``assist`` itself, made without click: importing that takes twice as long as all the rest."""

import sys

from .command_table import ROWS, SHARED_OPTIONS, VERSION_HELP


def show_help() -> int:
    """Print it, and answer the exit code: 0, or that of an output that takes no more."""
    try:
        sys.stdout.write(help_text() + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        from ...broker_config.programs.output_end import forget_outputs  # lazy: hardly ever needed
        from .exit_codes import PIPE_CLOSED  # lazy: hardly ever needed

        forget_outputs()
        return PIPE_CLOSED
    except OSError as error:
        from ...broker_config.programs.output_end import forget_outputs  # lazy: hardly ever needed
        from .call import Call  # lazy: hardly ever needed
        from .failures import report  # lazy: hardly ever needed

        code = report(error, Call())
        forget_outputs()
        return code
    return 0


def help_text() -> str:
    """What ``assist --help`` shows; no line is wider than 80 columns."""
    options = [("--version", VERSION_HELP), ("-h, --help", "Show this message and exit.")]
    sections = [
        "Usage: assist [OPTIONS] COMMAND [ARGS]...",
        "  Run scripts on your machines, and know what came of each.",
        _section("Commands", [(name, row.help) for name, row in ROWS.items()]),
        _section("Options", options),
        _section(
            "Options of every command",
            [(f"{option} {one.shown}".rstrip(), one.help) for option, one in SHARED_OPTIONS.items()],
        ),
    ]
    return "\n\n".join(sections)


def _section(title: str, rows: list[tuple[str, str]]) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join([f"{title}:", *(f"  {name:{width}}  {text}" for name, text in rows)])
