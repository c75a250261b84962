"""``limits.strict``: the service's own ceilings for the targets of one request, which otherwise do not hold."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from cloud_assistant.broker_config.errors import Refused
from cloud_assistant.broker_config.settings_table import LimitSettings, Settings
from cloud_assistant.producer import Assistant, Targets
from cloud_assistant.producer.gateway.actions.action import Call
from cloud_assistant.producer.gateway.actions.parameters import Parameters
from cloud_assistant.producer.gateway.actions.table import action_registry
from cloud_assistant.producer.gateway.api_errors import ApiError
from cloud_assistant.producer.security.caller import AccessKey
from harness.redis_server import RedisServer

INSTANCES = [f"i-{number:03}" for number in range(101)]
RUN = {"CommandContent": "ZWNobyAxMjM=", "Type": "RunShellScript"}
FILE = {"Name": "a", "TargetDir": "/tmp", "Content": "x"}
Make = Callable[..., Assistant]


@pytest.fixture
def make(redis_server: RedisServer, tmp_path: Path) -> Iterator[Make]:
    """Make control sides of one fleet, with these limits."""
    made: list[Assistant] = []

    def with_limits(*, strict: bool = False, targets_count: int = 0) -> Assistant:
        limits = LimitSettings(strict=strict, targets_count=targets_count)
        settings = Settings(redis_url=redis_server.url(), home=str(tmp_path), limits=limits)
        made.append(Assistant(settings=settings))
        return made[-1]

    fleet = with_limits()
    for instance_id in INSTANCES:
        fleet.add_instance(instance_id)
    yield with_limits
    for one in made:
        one.close()


def code_of(assistant: Assistant, action: str, given: Mapping[str, str], count: int) -> str:
    """The code with which a request for so many instances is refused; empty when it is not."""
    found = action_registry(assistant).find(action)
    assert found is not None
    targets = {f"InstanceId.{number}": one for number, one in enumerate(INSTANCES[:count], 1)}
    caller = AccessKey("k", "secret", active=True, principal="tester")
    try:
        found(Call(action, Parameters({"RegionId": "local", **given, **targets}), caller, "request"))
    except ApiError as error:
        return error.code
    return ""


@pytest.mark.parametrize(
    ("action", "given", "most"),
    [
        ("RunCommand", RUN, 100),
        ("SendFile", FILE, 50),
        ("StopInvocation", {}, 50),
    ],
    ids=["run", "file", "stop"],
)
def test_a_request_for_more_instances_than_the_service_takes_is_refused_only_when_limits_are_strict(
    make: Make, action: str, given: dict[str, str], most: int
) -> None:
    strict, ordinary = make(strict=True), make()
    if action == "StopInvocation":
        given = {"InvokeId": ordinary.run_command("true", Targets(everything=True)).invoke_id}
    assert code_of(strict, action, given, most + 1) == "InstanceIds.ExceedLimit"
    assert code_of(strict, action, given, most) == ""
    assert code_of(ordinary, action, given, most + 1) == ""


def test_strict_limits_hold_for_assist_and_the_python_api_too(make: Make) -> None:
    with pytest.raises(Refused, match="101 targets; at most 100 in one request"):
        make(strict=True).run_command("true", Targets(everything=True))
    assert make().run_command("true", Targets(everything=True)).invoke_id


def test_a_lower_limit_of_ones_own_holds_beside_them(make: Make) -> None:
    for own_count, most in ((10, 10), (1_000, 100)):
        with pytest.raises(Refused, match=f"101 targets; at most {most} in one request"):
            make(strict=True, targets_count=own_count).run_command("true", Targets(everything=True))
