"""``assist-agent supervise-version``: what an agent becomes while a new version is on trial. Not for people."""

import sys
from typing import NoReturn

import click


@click.command(hidden=True, context_settings={"ignore_unknown_options": True})
@click.option("--version", "version", required=True)
@click.option("--settings", "settings_text", required=True)
@click.option("--config", default="")
@click.option("--probation-seconds", type=float, required=True)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def verb(
    version: str, settings_text: str, config: str, probation_seconds: float, arguments: tuple[str, ...]
) -> NoReturn:
    """Try a version as a child, and become the agent of the version that is right."""
    import msgspec  # lazy: help does without it

    from ...broker_config import settings  # lazy: help does without it
    from ...broker_config.programs import program_log  # lazy: help does without it
    from ..upgrade.guard import Guard  # lazy: help does without it

    program_log.set_up()
    overrides = msgspec.json.decode(settings_text, type=dict[str, str | int | float | bool])
    loaded = settings.load(overrides, config=config).settings
    sys.stdout.flush()
    Guard(settings=loaded, version=version, probation_seconds=probation_seconds, arguments=("run", *arguments)).run()
