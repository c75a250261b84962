"""Assemble the parameters of a request from its query and its form, before anything is verified."""

from collections.abc import Mapping
from dataclasses import dataclass

from .access.percent_encoding import decoded_pairs
from .api_errors import ApiError, api_error
from .serving.http_messages import HttpRequest

#: Older spellings that hand-written clients still send, with the spelling that counts today.
OLDER_SPELLINGS: Mapping[str, str] = {"TimeOut": "Timeout"}
#: The same, valid for one action only.
OLDER_SPELLINGS_OF_ACTION: Mapping[str, Mapping[str, str]] = {"DescribeInvocations": {"Type": "CommandType"}}


@dataclass(frozen=True, slots=True)
class RequestParameters:
    """What came in the query, and what query and form say together."""

    query: Mapping[str, str]
    merged: Mapping[str, str]


def assembled(request: HttpRequest) -> RequestParameters:
    """Decode and merge query and form. A name in both takes the form's value: that is how the SDKs sign.

    Raises:
        ApiError: ``InvalidParameter`` when the bytes are not UTF-8.
    """
    query = _decoded(request.query, "query string")
    if not request.has_form:
        return RequestParameters(query, query)
    return RequestParameters(query, {**query, **_decoded(request.body, "form")})


def with_todays_names(action: str, values: Mapping[str, str]) -> Mapping[str, str]:
    """Give parameters in an older spelling their present name, unless the present name is there too."""
    spellings = {**OLDER_SPELLINGS, **OLDER_SPELLINGS_OF_ACTION.get(action, {})}
    renamed = {today: values[older] for older, today in spellings.items() if older in values and today not in values}
    return {**values, **renamed} if renamed else values


def _decoded(raw: bytes, place: str) -> dict[str, str]:
    try:
        return decoded_pairs(raw)
    except UnicodeDecodeError as exc:
        raise _not_utf8(place) from exc


def _not_utf8(place: str) -> ApiError:
    return api_error("InvalidParameter", f"The {place} holds bytes that are not UTF-8.")
