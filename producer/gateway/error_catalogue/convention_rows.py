"""Errors of what many actions share: paging, tags, tokens, resource groups."""

from collections.abc import Mapping

from .row import ErrorRow

_PAGE = "Page numbers start at 1; a page holds 1 to 50 entries, of DescribeInstances 1 to 100."
_RESTART_PAGING = "Start again without NextToken and keep the filters unchanged while paging."
_GROUP = "Leave ResourceGroupId out, or use one that exists."
_TAG_KEY = (
    "A tag key has 1 to 64 characters, does not start with aliyun or acs:, and holds neither http:// nor https://."
)
_TAG_VALUE = "A tag value has at most 128 characters and holds neither http:// nor https://."

ROWS: Mapping[str, ErrorRow] = {
    "InvalidParam.PageNumber": ErrorRow(400, "The page number is not valid.", _PAGE),
    "InvalidParam.PageSize": ErrorRow(400, "The page size is not valid.", _PAGE),
    "InvalidParameter.NextToken": ErrorRow(400, "The NextToken is not one of this query.", _RESTART_PAGING),
    "Invalid.NextToken": ErrorRow(403, "The NextToken is not one of this query.", _RESTART_PAGING),
    "InvalidParameter.MaxResults": ErrorRow(400, "MaxResults is not valid.", _PAGE),
    "NumberExceed.Tags": ErrorRow(400, "There are too many tags.", "Send at most 20 tags."),
    "MissingParameter.TagKey": ErrorRow(400, "A tag has no key.", "Give every Tag.N a Key."),
    "Duplicate.TagKey": ErrorRow(400, "A tag key occurs more than once.", "Give each tag key once."),
    "InvalidTagKey.Malformed": ErrorRow(400, "A tag key is not valid.", _TAG_KEY),
    "InvalidTagValue.Malformed": ErrorRow(400, "A tag value is not valid.", _TAG_VALUE),
    "IdempotentParameterMismatch": ErrorRow(
        403,
        "This ClientToken was used before with other parameters.",
        "Use a new ClientToken for every new request, the same only to repeat one.",
    ),
    "IdempotentProcessing": ErrorRow(
        403, "The first request with this ClientToken is still under way.", "Repeat the request in a moment."
    ),
    "InvalidClientToken.Malformed": ErrorRow(
        400, "The ClientToken is not valid.", "Use at most 64 ASCII characters, for example a UUID."
    ),
    "InvalidResourceGroup.NotFound": ErrorRow(404, "There is no such resource group.", _GROUP),
    "InvalidStatus.ResourceGroup": ErrorRow(403, "The resource group cannot be used now.", _GROUP),
    # TagResources, UntagResources, ListTagResources
    "NumberExceed.ResourceIds": ErrorRow(400, "There are too many resource ids.", "Send at most 50 in one request."),
    "InvalidTag.Mismatch": ErrorRow(400, "Keys and values of the tags do not go together.", "Send them in pairs."),
    "InvalidTagCount": ErrorRow(400, "The number of tags is not valid.", "Send 1 to 20 tags."),
    "BothEmpty.TagsAndResources": ErrorRow(
        403, "Neither resources nor tags were given.", "Give at least one ResourceId, Tag or TagFilter."
    ),
    "InvalidResourceId.NotSupported": ErrorRow(
        403, "Resources of this type cannot have tags.", "Check the ResourceType and the ids."
    ),
    "QuotaExceed.Tags": ErrorRow(403, "The resource would have too many tags.", "Remove tags first; 20 are allowed."),
    "Param.Conflict": ErrorRow(403, "Two parameters exclude one another.", "Send TagKey.N or All=true, not both."),
    "MissingParameter.ResourceIds": ErrorRow(404, "No resource was given.", "Give at least one ResourceId.N."),
    "MissingParameter.ResourceType": ErrorRow(
        404, "The resource type is missing.", "Give a ResourceType such as command, invocation or instance."
    ),
    "MissingParameter.Tags": ErrorRow(404, "No tag was given.", "Give at least one Tag.N.Key."),
    "MissingParameter.RegionId": ErrorRow(400, "The region is missing.", "Give a RegionId."),
    "InvalidResourceId.NotFound": ErrorRow(404, "There is no such resource.", "Check its id and the ResourceType."),
    "InvalidResourceType.NotFound": ErrorRow(
        404,
        "There is no such resource type.",
        "Use command, invocation, activation, managedinstance or instance.",
    ),
}

#: The few codes whose HTTP status depends on the action.
STATUS_IN_ACTION: Mapping[tuple[str, str], int] = {
    **{(action, "MissingParameter.RegionId"): 404 for action in ("TagResources", "UntagResources", "ListTagResources")},
    ("ListPluginStatus", "InstanceIds.ExceedLimit"): 400,
}
