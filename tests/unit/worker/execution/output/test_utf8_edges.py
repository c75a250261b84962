import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_assistant.worker.execution.output.utf8_edges import cut_after, cut_before, unfinished_length

TEXT = "aé你😀"


@given(st.text(alphabet=TEXT), st.integers(0, 60))
def test_valid_text_is_never_cut_within_a_character(text: str, position: int) -> None:
    data = text.encode()
    position = min(position, len(data))
    for cut in (cut_before(data, position), cut_after(data, position)):
        data[:cut].decode()
        data[cut:].decode()
        assert abs(cut - position) <= 3
    assert cut_before(data, position) <= position <= cut_after(data, position)


@given(st.text(alphabet=TEXT), st.integers(0, 60))
def test_the_unfinished_end_of_valid_text_is_exactly_the_split_character(text: str, position: int) -> None:
    data = text.encode()
    beginning = data[:position]
    length = unfinished_length(beginning)
    beginning[: len(beginning) - length].decode()
    assert (length == 0) == (cut_before(data, min(position, len(data))) == min(position, len(data)))


@given(st.binary(max_size=30), st.integers(0, 30))
def test_any_bytes_are_cut_within_three_bytes(data: bytes, position: int) -> None:
    position = min(position, len(data))
    assert position - 3 <= cut_before(data, position) <= position <= cut_after(data, position) <= position + 3


@pytest.mark.parametrize("data", [b"\x80\x80\x80", b"\xff\x80", b"\xc3(", b"\xe4\xbd(", b"\xed\xa0\x80", b"\xc0\x80"])
def test_bytes_that_are_no_utf8_are_cut_where_asked(data: bytes) -> None:
    for position in range(len(data) + 1):
        assert cut_before(data, position) == cut_after(data, position) == position


@pytest.mark.parametrize("character", ["\x80", "\u07ff", "\u0800", "\uffff", "\U00010000", "\U0010ffff"])
def test_the_first_and_the_last_characters_of_each_length_stay_whole(character: str) -> None:
    data = character.encode()
    for position in range(1, len(data)):
        assert unfinished_length(data[:position]) == position
        assert (cut_before(data, position), cut_after(data, position)) == (0, len(data))


def test_a_stray_byte_behind_a_character_takes_none_of_it_along() -> None:
    data = "é".encode() + b"\x80"
    assert cut_before(data, 2) == cut_after(data, 2) == 2


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (b"", 0),
        (b"abc", 0),
        (b"\xe4\xbd\xa0", 0),
        (b"a\xe4\xbd", 2),
        (b"a\xe4", 1),
        (b"\xf0\x9f\x98", 3),
        (b"\xf0\x9f\x98\x80", 0),
        (b"\xc0", 0),
        (b"\xff", 0),
        (b"\xed\xa0", 0),
        (b"\xe4a", 0),
        (b"\x80\x80\x80\x80", 0),
    ],
)
def test_the_unfinished_end(data: bytes, length: int) -> None:
    assert unfinished_length(data) == length
    assert unfinished_length(memoryview(data)) == length
