"""The Python sample of the original documentation, every line as it stands, on today's old SDK with a real agent."""

import gc
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aliyunsdkcore.client import AcsClient
from e2e.gateway.real_gateway import RealGateway

# The SDK leaves its sockets to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SAMPLE = (Path(__file__).parent / "sample_of_2018.txt").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def _close_what_the_sdk_leaves_open() -> Iterator[None]:
    yield
    gc.collect()


def sample_on(real: RealGateway) -> dict[str, Any]:
    """Execute the sample; what it does not show (sending, and two imports) is given to it."""
    client = AcsClient(real.key_id, real.secret, "cn-hangzhou", port=real.port, auto_retry=False)
    client.add_endpoint("cn-hangzhou", "Ecs", "127.0.0.1")

    def send(request: Any) -> Any:
        request.set_accept_format("json")
        return json.loads(client.do_action_with_exception(request))

    names: dict[str, Any] = {"_send_request": send, "time": time, "logging": logging}
    exec(compile(SAMPLE, "sample_of_2018.txt", "exec"), names)
    return names


def test_the_sample_finds_its_result(real: RealGateway) -> None:
    sample = sample_on(real)
    command_id = sample["create_command"]("ZWNobyAxMjM=", "RunShellScript", "test", "test")
    invoke_id = sample["invoke_command"]("i-one", command_id, "false")
    assert sample["check_task_result"]("i-one", invoke_id, "MTIzCg==") == "true"


def test_the_sample_does_not_find_a_result_that_is_not_there(
    real: RealGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = sample_on(real)
    command_id = sample["create_command"]("ZWNobyAxMjM=", "RunShellScript", "test", "test")
    invoke_id = sample["invoke_command"]("i-one", command_id, "false")
    real.results(invoke_id)
    sample["time"] = type("Clock", (), {"sleep": staticmethod(lambda _seconds: None)})
    assert sample["check_task_result"]("i-one", invoke_id, "d3Jvbmc=") == "false"
