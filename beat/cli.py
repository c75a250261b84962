"""The program ``assist-beat``. Only what a start needs is imported, so that ``--help`` is quick."""

import sys
from typing import Any

import click

from ..broker_config.programs.command_line import Program, config_option, filled, version_option

_EXAMPLES = """\b
Examples:
  assist-beat
  assist-beat --redis-url redis://10.0.0.5:6379/0
  assist-beat --misfire skip --sweep-seconds 1
  celery -A cloud_assistant.beat.app beat --loglevel INFO
"""

#: Options and the settings they stand for.
_SETTINGS = {
    "redis_url": "redis_url",
    "home": "home",
    "misfire": "beat.misfire",
    "sweep_seconds": "beat.sweep_seconds",
}


@click.command(cls=Program, context_settings={"help_option_names": ["-h", "--help"]}, epilog=_EXAMPLES)
@version_option("assist-beat")
@click.option("--redis-url", metavar="URL", callback=filled, help="Where Redis is.")
@click.option("--home", metavar="FOLDER", callback=filled, help="State folder, for the master key.")
@click.option(
    "--misfire",
    type=click.Choice(["latest", "all", "skip"]),
    help="Which due times to make up for that were missed while no beat was running, unless "
    "the schedule says so itself.",
)
@click.option("--sweep-seconds", type=click.FloatRange(0.05), help="Time between two looks for overdue executions.")
@config_option
@click.option("--debug", is_flag=True, help="Log every step.")
def main(config: str, debug: bool, **given: Any) -> None:
    """Fire timed invocations and settle what was lost, until SIGTERM or Ctrl-C.

    Several may run on one Redis: each due time is decided about once, and if one dies the others go on. Celery's own
    beat can run the same scheduler: `celery -A cloud_assistant.beat.app beat`.

    Settings come from the command line, then the environment (CLOUD_ASSISTANT_…), then a TOML file.

    Exit codes: 0 ended as asked; 2 a setting is wrong.
    """
    from .program import run  # lazy: the help does without Celery

    overrides = {_SETTINGS[name]: value for name, value in given.items() if value is not None}
    sys.exit(run(overrides, config=config, debug=debug))
