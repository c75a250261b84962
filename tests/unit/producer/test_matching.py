"""Patterns of names."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_assistant.producer.matching import like

FEW_LETTERS = st.text("ab\n", max_size=8)


@given(FEW_LETTERS, st.text("ab\n*", max_size=8))
def test_a_star_stands_for_anything(text: str, pattern: str) -> None:
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert like(text, pattern) == (not pattern or re.fullmatch(expression, text, re.DOTALL) is not None)


@pytest.mark.timeout(10)
def test_many_stars_cost_no_more_than_a_few() -> None:
    assert not like("a" * 128, "*a" * 60 + "*b")
    assert like("a" * 128 + "b", "*a" * 60 + "*b")
