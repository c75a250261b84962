"""``assist invocation create``, also known as ``assist invoke``."""

from collections.abc import Mapping

import click

from ...fleet.targets import Targets
from ...invocations.invoking import RunOptions
from ..assist_command import assist_command
from ..call import Call
from ..dispatched import after_dispatch, before_dispatch
from ..options.command_named import command_id_of
from ..options.pacing_options import takes_pacing
from ..options.request_options import Waiting, client_token_option, takes_run_options, takes_waiting
from ..options.schedule_options import schedule_options
from ..options.secret_values import takes_secret_values
from ..options.target_options import takes_targets

_VERBS = ("invocation create", "invoke")


def _examples(verb: str) -> tuple[str, ...]:
    return (
        f"assist {verb} disk --instance i-web1",
        f"assist {verb} c-… --tag env=test --timeout 2m --output json",
        f"assist {verb} c-… --all --no-wait --deliver-within 7d",
        f"assist {verb} c-… --all --frequency 'rate(1 h)'",
    )


@click.argument("command_id", metavar="ID_OR_NAME")
@takes_targets
@takes_run_options
@takes_pacing
@takes_secret_values
@schedule_options
@client_token_option
@takes_waiting(default=True)
def _invoke(
    call: Call,
    *,
    command_id: str,
    targets: Targets,
    options: RunOptions,
    secret_values: Mapping[str, str],
    waiting: Waiting,
    client_token: str,
) -> int:
    """Invoke a stored command on instances and show the results.

    What is not given here is taken from the command. Output and exit code are as with `assist run`.
    """
    before_dispatch(call, targets, waiting, options)
    invoked = call.assistant.invoke_command(
        command_id_of(call, command_id), targets, options, secret_parameters=secret_values, client_token=client_token
    )
    return after_dispatch(call, invoked, waiting, options)


create, invoke = (assist_command(verb.rpartition(" ")[2], examples=_examples(verb))(_invoke) for verb in _VERBS)
