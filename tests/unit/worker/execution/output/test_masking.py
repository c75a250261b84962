"""A secret is found however the output was cut, and nothing else is changed."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cloud_assistant.worker.execution.output.masking import MASK, Mask, patterns_of

#: Few letters, so that values overlap, repeat and begin like one another.
LETTERS = st.binary(min_size=1, max_size=6).map(lambda data: bytes(b"ab\n"[byte % 3] for byte in data))


def in_pieces(patterns: list[bytes], pieces: list[bytes]) -> bytes:
    mask = Mask(patterns)
    return b"".join([*(mask.feed(piece) for piece in pieces), mask.finish()])


def at_once(patterns: list[bytes], data: bytes) -> bytes:
    ordered = sorted(patterns, key=len, reverse=True)
    return re.sub(b"|".join(map(re.escape, ordered)), lambda _: MASK, data)


@given(st.lists(LETTERS, min_size=1, max_size=4), st.lists(LETTERS, max_size=12))
@example([b"abb", b"ab", b"bba"], [b"a", b"b", b"b", b"a"])
@example([b"xabcdY", b"abcd"], [b"xabcd", b"Z"])
@example([b"aab"], [b"xaaa", b"b"])
def test_pieces_give_what_the_whole_gives(patterns: list[bytes], pieces: list[bytes]) -> None:
    assert in_pieces(patterns, pieces) == at_once(patterns, b"".join(pieces))


@given(st.binary(min_size=4, max_size=40), st.binary(max_size=60), st.binary(max_size=60), st.integers(1, 9))
def test_no_value_comes_through_byte_by_byte(value: bytes, before: bytes, after: bytes, size: int) -> None:
    whole = before + value + after
    pieces = [whole[place : place + size] for place in range(0, len(whole), size)]
    shown = in_pieces([value], pieces)
    assert shown == at_once([value], whole)


def test_text_without_a_value_is_shown_at_once_but_for_what_may_be_its_beginning() -> None:
    mask = Mask([b"secret"])
    assert mask.feed(b"harmless line\n") == b"harmless line\n"
    assert mask.feed(b"so far: sec") == b"so far: "
    assert mask.feed(b"ond") == b"second"
    assert mask.feed(b"ret secr") == b"ret "
    assert mask.finish() == b"secr"


def test_the_last_bytes_are_masked_too() -> None:
    mask = Mask([b"secret", b"secretive"])
    # It may still become the longer value.
    assert mask.feed(b"a secret") == b"a "
    assert mask.finish() == MASK


def test_what_is_held_back_is_bounded_by_the_longest_value() -> None:
    value = b"a" * 1000
    mask = Mask([value])
    fed = shown = 0
    for _ in range(100):
        shown += len(mask.feed(b"a" * 500 + b"b"))
        fed += 501
        assert fed - shown < len(value)


def test_two_streams_do_not_disturb_each_other() -> None:
    out, err = Mask([b"secret"]), Mask([b"secret"])
    shown = out.feed(b"sec") + err.feed(b"other") + out.feed(b"ret") + out.finish() + err.finish()
    assert shown == b"other" + MASK


@pytest.mark.parametrize(
    ("value", "patterns"),
    [
        ("plain", {b"plain"}),
        ("line\n", {b"line\n", b"line"}),
        ("-----BEGIN\nAAAABBBBCCCC\n}\n", {b"-----BEGIN\nAAAABBBBCCCC\n}\n", b"-----BEGIN\nAAAABBBBCCCC\n}",
                                            b"-----BEGIN", b"AAAABBBBCCCC"}),
        ("12345678\n1234567", {b"12345678\n1234567", b"12345678"}),
        ("pässwörd", {"pässwörd".encode()}),
        ("", set()),
    ],
)  # fmt: skip
def test_a_value_its_trimmed_form_and_its_longer_lines_are_hidden(value: str, patterns: set[bytes]) -> None:
    assert set(patterns_of([value])) == patterns
