"""Rules of requests, each with the API's code."""

import base64
from collections.abc import Callable

import pytest

from cloud_assistant.broker_config.errors import CloudAssistantError
from cloud_assistant.broker_config.settings_table import LimitSettings
from cloud_assistant.producer import validation

LIMITS = LimitSettings()


@pytest.mark.parametrize(
    ("check", "code"),
    [
        (lambda: validation.name(""), "MissingName"),
        (lambda: validation.name("n" * 129), "CmdName.ExceedLimit"),
        (lambda: validation.name("a\nb"), "InvalidParameterCharacter.CommandName"),
        (lambda: validation.description("d" * 513), "CmdDesc.ExceedLimit"),
        (lambda: validation.content(b"", LIMITS), "MissingCommandContent"),
        (lambda: validation.content(b"x" * (18 * 1024 + 1), LIMITS), "CmdContent.ExceedLimit"),
        (lambda: validation.decode_base64("not base64!"), "CmdContent.DecodeError"),
        (lambda: validation.decode_base64("YQ"), "CmdContent.DecodeError"),
        # "YWJj++++YWJj", as a form reads it whose sender has not encoded the plus signs.
        (lambda: validation.decode_base64("YWJj    YWJj"), "CmdContent.DecodeError"),
        (lambda: validation.script_type("RunPerlScript"), "InvalidCmdType.NotFound"),
        (lambda: validation.working_directory("/" + "d" * 200), "InvalidParameter.WorkingDir"),
        (lambda: validation.username("u" * 256), "Username.ExceedLimit"),
        (lambda: validation.launcher("l" * 1025), "InvalidLauncher.LengthLimitExceeded"),
        (lambda: validation.timeout_seconds(86_401, LIMITS), "InvalidTimeout.ExceedLimit"),
        (lambda: validation.timeout_seconds(0, LIMITS), "InvalidTimeout"),
        (lambda: validation.deliver_within_seconds(0, LIMITS), "InvalidParameter.DeliverWithin"),
        (lambda: validation.grace_seconds(-0.1, LIMITS), "InvalidParameter.Grace"),
        (lambda: validation.grace_seconds(86_400.1, LIMITS), "InvalidParameter.Grace"),
        (lambda: validation.grace_seconds(float("nan"), LIMITS), "InvalidParameter.Grace"),
        (lambda: validation.deliver_within_seconds(30 * 86_400 + 1, LIMITS), "InvalidParameter.DeliverWithin"),
        (lambda: validation.termination_mode("Group"), "InvalidTerminationMode.NotFound"),
        (lambda: validation.tags({f"k{number}": "" for number in range(21)}), "NumberExceed.Tags"),
        (lambda: validation.tags({"": "v"}), "MissingParameter.TagKey"),
        (lambda: validation.tags({"acs:x": "v"}), "InvalidTagKey.Malformed"),
        (lambda: validation.tags({"k\n": "v"}), "InvalidTagKey.Malformed"),
        (lambda: validation.tags({"k": "v" * 129}), "InvalidTagValue.Malformed"),
        (lambda: validation.tags({"k": "v\x1b[2J"}), "InvalidTagValue.Malformed"),
        (lambda: validation.instance_name("n" * 129), "InstanceName.ExceedLimit"),
        (lambda: validation.instance_name("n\x1b[2J"), "InstanceName.InvalidPattern"),
        (lambda: validation.description("d\x1b[2J"), "InvalidParameterCharacter.CommandDescription"),
        (lambda: validation.working_directory("/\x7f"), "InvalidParameterCharacter.CommandWorkingDir"),
        (lambda: validation.username("u\x1f"), "InvalidParameter.Username"),
        # 1,025 bytes in fewer characters.
        (lambda: validation.launcher("名" * 341 + "ll"), "InvalidLauncher.LengthLimitExceeded"),
        (lambda: validation.launcher("sh\n"), "InvalidParameter.Launcher"),
        (lambda: validation.tags({"aliyun-x": "v"}), "InvalidTagKey.Malformed"),
        (lambda: validation.tags({"http://x": "v"}), "InvalidTagKey.Malformed"),
        (lambda: validation.tags({"a=b": "v"}), "InvalidTagKey.Malformed"),
        (lambda: validation.tags({"k": "see http://x"}), "InvalidTagValue.Malformed"),
        (lambda: validation.tags({"k": "see https://x"}), "InvalidTagValue.Malformed"),
        (lambda: validation.resource_group_id("r" * 65), "InvalidResourceGroup.NotFound"),
        (lambda: validation.resource_group_id("组"), "InvalidResourceGroup.NotFound"),
        (lambda: validation.resource_group_id("r\n"), "InvalidResourceGroup.NotFound"),
        (lambda: validation.client_token("t\n"), "InvalidClientToken.Malformed"),
        (lambda: validation.client_token("t" * 65), "InvalidClientToken.Malformed"),
        (lambda: validation.client_token("täg"), "InvalidClientToken.Malformed"),
    ],
)
def test_a_request_that_breaks_a_rule_carries_the_code_of_the_api(check: Callable[[], object], code: str) -> None:
    with pytest.raises(CloudAssistantError) as caught:
        check()
    assert caught.value.code == code


def test_the_largest_allowed_values_pass() -> None:
    assert validation.name("名" * 128)
    assert validation.content(b"x" * 18 * 1024, LIMITS)
    assert validation.timeout_seconds(86_400, LIMITS) == 86_400
    for seconds in (0, 86_400):
        assert validation.grace_seconds(seconds, LIMITS) == seconds
    for seconds in (1, 30 * 86_400):
        assert validation.deliver_within_seconds(seconds, LIMITS) == seconds
    for mode in ("", "Process", "ProcessTree"):
        assert validation.termination_mode(mode) == mode
    for check, text in (
        (validation.description, "d" * 510 + "\n\t"),
        (validation.working_directory, "/" + "d" * 199),
        (validation.username, "u" * 255),
        (validation.launcher, "名" * 341 + "l"),
        (validation.resource_group_id, "r" * 64),
        (validation.client_token, "t" * 64),
    ):
        assert check(text) == text
    assert len(validation.tags({f"k{number}": "" for number in range(20)})) == 20
    assert validation.tags({"k" * 64: "v" * 128})
    assert validation.instance_name("名" * 128)
    assert validation.instance_name("") == ""


def test_a_timeout_under_ten_seconds_is_raised_to_ten() -> None:
    assert validation.timeout_seconds(3, LIMITS) == 10


def test_base64_may_be_wrapped() -> None:
    data = bytes(range(200))
    wrapped = base64.encodebytes(data).decode()
    for text in (wrapped, wrapped.replace("\n", "\r\n")):
        assert validation.decode_base64(text) == data
