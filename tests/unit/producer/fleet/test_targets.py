"""The targets of an invocation that a later request names."""

import pytest

from cloud_assistant.broker_config.errors import NotFound
from cloud_assistant.producer.fleet.targets import refuse_strangers

TARGETS = ["i-b", "i-a", "i-c"]


def test_targets_are_no_strangers() -> None:
    refuse_strangers("t-1", [], TARGETS)
    refuse_strangers("t-1", ["i-c", "i-a", "i-c"], TARGETS)


def test_a_stranger_is_named_with_the_way_to_the_right_ones() -> None:
    with pytest.raises(NotFound) as refused:
        refuse_strangers("t-1", ["i-a", "i-x"], TARGETS)
    assert refused.value.code == "InvalidInstanceId.NotFound"
    assert str(refused.value) == "t-1 does not target i-x; `assist invocation show t-1` lists its targets"


def test_of_many_strangers_a_few_are_named() -> None:
    with pytest.raises(NotFound, match=r"i-0, i-1, i-2, i-3, i-4 and 4 more;"):
        refuse_strangers("t-1", [f"i-{number}" for number in range(9)], TARGETS)
