"""TagResources, UntagResources, ListTagResources."""

from collections.abc import Mapping, Sequence

from ....broker_config.errors import CloudAssistantError
from ... import validation
from ...api import Assistant
from ...fleet import tagged_resources
from ..api_errors import ApiError, api_error
from ..domain_errors import renamed_codes
from ..page_tokens import sealed_token, unsealed_token
from .action import Action, Call, Fields
from .parameters import Parameters
from .request_values import pairs_of

RESOURCES_COUNT = 50
#: Resources on one page of ListTagResources.
_PAGE_COUNT = 50
#: The first word in a token of such a page.
_AFTER = "tags-after"


class TagActions:
    """Tags of things that exist."""

    def __init__(self, assistant: Assistant) -> None:
        self._redis = assistant.redis

    def table(self) -> Mapping[str, Action]:
        """The actions by name."""
        return {
            "TagResources": self.tag_resources,
            "UntagResources": self.untag_resources,
            "ListTagResources": self.list_tag_resources,
        }

    def tag_resources(self, call: Call) -> Fields:
        """Attach tags to every resource named; a key that is there gets the new value."""
        kind, ids = _resources_of(call, required=True)
        tags = _tags_of(call.parameters)
        if not tags:
            raise api_error("MissingParameter.Tags")
        given = {key: value or "" for key, value in tags.items()}
        validation.tags(given, key_characters=validation.LATER_TAG_KEY_CHARACTERS)
        tagged_resources.change(self._redis, kind, ids, lambda before: {**before, **given})
        return {}

    def untag_resources(self, call: Call) -> Fields:
        """Take tags off: those of the keys named, or all."""
        kind, ids = _resources_of(call, required=True)
        gone = frozenset(filter(None, call.parameters.list_of("TagKey")))
        everything = call.parameters.boolean("All", False)
        if everything and gone:
            raise api_error("Param.Conflict")
        if len(gone) > validation.TAGS_COUNT:
            raise api_error("InvalidTagCount", f"{len(gone)} tag keys were given; at most {validation.TAGS_COUNT}.")
        if not gone and not everything:
            raise api_error("MissingParameter.Tags", "Neither TagKey.N nor All=true was given.")

        def to(before: Mapping[str, str]) -> dict[str, str]:
            return {} if everything else {key: value for key, value in before.items() if key not in gone}

        tagged_resources.change(self._redis, kind, ids, to)
        return {}

    def list_tag_resources(self, call: Call) -> Fields:
        """List the tags of the resources named, or of all that carry the tags named."""
        kind, ids = _resources_of(call, required=False)
        wanted = _wanted_of(call.parameters)
        if not ids and not wanted:
            raise api_error("BothEmpty.TagsAndResources")
        tagged_resources.check_type(kind)
        found = set(tagged_resources.tagged_ids(self._redis, kind, wanted)) if wanted else None
        chosen = sorted(found or ()) if not ids else [one for one in ids if found is None or one in found]
        # As many as may be named fit on one page: those that go on are in the order of their ids.
        last = _last_of(call)
        rest = [one for one in chosen if one > last] if last else chosen
        page = rest[:_PAGE_COUNT]
        entries = [
            {"ResourceId": one, "ResourceType": kind, "TagKey": key, "TagValue": value}
            for one, tags in zip(page, tagged_resources.tags_of(self._redis, kind, page), strict=True)
            for key, value in (tags or {}).items()
        ]
        token = sealed_token(f"{_AFTER} {page[-1]}", call.caller) if len(rest) > len(page) else ""
        return {"NextToken": token, "TagResources": {"TagResource": entries}}


def _resources_of(call: Call, *, required: bool) -> tuple[str, Sequence[str]]:
    given = call.parameters
    if not given.text("RegionId"):
        raise api_error("MissingParameter.RegionId", action=call.action)
    kind = given.required("ResourceType", code="MissingParameter.ResourceType").lower()
    ids = list(dict.fromkeys(filter(None, given.list_of("ResourceId"))))
    if required and not ids:
        raise api_error("MissingParameter.ResourceIds")
    if len(ids) > RESOURCES_COUNT:
        raise api_error("NumberExceed.ResourceIds", f"{len(ids)} resources were given.")
    return kind, ids


def _tags_of(given: Parameters) -> Mapping[str, str | None]:
    with renamed_codes({"MissingParameter.TagKey": "InvalidTag.Mismatch"}):
        return pairs_of(given, "Tag")


def _wanted_of(given: Parameters) -> dict[str, Sequence[str] | None]:
    """Tags that must be there: ``Tag.N`` with its value, ``TagFilter.N`` with one of several; each of them counts."""
    wanted: dict[str, Sequence[str] | None] = {
        key: None if value is None else [value] for key, value in _tags_of(given).items()
    }
    for one in given.objects("TagFilter"):
        key, values = one.required("TagKey", code="InvalidTag.Mismatch"), one.list_of("TagValues")
        before = wanted.get(key)
        wanted[key] = (values or None) if before is None else [it for it in before if not values or it in values]
    return wanted


def _last_of(call: Call) -> str:
    """The resource that the page before ended with; a place in the list would be another once tags are changed."""
    token = call.parameters.text("NextToken")
    if not token:
        return ""
    try:
        word, _, last = unsealed_token(token, call.caller).partition(" ")
        if word != _AFTER:
            raise api_error("Invalid.NextToken")
        return last
    except (ApiError, CloudAssistantError) as exc:
        raise api_error("Invalid.NextToken") from exc
