"""What many actions read from their parameters in the same way: pages, tags, content, targets, encodings."""

from collections.abc import Mapping
from typing import TypeVar

from ....broker_config.errors import CloudAssistantError
from ....broker_config.programs.program_log import logger
from ... import validation
from ...fleet.targets import Targets
from ...paging import PAGE_SIZE, PAGE_SIZE_MAX, Page, PageRequest
from ...security.caller import AccessKey
from ...shapes import Encoding, Shape, as_base64, as_text
from ..api_errors import api_error
from ..domain_errors import renamed_codes
from ..page_tokens import sealed_token, unsealed_token
from .action import Call
from .instance_ids import instance_ids_of
from .parameters import Parameters

Item = TypeVar("Item")

RESOURCE_TAGS_COUNT = 10

_log = logger("gateway")


def page_request_of(call: Call, *, most: int = PAGE_SIZE_MAX) -> PageRequest:
    """Read which page is wanted; the newer style, if present, leaves the older parameters unread.

    Raises:
        ApiError: one of the four paging errors.
    """
    parameters = call.parameters
    token = parameters.text("NextToken")
    if token or parameters.text("MaxResults"):
        count = parameters.integer("MaxResults", PAGE_SIZE, minimum=1, maximum=most, code="InvalidParameter.MaxResults")
        return PageRequest(max_results=count, next_token=unsealed_token(token, call.caller), size_max=most)
    return PageRequest(
        number=parameters.integer("PageNumber", 1, minimum=1, code="InvalidParam.PageNumber"),
        size=parameters.integer("PageSize", PAGE_SIZE, minimum=1, maximum=most, code="InvalidParam.PageSize"),
        size_max=most,
    )


def page_fields(page: Page[Item], caller: AccessKey) -> Shape:
    """The fields that say which page this is; both styles are always filled in."""
    for one in page.unreadable:
        _log.warning("left out of a list: %s", one)
    return {
        "TotalCount": page.total_count,
        "PageNumber": page.number,
        "PageSize": page.size,
        "NextToken": sealed_token(page.next_token, caller),
    }


def tags_of(parameters: Parameters) -> dict[str, str]:
    """Read the tags to attach.

    Raises:
        ApiError: one of the five tag errors.
    """
    found = _pairs(parameters, "Tag", _TAG_CODES, most=validation.TAGS_COUNT)
    return validation.tags({key: value or "" for key, value in found.items()})


def tag_filter_of(parameters: Parameters) -> dict[str, str | None]:
    """Read the tags to filter by; one without a value matches any value."""
    found = _pairs(parameters, "Tag", _TAG_CODES, most=validation.TAGS_COUNT)
    _check_looked_for(found)
    return found


def targets_of(call: Call) -> Targets:
    """Read for which instances a request is: their ids, or ``ResourceTag.N``.

    Raises:
        ApiError: ``MissingParam.InstanceId``, both ways at once, or an error of the ``ResourceTag`` family.
    """
    ids = instance_ids_of(call.parameters)
    tags = _pairs(call.parameters, "ResourceTag", _RESOURCE_TAG_CODES, most=RESOURCE_TAGS_COUNT)
    with renamed_codes(_RESOURCE_TAG_CODES):
        _check_looked_for(tags)
    if ids and tags:
        raise api_error("InvalidResourceTag.ConflictWithInstanceIds")
    if not ids and not tags:
        raise api_error("MissingParam.InstanceId")
    return Targets(instance_ids=ids, tags=tags)


def counted_instance_ids_of(call: Call, *, most: int) -> list[str]:
    """Read instance ids, at most ``most``; an empty list when none was given."""
    ids = instance_ids_of(call.parameters)
    if len(ids) > most:
        detail = f"{len(ids)} instances were given; this action takes {most}."
        raise api_error("InstanceIds.ExceedLimit", detail, action=call.action)
    return ids


def encoding_of(parameters: Parameters) -> Encoding:
    """How a Describe action shows content and output: Base64 unless plain text is asked for."""
    return as_text if parameters.text("ContentEncoding").lower() == "plaintext" else as_base64


def content_of(
    parameters: Parameters, name: str, *, encoding_name: str, base64_by_default: bool, decode_code: str
) -> bytes:
    """Read content in the encoding that the request names; an unknown one counts as the action's default.

    Raises:
        ApiError: ``Missing<Name>``, or the decode code.
    """
    text = parameters.required(name)
    encoding = parameters.text(encoding_name).lower()
    is_base64 = encoding == "base64" or (base64_by_default and encoding != "plaintext")
    if not is_base64:
        return text.encode()
    try:
        return validation.decode_base64(text)
    except CloudAssistantError as exc:
        raise api_error(decode_code) from exc


def timeout_of(parameters: Parameters, default: int) -> int:
    """Read a timeout in seconds; the shortest is ten, smaller ones are raised to it later."""
    return parameters.integer("Timeout", default, minimum=1, code="InvalidTimeout")


def pairs_of(parameters: Parameters, name: str) -> dict[str, str | None]:
    """Read ``Name.1.Key``, ``Name.1.Value`` … under the codes of tags; nothing is said of what they hold."""
    return _pairs(parameters, name, _TAG_CODES, most=validation.TAGS_COUNT)


_TAG_CODES: Mapping[str, str] = {
    "MissingParameter.TagKey": "MissingParameter.TagKey",
    "Duplicate.TagKey": "Duplicate.TagKey",
    "NumberExceed.Tags": "NumberExceed.Tags",
}
_RESOURCE_TAG_CODES: Mapping[str, str] = {
    "MissingParameter.TagKey": "MissingParameter.ResourceTagKey",
    "Duplicate.TagKey": "Duplicate.ResourceTagKey",
    "NumberExceed.Tags": "NumberExceed.ResourceTags",
    "InvalidTagKey.Malformed": "InvalidResourceTagKey.Malformed",
    "InvalidTagValue.Malformed": "InvalidResourceTagValue.Malformed",
}


def _check_looked_for(tags: Mapping[str, str | None]) -> None:
    given = {key: value or "" for key, value in tags.items()}
    validation.tags(given, key_characters=validation.LATER_TAG_KEY_CHARACTERS)


def _pairs(parameters: Parameters, name: str, codes: Mapping[str, str], *, most: int) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for one in parameters.objects(name):
        key = one.text("Key") or one.text("key")
        if not key:
            raise api_error(codes["MissingParameter.TagKey"])
        if key in found:
            raise api_error(codes["Duplicate.TagKey"], f"The tag key {key[:64]!r} occurs more than once.")
        found[key] = one.text("Value", one.text("value", None))
    if len(found) > most:
        raise api_error(codes["NumberExceed.Tags"], f"{len(found)} tags were given; at most {most} are allowed.")
    return found
