"""A request that comes twice with one client token has one effect, however the first one ended."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from cloud_assistant.broker_config.dispatch import Dispatched, Dispatcher
from cloud_assistant.broker_config.errors import CloudAssistantError, RedisRefused, RedisUnreachable
from cloud_assistant.producer.api import Assistant
from cloud_assistant.producer.fleet.targets import Targets

ON_1 = Targets(instance_ids=["i-1"])


def code_of(act: Callable[[], object]) -> str:
    with pytest.raises(CloudAssistantError) as caught:
        act()
    return caught.value.code


def test_one_client_token_makes_one_invocation(assistant: Assistant) -> None:
    first = assistant.run_command("echo 1", ON_1, client_token="once")
    again = assistant.run_command("echo 1", ON_1, client_token="once")
    assert again == first
    assert assistant.describe_invocations().total_count == 1
    assert code_of(lambda: assistant.run_command("echo 2", ON_1, client_token="once")) == "IdempotentParameterMismatch"


def test_a_failed_request_does_not_use_its_client_token_up(assistant: Assistant) -> None:
    nobody = Targets(instance_ids=["i-none"])
    assert code_of(lambda: assistant.run_command("true", nobody, client_token="t")) == "InvalidInstance.NotFound"
    assistant.add_instance("i-none")
    assert assistant.run_command("true", nobody, client_token="t").target_count == 1


@pytest.mark.parametrize(
    "broke_off",
    [RedisUnreachable("gone"), RedisRefused("OOM no room"), KeyboardInterrupt(), RecursionError()],
    ids=repr,
)
def test_a_request_that_broke_off_is_not_made_twice_with_one_client_token(
    assistant: Assistant, monkeypatch: pytest.MonkeyPatch, broke_off: BaseException
) -> None:
    """A beat completes a dispatch that was cut off; the same once more would be a second one."""
    write = Dispatcher._write

    def write_some(dispatcher: Dispatcher, batches: Iterator[Any], so_far: tuple[int, int]) -> Dispatched:
        monkeypatch.setattr(Dispatcher, "_write", write)
        raise broke_off

    monkeypatch.setattr(Dispatcher, "_write", write_some)
    with pytest.raises(type(broke_off)):
        assistant.run_command("true", ON_1, client_token="t")
    assert assistant.describe_invocations().total_count == 1
    assert code_of(lambda: assistant.run_command("true", ON_1, client_token="t")) == "IdempotentProcessing"
    assert code_of(lambda: assistant.run_command("id", ON_1, client_token="t")) == "IdempotentParameterMismatch"
    assert assistant.describe_invocations().total_count == 1
