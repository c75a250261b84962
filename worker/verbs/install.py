"""``assist-agent install``: the agent as a service of this machine."""

from pathlib import Path

import click

from ...broker_config.files.system_folders import LOG_FOLDER, SETTINGS_FILE, STATE_FOLDER
from ...broker_config.programs.command_line import filled
from ..service.installing import control, install
from .service_options import chosen, plan_of, root_option, say, system_option, telling


@click.command(epilog="Example: assist-agent install --print --system systemd")
@system_option
@root_option
@click.option("--print", "only_print", is_flag=True, help="Only print the files; write and start nothing.")
@click.option(
    "--config",
    metavar="FILE",
    callback=filled,
    help=f"Settings and credentials of the service; default {SETTINGS_FILE}.",
)
@click.option("--home", metavar="FOLDER", callback=filled, help=f"Its state; default {STATE_FOLDER}.")
@click.option("--log-folder", metavar="FOLDER", callback=filled, help=f"Its log; default {LOG_FOLDER}.")
@click.option("--program", metavar="FILE", callback=filled, help="The program to start; default is this one.")
@click.option("--harden", is_flag=True, help="systemd only: take rights away from the agent, and so from its scripts.")
@click.option("--start/--no-start", default=True, help="Start it now, if there are credentials.")
def verb(
    name: str | None,
    root: Path,
    only_print: bool,
    config: str | None,
    home: str | None,
    log_folder: str | None,
    program: str | None,
    harden: bool,
    start: bool,
) -> None:
    """Have this machine's service manager start the agent, now and whenever the machine starts.

    Knows systemd, SysV, OpenRC, upstart, FreeBSD's rc.d, launchd and Windows. Exit code 4: it could not be done.
    """
    plan = plan_of(program=program, config=config, home=home, log_folder=log_folder, harden=harden)

    def do_it() -> None:
        system = chosen(name, root)
        if only_print:
            files = system.files(plan)
            for file in files:
                if len(files) > 1:
                    click.echo(f"# /{file.path}")
                click.echo(file.text, nl=False)
            return
        install(system, plan, root, say)
        if root != Path("/"):
            return
        if not Path(plan.config).exists():
            say(f"not started: there are no credentials in {plan.config} yet; then: assist-agent start")
        elif start:
            control(system.start, say)

    telling(do_it)
