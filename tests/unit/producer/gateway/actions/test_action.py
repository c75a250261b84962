"""Actions are looked up by their exact name."""

import pytest

from cloud_assistant.producer.gateway.actions.action import ActionRegistry, Call, Fields


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


def test_an_unknown_action_is_answered_with_the_nearest_one() -> None:
    registry = ActionRegistry({"DescribeCommands": lambda _call: {}})
    assert registry.unknown("describecommand") == (
        "There is no action 'describecommand' here; did you mean DescribeCommands?"
    )
    assert registry.unknown("Fly") == "There is no action 'Fly' here."
    assert len(registry.unknown("x" * 5000)) < 120
