"""The catalogue is complete, consistent, and tells people what to do."""

import pytest

from cloud_assistant.producer.gateway.api_errors import api_error, http_status_of
from cloud_assistant.producer.gateway.error_catalogue import (
    CATALOGUE,
    STATUS_IN_ACTION,
    row_of,
)
from harness.documented_errors import COMMON_ERRORS, ERRORS_OF_ACTIONS

#: Status words of the public documentation, sampled over all its tables.
DOCUMENTED = {
    "InvalidCmdId.NotFound": 404,
    "InvalidStatus.CmdIdInUse": 403,
    "CmdContent.DecodeError": 400,
    "CmdContent.ExceedLimit": 403,
    "MissingParam.InstanceId": 400,
    "InstanceIds.ExceedLimit": 403,
    "InvalidInstance.NotFound": 404,
    "InvalidInstance.NotMatch": 400,
    "Parameter.Disabled": 400,
    "Parameter.NotMatched": 403,
    "InvalidRepeatMode.NotFound": 404,
    "InvalidParam.Frequency": 400,
    "IdempotentParameterMismatch": 403,
    "InvalidAccessKeyId.NotFound": 404,
    "SignatureDoesNotMatch": 400,
    "InvalidTimeStamp.Expired": 400,
    "UnsupportedHTTPMethod": 403,
    "InvalidAction.NotFound": 404,
    "Forbidden.RAM": 403,
    "Throttling": 400,
    "InternalError": 500,
    "ServiceUnavailable": 503,
    "Invalid.NextToken": 403,
    "MissingParameter.ResourceType": 404,
    "FileContentType.Invalid": 400,
    "ActivationId.InUse": 403,
}


@pytest.mark.parametrize(("code", "http_status"), DOCUMENTED.items())
def test_a_code_has_its_documented_status(code: str, http_status: int) -> None:
    assert api_error(code).http_status == http_status


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_row_says_what_is_wrong_and_what_to_do(code: str) -> None:
    row = CATALOGUE[code]
    assert 400 <= row.http_status < 600
    assert row.what.endswith(".")
    assert row.remedy.endswith(".")
    assert api_error(code).message == f"{row.what} {row.remedy}"


@pytest.mark.parametrize("action", ERRORS_OF_ACTIONS)
def test_every_documented_error_of_an_action_has_a_row_of_its_own(action: str) -> None:
    assert (ERRORS_OF_ACTIONS[action] | COMMON_ERRORS) <= CATALOGUE.keys()


def test_no_row_is_there_for_nothing() -> None:
    used = frozenset().union(*ERRORS_OF_ACTIONS.values()) | COMMON_ERRORS
    protocol = {code for code, row in CATALOGUE.items() if code not in used}
    assert protocol <= {
        *("InvalidAction.NotFound", "InvalidApi.NotFound", "InvalidAction", "InvalidVersion", "NoSuchVersion"),
        *("MissingParameter", "InvalidParameter", "InvalidParameter.Format", "InternalError"),
        *("InvalidAccessKeyId.NotFound", "InvalidAccessKeyId.Inactive", "Forbidden.AccessKeyDisabled"),
        *("SignatureDoesNotMatch", "IncompleteSignature", "InvalidSignatureMethod", "SignatureNonceUsed"),
        *("InvalidTimeStamp.Format", "InvalidTimeStamp.Expired", "IllegalTimestamp", "MissingSecurityToken"),
        *("InvalidSecurityToken.Malformed", "InvalidSecurityToken.MismatchWithAccessKey"),
        *("InvalidSecurityToken.Expired", "UnsupportedHTTPMethod", "Throttling", "Throttling.User"),
        *("Throttling.Api", "Forbidden.RAM", "Forbidden.Unauthorized", "Forbidden.SubUser", "NoPermission"),
        *("RequestTimeout", "RequestEntityTooLarge", "RequestHeaderTooLarge", "MalformedRequest"),
    }


def test_a_detail_takes_the_place_of_the_general_sentence_and_keeps_the_remedy() -> None:
    error = api_error("InvalidCmdId.NotFound", "There is no command c-1.")
    assert error.message == "There is no command c-1. DescribeCommands lists the commands."


def test_a_code_built_from_a_parameters_name_belongs_to_a_family() -> None:
    assert http_status_of("MissingInvokeId") == 400
    assert http_status_of("MissingParameter.InvokeId") == 400
    assert http_status_of("InvalidParameter.Timed") == 400
    assert http_status_of("InvalidOverwrite") == 400


@pytest.mark.parametrize("code", ["", "Nonsense", "InvalidCmd.NotFound", "MissingParm.InstanceId", "missingName"])
def test_an_undocumented_code_is_a_mistake_of_ours(code: str) -> None:
    with pytest.raises(KeyError):
        row_of(code)


def test_a_status_may_differ_by_action() -> None:
    assert http_status_of("MissingParameter.RegionId") == 400
    assert http_status_of("MissingParameter.RegionId", "TagResources") == 404
    assert http_status_of("InstanceIds.ExceedLimit", "StopInvocation") == 403
    assert http_status_of("InstanceIds.ExceedLimit", "ListPluginStatus") == 400
    assert {action for action, _ in STATUS_IN_ACTION} <= ERRORS_OF_ACTIONS.keys()


@pytest.mark.parametrize(
    ("code", "helps"),
    [
        ("InvalidParameter.SettingType", "ResourceUsage"),
        ("InvalidParam.PageSize", "of DescribeInstances 1 to 100"),
        ("Operation.Forbidden", "No access key can"),
        ("Forbidden.RAM", "an access key that may"),
    ],
)
def test_a_remedy_leads_further_than_to_the_same_refusal(code: str, helps: str) -> None:
    assert helps in row_of(code).remedy
