"""Pages and tags are read within the limits of the action that asks for them."""

import pytest
from unit.producer.gateway.doubles import KeysInMemory

from cloud_assistant.broker_config.errors import CloudAssistantError
from cloud_assistant.producer.gateway.actions.action import Call
from cloud_assistant.producer.gateway.actions.parameters import Parameters
from cloud_assistant.producer.gateway.actions.request_values import page_request_of, tag_filter_of, targets_of
from cloud_assistant.producer.gateway.api_errors import ApiError


def call(**values: str) -> Call:
    caller = KeysInMemory().find("testid")
    assert caller is not None
    given = {name.replace("__", "."): value for name, value in values.items()}
    return Call("DescribeInstances", Parameters(given), caller, "request")


@pytest.mark.parametrize("name", ["MaxResults", "PageSize"])
def test_an_action_may_have_larger_pages(name: str) -> None:
    assert page_request_of(call(**{name: "100"}), most=100).check().count == 100
    with pytest.raises(ApiError, match=f"{name}"):
        page_request_of(call(**{name: "51"}))
    with pytest.raises(ApiError, match=f"{name}"):
        page_request_of(call(**{name: "101"}), most=100)


def test_tags_that_are_looked_for_may_have_the_keys_that_things_are_given_later() -> None:
    longest = "k" * 128
    assert tag_filter_of(call(Tag__1__Key=longest).parameters) == {longest: None}
    assert targets_of(call(ResourceTag__1__Key=longest, ResourceTag__1__Value="v")).tags == {longest: "v"}
    with pytest.raises(CloudAssistantError):
        tag_filter_of(call(Tag__1__Key=longest + "k").parameters)
    with pytest.raises(ApiError, match="InvalidResourceTagKey"):
        targets_of(call(ResourceTag__1__Key=longest + "k"))
