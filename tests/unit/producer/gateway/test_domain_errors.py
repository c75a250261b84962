"""The control side's exceptions become the API's errors."""

import pytest

from cloud_assistant.broker_config.errors import (
    CloudAssistantError,
    NotFound,
    RedisRefused,
    RedisUnreachable,
    Refused,
    RequestInvalid,
)
from cloud_assistant.producer.gateway.actions.action import Call, Fields, NotYet
from cloud_assistant.producer.gateway.actions.parameters import Parameters
from cloud_assistant.producer.gateway.api_errors import ApiError
from cloud_assistant.producer.gateway.domain_errors import api_error_of, renamed_codes, with_api_errors
from cloud_assistant.producer.security.caller import AccessKey

CALL = Call("Any", Parameters({}), AccessKey("k", "s", active=True, principal="p"), "id")


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (NotFound("gone", code="InvalidCmdId.NotFound"), "InvalidCmdId.NotFound", 404),
        (Refused("full", code="CmdCount.ExceedQuota"), "CmdCount.ExceedQuota", 403),
        (RequestInvalid("bad", code="MissingName"), "MissingName", 400),
        (Refused("ours", code="Only.Ours"), "Only.Ours", 403),
        (NotFound("ours", code="Only.Ours"), "Only.Ours", 404),
        (RequestInvalid("ours", code="Only.Ours"), "Only.Ours", 400),
        (RedisUnreachable("redis://secret@host"), "ServiceUnavailable", 503),
        (RedisRefused("OOM no room"), "ServiceUnavailable", 503),
        (CloudAssistantError("odd", code="Unheard.Of"), "InternalError", 500),
    ],
)
def test_code_and_status(error: CloudAssistantError, code: str, status: int) -> None:
    found = api_error_of(error)
    assert (found.code, found.http_status) == (code, status)
    assert "secret" not in found.message


def test_a_later_look_is_guarded_like_the_first() -> None:
    def look_again() -> Fields:
        raise NotFound("gone", code="InvalidCmdId.NotFound")

    outcome = with_api_errors(lambda _call: NotYet({}, look_again, 10))(CALL)
    assert isinstance(outcome, NotYet)
    with pytest.raises(ApiError) as caught:
        outcome.look_again()
    assert caught.value.code == "InvalidCmdId.NotFound"


def test_a_renamed_code_keeps_its_text_and_others_stay() -> None:
    names = {"CmdContent.ExceedLimit": "InvalidCommandContent.LengthLimitExceeded"}
    with pytest.raises(ApiError) as caught, renamed_codes(names):
        raise Refused("thirty kilobytes", code="CmdContent.ExceedLimit")
    assert caught.value.code == "InvalidCommandContent.LengthLimitExceeded"
    assert "thirty kilobytes" in caught.value.message
    with pytest.raises(Refused), renamed_codes(names):
        raise Refused("other", code="CmdCount.ExceedQuota")
