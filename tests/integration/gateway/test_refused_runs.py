"""A run that is refused leaves nothing behind."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from integration.gateway.whole_gateway import WholeGateway, whole_gateway

from cloud_assistant.broker_config.errors import NotFound
from cloud_assistant.producer import Targets
from harness.redis_server import RedisServer

RUN = {"Type": "RunShellScript", "CommandContent": "echo {{a}}", "EnableParameter": "true", "KeepCommand": "true"}


@pytest.fixture
def gateway(redis_server: RedisServer, tmp_path: Path) -> Iterator[WholeGateway]:
    with whole_gateway(redis_server.url(), tmp_path / "home", has_master_key=True) as made:
        made.assistant.add_instance("i-1")
        yield made


def kept(gateway: WholeGateway) -> list[str]:
    _, answer = gateway.call("DescribeCommands")
    assert answer["TotalCount"] == len(answer["Commands"]["Command"])
    return [one["CommandId"] for one in answer["Commands"]["Command"]]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"InstanceId.2": "i-absent"}, "InvalidInstance.NotFound"),
        ({"InstanceId.2": "i-absent", "Frequency": "0 0 3 * * *"}, "InvalidInstance.NotFound"),
        ({"Frequency": "at(2001-01-01 00:00:00)"}, "InvalidParam.Frequency"),
        ({"Parameters": '{"b": "c"}'}, "Parameter.NotMatched"),
        ({"TerminationMode": "Gently"}, "InvalidTerminationMode.NotFound"),
    ],
)
def test_the_command_of_a_refused_run_is_not_kept(gateway: WholeGateway, changed: dict[str, str], code: str) -> None:
    # A client that tries again would fill the library with them.
    for _ in range(2):
        _, answer = gateway.call("RunCommand", {**RUN, "InstanceId.1": "i-1", **changed})
        assert answer["Code"] == code
    assert kept(gateway) == []
    assert gateway.call("DescribeInvocations")[1]["TotalCount"] == 0
    assert gateway.call("RunCommand", {**RUN, "InstanceId.1": "i-1"})[0] == 200
    assert len(kept(gateway)) == 1


def test_nor_that_of_the_python_api_with_a_client_token(gateway: WholeGateway) -> None:
    def run(instance_id: str) -> str:
        targets = Targets(instance_ids=[instance_id])
        return gateway.assistant.run_command("true", targets, keep_command=True, client_token="once").command_id

    with pytest.raises(NotFound):
        run("i-absent")
    assert kept(gateway) == []
    command_id = run("i-1")
    assert kept(gateway) == [command_id] == [run("i-1")]
