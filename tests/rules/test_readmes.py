"""Both readmes show the same: what is typed, and where more is said."""

import re

from rules.source import REPOSITORY

ENGLISH, CHINESE = ((REPOSITORY / name).read_text(encoding="utf-8") for name in ("README.md", "README.zh-CN.md"))
BLOCK = re.compile(r"```(?:sh|python)\n(.*?)```", re.DOTALL)
LINK = re.compile(r"\]\(([^)]*)\)")


def typed_in(text: str) -> list[str]:
    """The lines of all blocks of code; what is said beside them is each readme's own."""
    lines = "".join(BLOCK.findall(text)).splitlines()
    return [re.sub(r" +# .*", "", line) for line in lines]


def links_of(text: str) -> set[str]:
    return set(LINK.findall(text)) - {"README.md", "README.zh-CN.md"}


def test_both_show_the_same_to_type() -> None:
    assert typed_in(CHINESE) == typed_in(ENGLISH)


def test_both_lead_to_the_same_places() -> None:
    assert links_of(CHINESE) == links_of(ENGLISH)


def test_both_quote_the_same_figures() -> None:
    figures = re.compile(r"\d[\d,.]*\d")
    assert set(figures.findall(CHINESE)) == set(figures.findall(ENGLISH))
