"""``assist-agent register``: make this machine an instance, with an activation code."""

import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import click

from ...broker_config.programs.command_line import filled
from ..exit_codes import EXIT_REFUSED, EXIT_UNREACHABLE, EXIT_USAGE
from .settings_options import home_option

_EPILOG = """\b
Examples:
  assist-agent register --gateway https://assist.example:8177 --activation-id ID --activation-code CODE
  assist-agent register --gateway https://assist.example:8177 --activation-id ID --activation-code - < code.txt
  assist-agent register --gateway https://assist.example --activation-id ID --activation-code CODE --root /mnt/image
"""


@click.command(epilog=_EPILOG)
@click.option("--gateway", required=True, metavar="URL", help="The gateway: https://NAME:PORT.")
@click.option(
    "--activation-id", required=True, envvar="CLOUD_ASSISTANT_ACTIVATION_ID", metavar="ID", help="Which activation."
)
@click.option(
    "--activation-code",
    required=True,
    envvar="CLOUD_ASSISTANT_ACTIVATION_CODE",
    metavar="CODE",
    help="Its code; - reads it from standard input.  [CLOUD_ASSISTANT_ACTIVATION_CODE]",
)
@click.option("--name", default="", metavar="TEXT", help="A name for people; it must begin as the activation says.")
@click.option("--ca-file", default="", metavar="FILE", help="CA certificates (PEM) by which the gateway is checked.")
@click.option("--allow-http", is_flag=True, help="Send secrets in the clear to a gateway that is not on this machine.")
@click.option(
    "--config", metavar="FILE", callback=filled, help="Settings file to write; `assist-agent run` finds the default."
)
@home_option
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    default=Path("/"),
    metavar="FOLDER",
    help="Register the machine of the image at this folder; settings, state and a copy of --ca-file go into it.",
)
@click.option(
    "--force-new",
    is_flag=True,
    help="Take another use even if this machine seems to be registered, as a copy of a registered one does.",
)
def verb(
    gateway: str,
    activation_id: str,
    activation_code: str,
    name: str,
    ca_file: str,
    allow_http: bool,
    config: str | None,
    home: str | None,
    root: Path,
    force_new: bool,
) -> None:
    """Make this machine an instance, and write the settings that the agent runs with (mode 0600).

    It may be repeated: the same machine gets the same instance, and no second use is taken. With --root, the machine of
    an image becomes the instance; register no image that more than one machine starts from.

    Exit codes: 0 registered, now or before; 2 wrong usage or settings; 3 the gateway does not answer; 4 refused.
    """
    from ...broker_config.errors import CloudAssistantError, SettingsInvalid  # lazy: help does without it
    from ..registration.registering import Wanted, alone, register_machine  # lazy: help does without it
    from ..registration.registration_request import GatewayUnreachable, RegistrationClient  # lazy: help does without it

    if activation_code == "-":
        activation_code = sys.stdin.readline().strip()
    try:
        file, state = _places(config, home, root)
        if not force_new and _is_registered(file):
            return
        pause = threading.Event().wait
        client = RegistrationClient(gateway, ca_file=ca_file, allow_http=allow_http, pause=pause)
        wanted = Wanted(activation_id=activation_id, activation_code=activation_code, name=name, force_new=force_new)
        with alone(state, pause=pause, on_wait=_tell_of_wait):
            if not force_new and _is_registered(file):
                return
            granted = register_machine(client, wanted, home=state, config=file, root=root)
    except CloudAssistantError as exc:
        click.echo(f"assist-agent: {exc} ({exc.code})", err=True)
        if isinstance(exc, SettingsInvalid):
            sys.exit(EXIT_USAGE)
        sys.exit(EXIT_UNREACHABLE if isinstance(exc, GatewayUnreachable) else EXIT_REFUSED)
    click.echo(granted.instance_id)
    named = f" ({granted.instance_name})" if granted.instance_name else ""
    click.echo(f"registered {granted.instance_id}{named}; its credentials are in {file}.", err=True)
    if root != Path("/"):
        return
    options = "".join(
        f" {option} {_quoted(str(value))}"
        for option, value in (("--config", file if config else ""), ("--home", home or ""))
        if value
    )
    click.echo(f"Next:\n  assist-agent run{options}", err=True)


def _is_registered(file: Path) -> bool:
    """Whether this machine is an instance by now, which is told."""
    from ..registration.registering import already_registered  # lazy: help does without it

    known = already_registered(file)
    if known:
        click.echo(f"assist-agent: this machine is {known} already ({file}); --force-new makes it another", err=True)
    return bool(known)


def _tell_of_wait() -> None:
    click.echo(
        "assist-agent: another `assist-agent register` is at work on this machine; waiting for its end", err=True
    )


def _quoted(text: str) -> str:
    """A word as the shell of this system takes it."""
    return subprocess.list2cmdline([text]) if os.name == "nt" else shlex.quote(text)


def _places(config: str | None, home: str | None, root: Path) -> tuple[Path, Path]:
    """The settings file to write, and the state folder: where `assist-agent run` looks for them."""
    from ...broker_config.files.system_folders import SETTINGS_FILE, STATE_FOLDER  # lazy: help does without it
    from ...broker_config.settings import chosen_file, chosen_home  # lazy: help does without it

    if root == Path("/"):
        return Path(config) if config else chosen_file(), Path(home or chosen_home())
    if config or home:
        raise click.UsageError("--root goes with neither --config nor --home: the image's own places are used")
    return root / SETTINGS_FILE.lstrip("/"), root / STATE_FOLDER.lstrip("/")
