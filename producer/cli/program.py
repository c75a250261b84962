"""The program ``assist``: its root, and what it does with every way of ending."""

import sys
from collections.abc import Sequence
from typing import Any

import click

from ...broker_config.programs.output_end import forget_outputs
from . import exit_codes
from .assist_command import PipeClosed
from .call import Call
from .command_table import ROWS, VERSION_HELP
from .lazy_group import LazyGroup
from .printing.terminal import help_columns


def _show_version(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from .verbs.version import installed_version  # lazy: importlib.metadata takes 10 ms

        click.echo(f"assist {installed_version()}")
        ctx.exit()


root = LazyGroup(
    "assist",
    rows=ROWS,
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_version,
            help=VERSION_HELP,
        )
    ],
    context_settings={"help_option_names": ["-h", "--help"], "terminal_width": help_columns()},
)


def run(arguments: Sequence[str]) -> int:
    """Run one call and answer its exit code; whatever happens, it is said in one line."""
    call = Call()
    try:
        code = _with_all_written(_answer(call, list(arguments)), call)
    except (PipeClosed, BrokenPipeError):
        forget_outputs()
        return exit_codes.PIPE_CLOSED
    finally:
        call.close()
    return code


def _with_all_written(code: int, call: Call) -> int:
    """The exit code once the answer has left us, or could not."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        if code in (exit_codes.DONE, exit_codes.SCRIPT_FAILED):
            from .failures import report  # lazy: a call that goes well needs it not

            code = report(error, call)
        forget_outputs()
    return code


def _answer(call: Call, arguments: list[str]) -> int:
    try:
        answer: Any = root.main(arguments, prog_name="assist", standalone_mode=False, obj=call)
    except (KeyboardInterrupt, click.Abort):
        call.say("assist: interrupted (Interrupted)")
        return exit_codes.INTERRUPTED
    except (PipeClosed, BrokenPipeError):
        raise
    except SystemExit as ended:
        # click's own answer to a shell that completes words, or to a reader that has gone while it wrote a help.
        return exit_codes.PIPE_CLOSED if ended.code else exit_codes.DONE
    except Exception as error:  # noqa: BLE001  # outermost: everything is told in one line, traceback when asked
        if isinstance(error.__cause__, KeyboardInterrupt):
            # What Python 3.11 makes of it while a class comes into being.
            raise error.__cause__ from None
        from .failures import report  # lazy: a call that goes well needs it not

        return report(error, call)
    return answer if isinstance(answer, int) else exit_codes.DONE
