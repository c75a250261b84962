"""Actions are looked up by their exact name."""

import pytest

from cloud_assistant.producer.gateway.actions import ActionRegistry, Call, Fields


def nothing(_call: Call) -> Fields:
    return {}


def test_an_action_is_found_by_its_exact_name_only() -> None:
    registry = ActionRegistry({"CreateCommand": nothing})
    registry.register("DeleteCommand", nothing)
    assert registry.find("CreateCommand") is nothing
    assert registry.find("createcommand") is None
    assert list(registry) == ["CreateCommand", "DeleteCommand"]


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="CreateCommand is registered twice"):
        ActionRegistry({"CreateCommand": nothing}).register("CreateCommand", nothing)
