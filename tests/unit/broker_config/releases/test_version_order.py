"""Versions are ordered as people read them."""

import pytest

from cloud_assistant.broker_config.errors import RequestInvalid
from cloud_assistant.broker_config.releases.version_order import Condition, version_order


def test_versions_are_ordered_as_people_read_them() -> None:
    told = ["0.9", "1.0rc1", "1.0", "1.0.1", "1.9", "1.10", "2.0-beta", "2.0"]
    assert sorted(reversed(told), key=version_order) == told


@pytest.mark.parametrize(
    ("text", "version", "holds"),
    [
        ("base", "0.1", True),
        ("base>=1.0", "1.0", True),
        ("base >= 1.9, < 2", "1.10", True),
        ("base>=1.9,<2", "2.0", False),
        ("==1.4.1", "1.4.1", True),
        ("<2", "2.0rc1", True),
    ],
)
def test_a_condition_holds_for_some_versions(text: str, version: str, holds: bool) -> None:
    assert Condition(text).holds(version) is holds


def test_the_name_may_stand_before_the_condition() -> None:
    assert (Condition("base>=1.0").name, Condition(">=1.0").name) == ("base", "")


@pytest.mark.parametrize("text", ["", "base=1", "Base", "base>>1"])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(RequestInvalid):
        Condition(text)
