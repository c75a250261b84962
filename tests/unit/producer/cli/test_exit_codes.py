"""Every error ends the program with the exit code that its meaning has."""

import pytest

from cloud_assistant.broker_config.errors import (
    CloudAssistantError,
    NotFound,
    RedisRefused,
    RedisUnreachable,
    Refused,
    RequestInvalid,
    SettingsInvalid,
    WaitTimedOut,
)
from cloud_assistant.producer.cli.exit_codes import code_of


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RequestInvalid("no target", code="MissingParam.InstanceId"), 2),
        (SettingsInvalid("unknown"), 2),
        (RedisUnreachable("gone"), 3),
        (RedisRefused("LOADING Redis is loading the dataset in memory"), 3),
        (RedisRefused("READONLY You can't write against a read only replica."), 3),
        (RedisRefused("NOPERM no permissions"), 4),
        (RedisRefused("WRONGPASS invalid username-password pair"), 4),
        (RedisRefused("OOM command not allowed"), 4),
        (Refused("full", code="CmdCount.ExceedQuota"), 4),
        (Refused("too long", code="CmdContent.ExceedLimit"), 4),
        (Refused("in use", code="InvalidStatus.CmdIdInUse"), 4),
        (NotFound("no command", code="InvalidCmdId.NotFound"), 5),
        (WaitTimedOut("not yet"), 6),
    ],
)
def test_an_error_has_the_exit_code_of_its_kind(error: CloudAssistantError, expected: int) -> None:
    assert code_of(error) == expected


def test_a_tag_that_nothing_carries_was_not_found_although_the_api_calls_it_malformed() -> None:
    assert code_of(RequestInvalid("no instance carries a=b", code="InvalidResourceTag.InstanceNotFound")) == 5


@pytest.mark.parametrize(
    "code", ["Parameter.NotMatched", "ParameterKey.Duplicate", "InvalidParameterCharset.Parameters"]
)
def test_a_parameter_typed_wrong_is_wrong_usage_although_the_api_forbids_it(code: str) -> None:
    assert code_of(Refused("no such parameter", code=code)) == 2


def test_too_many_parameters_are_refused() -> None:
    assert code_of(Refused("11 given", code="ParameterCount.ExceedLimit")) == 4


@pytest.mark.parametrize(
    "error",
    [
        NotFound("no type", code="MissingParameter.ResourceType"),
        Refused("neither ids nor tags", code="BothEmpty.TagsAndResources"),
    ],
)
def test_a_parameter_that_is_missing_is_wrong_usage_whatever_status_the_api_gives_it(
    error: CloudAssistantError,
) -> None:
    assert code_of(error) == 2
