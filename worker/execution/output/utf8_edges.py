"""Where a byte sequence may be cut without cutting a UTF-8 character; bytes that are no UTF-8 may be cut anywhere."""

#: The longest character has four bytes, so at most three of them lie before or after a cut.
MOST_SPLIT_BYTES = 3


def unfinished_length(data: bytes | bytearray | memoryview) -> int:
    """Return how many bytes at the end may be the beginning of a character that is not complete yet."""
    for length in range(1, min(MOST_SPLIT_BYTES, len(data)) + 1):
        byte = data[-length]
        if _is_continuation(byte):
            continue
        return length if _character_length(byte) > length and _may_continue(bytes(data[-length:])) else 0
    return 0


def cut_before(data: bytes | bytearray | memoryview, position: int) -> int:
    """Return the last place at or before ``position`` that splits no character."""
    start, _ = _character_around(data, position)
    return start


def cut_after(data: bytes | bytearray | memoryview, position: int) -> int:
    """Return the first place at or after ``position`` that splits no character."""
    _, end = _character_around(data, position)
    return end


def _character_around(data: bytes | bytearray | memoryview, position: int) -> tuple[int, int]:
    """Return begin and end of the character that a cut at ``position`` would split, else ``position`` twice."""
    if not 0 < position < len(data) or not _is_continuation(data[position]):
        return position, position
    for start in range(position - 1, max(-1, position - 1 - MOST_SPLIT_BYTES), -1):
        if _is_continuation(data[start]):
            continue
        end = start + _character_length(data[start])
        if position < end <= len(data) and _is_valid(bytes(data[start:end])):
            return start, end
        break
    return position, position


def _is_continuation(byte: int) -> bool:
    return byte & 0xC0 == 0x80


def _character_length(first_byte: int) -> int:
    if 0xC2 <= first_byte < 0xE0:
        return 2
    if 0xE0 <= first_byte < 0xF0:
        return 3
    return 4 if 0xF0 <= first_byte < 0xF5 else 1


def _is_valid(character: bytes) -> bool:
    try:
        character.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _may_continue(beginning: bytes) -> bool:
    try:
        beginning.decode("utf-8")
    except UnicodeDecodeError as exc:
        return exc.reason == "unexpected end of data"
    return False
