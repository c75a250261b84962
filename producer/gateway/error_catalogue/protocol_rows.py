"""Errors of the protocol: before an action is reached, or about any action."""

from collections.abc import Mapping

from .row import ErrorRow

_CHECK_SPELLING = "Check the name, which is case-sensitive, against the list of actions in the documentation."
_VERSION = "Send Version=2014-05-26."
_ASK_FOR_ACCESS = "Ask an administrator for an access key that may do it."
_SIGN_AGAIN = "Sign every request anew with the current time in UTC and a fresh nonce."
_REQUEST_STS = "Request new temporary credentials and send all three parts of them."
_TRY_LATER = "Try again later, more slowly."
_TELL_OPERATOR = "Give the request id to the operator of this gateway, who finds the cause in its log."

ROWS: Mapping[str, ErrorRow] = {
    "InvalidAction.NotFound": ErrorRow(404, "There is no such action.", _CHECK_SPELLING),
    "InvalidApi.NotFound": ErrorRow(404, "There is no such action in this version.", _CHECK_SPELLING),
    "InvalidAction": ErrorRow(404, "The action is not valid.", _CHECK_SPELLING),
    "InvalidVersion": ErrorRow(400, "The version is not served here.", _VERSION),
    "NoSuchVersion": ErrorRow(400, "There is no such version.", _VERSION),
    "MissingParameter": ErrorRow(
        400, "A parameter that every request needs is missing.", "Use an official SDK, or add it before signing."
    ),
    "InvalidParameter": ErrorRow(400, "A parameter is not valid.", "Correct its value."),
    "InvalidParameter.Format": ErrorRow(400, "The answer's format is unknown.", "Send Format=JSON or Format=XML."),
    "InvalidAccessKeyId.NotFound": ErrorRow(
        404, "There is no such access key.", "Check the AccessKeyId; assist access-key list shows the known ones."
    ),
    "InvalidAccessKeyId.Inactive": ErrorRow(
        400, "The access key is disabled.", "Use another access key, or have this one enabled."
    ),
    "Forbidden.AccessKeyDisabled": ErrorRow(
        403, "The access key is disabled.", "Use another access key, or have this one enabled."
    ),
    "SignatureDoesNotMatch": ErrorRow(
        400, "The signature is not the one this server computes.", "Check the AccessKeySecret."
    ),
    "IncompleteSignature": ErrorRow(
        400, "The signature does not cover what it must.", "Use an official SDK, or sign the headers named here."
    ),
    "InvalidSignatureMethod": ErrorRow(
        400,
        "The signature method is not supported.",
        "Use HMAC-SHA1 with SignatureVersion=1.0, or ACS3-HMAC-SHA256.",
    ),
    "SignatureNonceUsed": ErrorRow(400, "The nonce was used before.", _SIGN_AGAIN),
    "InvalidTimeStamp.Format": ErrorRow(
        400, "The time is not in the form 2026-01-31T08:00:00Z (UTC, whole seconds).", _SIGN_AGAIN
    ),
    "InvalidTimeStamp.Expired": ErrorRow(
        400, "The request's time is too far from this server's.", "Set the client's clock; 15 minutes are tolerated."
    ),
    "IllegalTimestamp": ErrorRow(400, "The time is not valid.", _SIGN_AGAIN),
    "MissingSecurityToken": ErrorRow(400, "This access key needs a security token.", _REQUEST_STS),
    "InvalidSecurityToken.Malformed": ErrorRow(400, "The security token is malformed.", _REQUEST_STS),
    "InvalidSecurityToken.MismatchWithAccessKey": ErrorRow(
        400, "The security token does not belong to this access key.", _REQUEST_STS
    ),
    "InvalidSecurityToken.Expired": ErrorRow(400, "The security token has expired.", _REQUEST_STS),
    "UnsupportedHTTPMethod": ErrorRow(403, "This HTTP method is not supported.", "Use GET or POST."),
    "Throttling": ErrorRow(400, "Too many requests.", _TRY_LATER),
    "Throttling.User": ErrorRow(400, "Too many requests of this user.", _TRY_LATER),
    "Throttling.Api": ErrorRow(400, "Too many requests for this action.", _TRY_LATER),
    "Forbidden.RAM": ErrorRow(403, "The access key may not do this.", _ASK_FOR_ACCESS),
    "Forbidden.Unauthorized": ErrorRow(403, "The access key may not do this.", _ASK_FOR_ACCESS),
    "Forbidden.SubUser": ErrorRow(403, "This user may not do this.", _ASK_FOR_ACCESS),
    "NoPermission": ErrorRow(403, "The access key may not do this.", _ASK_FOR_ACCESS),
    "Operation.Forbidden": ErrorRow(403, "The operation is not permitted.", "No access key can do this here."),
    "InvalidRegionId.NotFound": ErrorRow(404, "There is no such region.", "DescribeRegions lists the regions."),
    "RegionId.ApiNotSupported": ErrorRow(
        400, "The action is not offered in this region.", "DescribeRegions lists the regions."
    ),
    "InternalError": ErrorRow(500, "The request failed for a reason inside the gateway.", _TELL_OPERATOR),
    "InternalError.Dispatch": ErrorRow(500, "The request could not be passed on.", _TELL_OPERATOR),
    "ServiceUnavailable": ErrorRow(503, "The service cannot answer at present.", "Try again in a few seconds."),
    # Not in the vendor's tables: limits of HTTP itself, which a client meets only by sending far too much.
    "RequestTimeout": ErrorRow(408, "The request did not arrive in time.", "Send it again over a faster connection."),
    "RequestEntityTooLarge": ErrorRow(413, "The request's body is too large.", "Send less in one request."),
    "RequestHeaderTooLarge": ErrorRow(
        431, "The request line and headers are too large.", "Send the parameters in the body, as a form."
    ),
    "MalformedRequest": ErrorRow(400, "This is not a valid HTTP request.", "Check the client or the proxy before us."),
}
