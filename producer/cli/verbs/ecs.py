"""``assist ecs``: any action of the API by its own name, as the service's command line takes it."""

import logging
import threading
from typing import Any

import click

from ....broker_config.errors import CloudAssistantError, RequestInvalid
from ....broker_config.programs.program_log import LOGGER_NAME
from ...api import Assistant
from ...auditing import local_user
from ...gateway.actions.action import Call as ActionCall
from ...gateway.actions.action import NotYet
from ...gateway.actions.parameters import Parameters
from ...gateway.actions.table import action_registry
from ...gateway.api_errors import ApiError
from ...gateway.exchange import new_request_id
from ...gateway.request_parameters import with_todays_names
from ...gateway_client import GatewayClient, error_of
from ...security.caller import AccessKey
from ..assist_command import assist_command
from ..call import Call
from .ecs_parameters import check_names
from .ecs_words import EcsCall, read_words

#: What a gateway's client learns of a trouble behind the gateway. A person who stands right there is told which it is.
_TOLD_TO_CLIENTS = ("ServiceUnavailable", "InternalError")


@assist_command(
    "ecs",
    examples=(
        "assist ecs CreateCommand --CommandContent ZWNobyAxMjM= --Type RunShellScript --Name test --Description test",
        "assist ecs InvokeCommand --InstanceIds i-… i-… --CommandId c-… --Timed false",
        "assist ecs DescribeInvocationResults --InstanceId i-… --InvokeId t-…",
    ),
    may_be_empty=("words",),
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="ACTION [--Param VALUE …]…")
def ecs(call: Call, *, words: tuple[str, ...]) -> None:
    """Call an action of the API and print its answer as JSON.

    Goes straight to Redis, or through the gateway when gateway.url and an access key are set.

    A parameter that the action does not have is refused; --force sends it all the same.
    """
    asked = read_words(words)
    if not asked.forced:
        check_names(asked.action, asked.parameters)
    gateway = call.loaded.settings.gateway
    asked.parameters.setdefault("RegionId", gateway.region_id)
    if gateway.url and gateway.access_key_id and gateway.access_key_secret:
        client = GatewayClient(gateway.url, gateway.access_key_id, gateway.access_key_secret, gateway.ca_file)
        call.print_json(client.call(asked.action, asked.parameters))
    else:
        call.print_json(_answer(call, asked))


# The API's parameters are not options of ours.
ecs.context_settings = {**ecs.context_settings, "ignore_unknown_options": True}


def _answer(call: Call, asked: EcsCall) -> dict[str, Any]:
    """Call the action in this process; what it waits for is waited for here.

    Raises:
        RequestInvalid: there is no such action.
        CloudAssistantError: what the action refuses, with the API's code.
    """
    if not call.debug:
        # What a gateway would log is said in our own line.
        logging.getLogger(LOGGER_NAME).addHandler(logging.NullHandler())
    registry = action_registry(call.assistant)
    action = registry.find(asked.action)
    if action is None:
        raise RequestInvalid(
            f"{registry.unknown(asked.action)} There are: {', '.join(registry)}", code="InvalidAction.NotFound"
        )
    caller = AccessKey("", _own_secret(call.assistant), active=True, principal=local_user().name)
    values = with_todays_names(asked.action, asked.parameters)
    request_id = new_request_id()
    try:
        outcome = action(ActionCall(asked.action, Parameters(values), caller, request_id))
        while isinstance(outcome, NotYet):
            _pause(outcome)
            outcome = outcome.look_again()
    except ApiError as error:
        cause = error.__cause__
        if isinstance(cause, CloudAssistantError) and error.code in _TOLD_TO_CLIENTS:
            raise cause from None
        raise error_of(error.http_status, error.code, error.message) from error
    return {**outcome, "RequestId": request_id}


def _own_secret(assistant: Assistant) -> str:
    """What an answer with a code in it is kept under, as a gateway keeps it under an access key's secret.

    Without a master key there is none; an activation that is made without one lets nobody in.
    """
    master = assistant.trust.known_master
    return master.purpose_key("calls of the command line").hex() if master else ""


def _pause(outcome: NotYet) -> None:
    rung = threading.Event()
    leave = outcome.listen(rung.set) if outcome.listen is not None else None
    try:
        rung.wait(outcome.pause_ms / 1000)
    finally:
        if leave is not None:
            leave()
