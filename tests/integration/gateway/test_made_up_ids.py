"""An id that names a key beneath the one of a thing names no thing: it is answered like any other that is unknown."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from integration.gateway.whole_gateway import WholeGateway, whole_gateway

from harness.redis_server import RedisServer

#: Each action with the id at the end of a key that is there, and what it answers to one that is nowhere.
CASES: tuple[tuple[str, Mapping[str, str], str], ...] = (
    ("DeleteCommand", {"CommandId": "{command}:open"}, "InvalidCmdId.NotFound"),
    ("ModifyCommand", {"CommandId": "{command}:invocations", "Name": "x"}, "InvalidCmdId.NotFound"),
    ("InvokeCommand", {"CommandId": "{command}:open", "InstanceId.1": "i-1"}, "InvalidCmdId.NotFound"),
    ("StopInvocation", {"InvokeId": "{invocation}:targets"}, "InvalidInvokeId.NotFound"),
    (
        "ModifyInvocationAttribute",
        {"InvokeId": "{invocation}:targets", "Frequency": "0 0 4 * * *"},
        "InvalidInvokeId.NotFound",
    ),
    *(
        ("TagResources", {"ResourceType": kind, "ResourceId.1": made, "Tag.1.Key": "k"}, "InvalidResourceId.NotFound")
        for kind, made in (("command", "{command}:open"), ("invocation", "{invocation}:targets"))
    ),
    ("ListTagResources", {"ResourceType": "command", "ResourceId.1": "{command}:open"}, ""),
    ("ListTagResources", {"ResourceType": "invocation", "ResourceId.1": "{invocation}:targets"}, ""),
    ("DescribeCommands", {"CommandId": "{command}:open"}, ""),
    ("DescribeInvocations", {"InvokeId": "{invocation}:targets"}, ""),
    ("DescribeInvocationResults", {"InvokeId": "{invocation}:targets"}, ""),
)


@pytest.fixture
def gateway(redis_server: RedisServer, tmp_path: Path) -> Iterator[WholeGateway]:
    with whole_gateway(redis_server.url(), tmp_path / "home", has_master_key=True) as made:
        made.assistant.add_instance("i-1")
        yield made


def test_an_id_that_names_another_key_is_unknown(gateway: WholeGateway) -> None:
    command = {"Name": "n", "Type": "RunShellScript", "CommandContent": "ZWNobyAx"}
    command_id = gateway.call("CreateCommand", command)[1]["CommandId"]
    invoke_id = gateway.call("InvokeCommand", {"CommandId": command_id, "InstanceId.1": "i-1"})[1]["InvokeId"]
    for action, parameters, code in CASES:
        asked = {name: value.format(command=command_id, invocation=invoke_id) for name, value in parameters.items()}
        status, answer = gateway.call(action, asked)
        assert (status == 200, answer.get("Code", "")) == (not code, code), (action, asked, answer)
