"""The program ``assist``: its root, and what it does with every way of ending."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from . import exit_codes
from .assist_command import PipeClosed
from .call import Call
from .command_table import ROWS
from .lazy_group import LazyGroup
from .terminal import help_columns


def _show_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from .version import installed_version  # lazy: importlib.metadata takes 10 ms

        click.echo(f"assist {installed_version()}")
        ctx.exit()


root = LazyGroup(
    "assist",
    rows=ROWS,
    help="Run scripts on your machines, and know what came of each.",
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_version,
            help="Show the version.",
        )
    ],
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": help_columns()},
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one call and answer its exit code; whatever happens, it is said in one line."""
    call = Call()
    try:
        code = _run(call, list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except (PipeClosed, BrokenPipeError):
        _forget_outputs()
        return exit_codes.PIPE_CLOSED
    finally:
        call.close()
    return code


def _run(call: Call, arguments: list[str]) -> int:
    try:
        answer: Any = root.main(arguments, prog_name="assist", standalone_mode=False, obj=call)
    except (KeyboardInterrupt, click.Abort):
        call.say("assist: interrupted (Interrupted)")
        return exit_codes.INTERRUPTED
    except (PipeClosed, BrokenPipeError):
        raise
    except SystemExit:
        # click's own answer to a reader that has gone while it wrote a help.
        return exit_codes.PIPE_CLOSED
    except Exception as error:  # noqa: BLE001  # outermost: everything is told in one line, traceback when asked
        from .failures import report  # lazy: a call that goes well needs it not

        return report(error, call)
    return answer if isinstance(answer, int) else exit_codes.DONE


def _forget_outputs() -> None:
    """Keep the interpreter from complaining, as it ends, about what it cannot write any more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
