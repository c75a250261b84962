"""``assist run``."""

from collections.abc import Mapping

import click

from ...fleet.targets import Targets
from ...invocations.invoking import RunOptions
from ..assist_command import assist_command
from ..call import Call
from ..dispatched import after_dispatch, before_dispatch
from ..options.pacing_options import takes_pacing
from ..options.request_options import (
    SCRIPT_TYPES,
    Waiting,
    client_token_option,
    script_type_option,
    takes_run_options,
    takes_waiting,
)
from ..options.schedule_options import schedule_options
from ..options.script_source import takes_script
from ..options.secret_values import takes_secret_values
from ..options.target_options import takes_targets

_EXAMPLES = (
    "assist run 'echo 123' --instance i-web1",
    "assist run 'uptime' --all --output json",
    "assist run --file check.sh --tag env=test --timeout 10m",
    "echo 'echo \"hello $CA_PARAM_WHO\"' | assist run - --instance i-web1 --parameter 'WHO=my world'",
    "assist run 'test -n \"$CA_PARAM_TOKEN\"' --instance i-web1 --secret-parameter TOKEN=@token.txt",
    "assist run 'sleep 1' --all --no-wait",
    "assist run 'df -h' --all --frequency '0 0 4 * * *' --timezone Europe/Berlin",
)


@assist_command("run", examples=_EXAMPLES, may_be_empty=("script",))
@takes_script
@takes_targets
@script_type_option(default="RunShellScript", help=f"{SCRIPT_TYPES}.  [default: RunShellScript]")
@click.option("--name", default="", help="A name for the command.")
@takes_run_options
@takes_pacing
@takes_secret_values
@schedule_options
@click.option("--enable-parameter", is_flag=True, help="Also replace {{KEY}} in the script's text with the parameters.")
@click.option("--keep-command", is_flag=True, help="Also store the script as a command.")
@client_token_option
@takes_waiting(default=True)
def run(
    call: Call,
    *,
    content: bytes,
    targets: Targets,
    options: RunOptions,
    secret_values: Mapping[str, str],
    waiting: Waiting,
    script_type: str,
    name: str,
    enable_parameter: bool,
    keep_command: bool,
    client_token: str,
) -> int:
    """Run a script on instances and show the results.

    With one instance, its output goes to standard output as it comes, and nothing else does. With several, equal
    results are shown together. Exit code 0 if every script succeeded, 1 otherwise.
    """
    before_dispatch(call, targets, waiting, options)
    invoked = call.assistant.run_command(
        content,
        targets,
        options,
        type=script_type,
        name=name,
        enable_parameter=enable_parameter,
        declared_parameters=tuple(options.parameters),
        secret_parameters=secret_values,
        keep_command=keep_command,
        client_token=client_token,
    )
    return after_dispatch(call, invoked, waiting, options)
