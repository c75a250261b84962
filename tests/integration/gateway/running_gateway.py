"""The real server stack in a thread of the test, with actions that only tests have."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from unit.producer.gateway.doubles import KeysInMemory, NoncesInMemory, ReadersOnlyDescribe
from unit.producer.gateway.signing import now_text

from cloud_assistant.broker_config.settings_table import GatewaySettings
from cloud_assistant.producer.gateway.access.authentication import time_of
from cloud_assistant.producer.gateway.actions.action import Action, ActionRegistry, Call, Fields, NotYet
from cloud_assistant.producer.gateway.actions.instance_ids import instance_ids_of
from cloud_assistant.producer.gateway.api_errors import api_error
from cloud_assistant.producer.gateway.app import AppLimits, Dependencies, GatewayApplication
from cloud_assistant.producer.gateway.routes import Routes
from cloud_assistant.producer.gateway.serving.server import GatewayServer

#: The content that the last RunCommand brought, for tests that look at what arrived.
arrived: dict[str, str] = {}


def create_command(call: Call) -> Fields:
    """Accept a command."""
    call.parameters.required("Name")
    arrived["CommandContent"] = call.parameters.required("CommandContent")
    return {"CommandId": "c-test"}


def run_command(call: Call) -> Fields:
    """Accept a run."""
    arrived["CommandContent"] = call.parameters.required("CommandContent")
    arrived["InstanceIds"] = ",".join(instance_ids_of(call.parameters))
    arrived["KeepCommand"] = str(call.parameters.boolean("KeepCommand", default=None))
    return {"CommandId": "c-test", "InvokeId": "t-test"}


def invoke_command(call: Call) -> Fields:
    """Accept an invocation of the one known command."""
    if call.parameters.required("CommandId") != "c-test":
        raise api_error("InvalidCmdId.NotFound")
    arrived["InstanceIds"] = ",".join(instance_ids_of(call.parameters))
    return {"InvokeId": "t-test"}


def describe_invocation_results(call: Call) -> Fields | NotYet:
    """Give one result, in both shapes; with ``WaitSeconds`` never finish."""
    invoke_id = call.parameters.text("InvokeId")
    result = {"InstanceId": "i-1", "ExitCode": 0, "Output": "MTIzCg==", "FinishedTime": "2026-01-01T00:00:01Z"}
    fields: Fields = {
        "Invocation": {
            "InvokeId": invoke_id,
            "Status": "Finished",
            "PageNumber": 1,
            "PageSize": 10,
            "TotalCount": 1,
            "InvocationResults": {"InvocationResult": [{"InvokeId": invoke_id, **result}]},
            "ResultLists": {"ResultItem": [result]},
        }
    }
    if "WaitSeconds" in call.parameters:
        return NotYet(fields, lambda: describe_invocation_results(call), pause_ms=20)
    return fields


def describe_broken(_call: Call) -> Fields:
    """Fail in a way nobody foresaw."""
    raise ZeroDivisionError


ACTIONS: dict[str, Action] = {
    "CreateCommand": create_command,
    "RunCommand": run_command,
    "InvokeCommand": invoke_command,
    "DescribeInvocationResults": describe_invocation_results,
    "DescribeCommands": describe_broken,
}


@contextmanager
def running_gateway(
    settings: GatewaySettings | None = None, limits: AppLimits | None = None, routes: Routes | None = None
) -> Iterator[GatewayServer]:
    """Serve until the block ends, then stop gracefully."""
    app = GatewayApplication(
        Dependencies(
            actions=ActionRegistry(ACTIONS),
            access_keys=KeysInMemory(),
            nonces=NoncesInMemory(),
            authorization=ReadersOnlyDescribe(),
            now_ms=lambda: time_of(now_text()),
            is_healthy=lambda: True,
            metrics=lambda: (b"", "text/plain"),
            routes=routes or Routes(),
        ),
        limits,
    )
    server = GatewayServer(app, settings or GatewaySettings(host="127.0.0.1", port=0))
    thread = threading.Thread(target=server.serve_until_stopped)
    thread.start()
    try:
        yield server
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()
