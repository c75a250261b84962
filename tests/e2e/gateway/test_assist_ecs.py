"""``assist ecs``: the command lines of the original documentation, word for word but for ``aliyuncli``."""

import shlex

import pytest
from e2e.gateway.real_gateway import RealGateway

from harness.eventually import eventually
from harness.system import Outcome


@pytest.fixture(params=["redis", "gateway"])
def way(real: RealGateway, request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment in which ``assist`` goes straight to Redis, or through the gateway and cannot reach Redis."""
    if request.param == "redis":
        return {}
    return {
        "CLOUD_ASSISTANT_REDIS_URL": "redis://127.0.0.1:1/0",
        "CLOUD_ASSISTANT_GATEWAY_URL": real.url,
        "CLOUD_ASSISTANT_GATEWAY_ACCESS_KEY_ID": real.key_id,
        "CLOUD_ASSISTANT_GATEWAY_ACCESS_KEY_SECRET": real.secret,
    }


def ecs(real: RealGateway, way: dict[str, str], line: str) -> Outcome:
    return real.system.assist("ecs", *shlex.split(line), environment=way)


def test_the_documented_lines_run(real: RealGateway, way: dict[str, str]) -> None:
    line = "CreateCommand --CommandContent ZWNobyAxMjM= --Type RunBatScript --Name test --Description test"
    assert ecs(real, way, line).must_succeed().json["CommandId"].startswith("c-")
    line = line.replace("RunBatScript", "RunShellScript")
    command_id = ecs(real, way, line).must_succeed().json["CommandId"]
    line = f"InvokeCommand --InstanceIds i-one i-two --CommandId {command_id} --Timed false"
    invoke_id = ecs(real, way, line).must_succeed().json["InvokeId"]

    def outputs() -> list[str] | None:
        line = f"DescribeInvocationResults --InstanceId i-two --InvokeId {invoke_id} --WaitSeconds 5"
        items = ecs(real, way, line).must_succeed().json["Invocation"]["ResultLists"]["ResultItem"]
        return [one["Output"] for one in items if one["FinishedTime"]]

    assert eventually(outputs, within_seconds=20) == ["MTIzCg=="]
    line = f"DescribeInvocations --InstanceId i-one --InvokeId {invoke_id}"
    (invocation,) = ecs(real, way, line).must_succeed().json["Invocations"]["Invocation"]
    assert invocation["InvokeId"] == invoke_id


def test_a_timed_line_of_the_documentation(real: RealGateway, way: dict[str, str]) -> None:
    line = "CreateCommand --CommandContent ZWNobyAxMjM= --Type RunShellScript --Name test --Description test"
    command_id = ecs(real, way, line).must_succeed().json["CommandId"]
    line = f"InvokeCommand --InstanceIds i-one --CommandId {command_id} --Timed true"
    refused = ecs(real, way, line)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "(MissingParam.Frequency)" in refused.stderr
    invoke_id = ecs(real, way, line + ' --Frequency "0 */10 * * * *"').must_succeed().json["InvokeId"]
    line = f"DescribeInvocations --InvokeId {invoke_id}"
    (invocation,) = ecs(real, way, line).must_succeed().json["Invocations"]["Invocation"]
    assert (invocation["Timed"], invocation["RepeatMode"], invocation["InvokeStatus"]) == (True, "Period", "Running")
    ecs(real, way, f"StopInvocation --InvokeId {invoke_id}").must_succeed()


def test_refusals_have_the_exit_codes_of_every_command(real: RealGateway, way: dict[str, str]) -> None:
    for line, exit_code, code in (
        ("InvokeCommand --InstanceIds i-one --CommandId c-absent", 5, "InvalidCmdId.NotFound"),
        ("CreateCommand --Name x", 2, "MissingType"),
        ("DescribeNothing", 5, "InvalidAction.NotFound"),
        ("--Name x", 2, "InvalidUsage"),
    ):
        outcome = ecs(real, way, line)
        assert (outcome.exit_code, outcome.stdout) == (exit_code, ""), str(outcome)
        assert f"({code})" in outcome.stderr


def test_a_misspelt_parameter_stops_nothing(real: RealGateway, way: dict[str, str]) -> None:
    line = "RunCommand --InstanceIds i-one i-two --Type RunShellScript --CommandContent id --RepeatMode EveryReboot"
    invoke_id = ecs(real, way, line).must_succeed().json["InvokeId"]
    outcome = ecs(real, way, f"StopInvocation --InvokeId {invoke_id} --InstancesId i-one")
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert "did you mean InstanceId?" in outcome.stderr

    def is_timed() -> bool:
        [found] = ecs(real, way, f"DescribeInvocations --InvokeId {invoke_id}").json["Invocations"]["Invocation"]
        return found["Timed"] is True

    assert is_timed()
    ecs(real, way, f"StopInvocation --InvokeId {invoke_id} --InstancesId i-one --force").must_succeed()
    assert not is_timed()


def test_a_gateway_that_is_not_there(real: RealGateway) -> None:
    way = {
        "CLOUD_ASSISTANT_GATEWAY_URL": "http://127.0.0.1:1",
        "CLOUD_ASSISTANT_GATEWAY_ACCESS_KEY_ID": "x",
        "CLOUD_ASSISTANT_GATEWAY_ACCESS_KEY_SECRET": "y",
    }
    outcome = ecs(real, way, "DescribeRegions")
    assert outcome.exit_code == 3
    assert "http://127.0.0.1:1" in outcome.stderr
