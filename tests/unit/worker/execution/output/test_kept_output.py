import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_assistant.worker.execution.output.frame_log import STDERR, STDOUT, Frame, FrameLog
from cloud_assistant.worker.execution.output.kept_output import KeptOutput
from cloud_assistant.worker.execution.output.output_chunk import OutputChunk

PIECES = st.lists(
    st.tuples(
        st.sampled_from([STDOUT, STDERR]),
        st.one_of(st.binary(max_size=12), st.text(alphabet="a你é😀", max_size=8).map(str.encode)),
    ),
    max_size=40,
)
LIMITS = st.integers(0, 60)


def fed(pieces: list[Frame], limit_bytes: int) -> KeptOutput:
    kept = KeptOutput(limit_bytes)
    for stream, data in pieces:
        kept.feed(stream, memoryview(data))
    kept.finish()
    return kept


def joined(frames: list[Frame]) -> bytes:
    return b"".join(data for _, data in frames)


@given(PIECES, LIMITS)
def test_whatever_is_fed_the_counts_are_exact_and_the_limit_holds(pieces: list[Frame], limit_bytes: int) -> None:
    kept = fed(pieces, limit_bytes)
    assert kept.total_bytes == sum(len(data) for _, data in pieces)
    assert len(kept.merged()) <= limit_bytes
    assert kept.dropped_bytes == kept.total_bytes - len(kept.merged())
    assert kept.merged() == joined(list(kept.frames())) == joined(kept.head) + joined(kept.tail)
    for stream in (STDOUT, STDERR):
        everything = b"".join(data for written_by, data in pieces if written_by == stream)
        head = b"".join(data for written_by, data in kept.head if written_by == stream)
        tail = b"".join(data for written_by, data in kept.tail if written_by == stream)
        assert everything.startswith(head)
        assert everything.endswith(tail)


@given(PIECES, LIMITS)
def test_everything_is_kept_while_it_fits_and_nearly_the_limit_after(pieces: list[Frame], limit_bytes: int) -> None:
    kept = fed(pieces, limit_bytes)
    if kept.total_bytes <= limit_bytes:
        assert kept.dropped_bytes == 0
    else:
        # each edge may give up to three bytes to a character that it would have cut
        assert len(kept.merged()) >= limit_bytes - 6


@given(st.lists(st.text(alphabet="a你é😀", max_size=8), max_size=40), LIMITS, st.integers(1, 5))
def test_valid_text_stays_valid_however_it_was_written(texts: list[str], limit_bytes: int, piece_bytes: int) -> None:
    """Written in pieces that cut characters, and with the other stream between the pieces."""
    data = "".join(texts).encode()
    kept = KeptOutput(limit_bytes)
    for position in range(0, len(data), piece_bytes):
        kept.feed(STDOUT, data[position : position + piece_bytes])
        kept.feed(STDERR, b"!")
    kept.finish()
    for _, piece in [*kept.head, *kept.tail]:
        piece.decode("utf-8")


@given(PIECES, LIMITS)
def test_kept_output_survives_being_written_down(pieces: list[Frame], limit_bytes: int) -> None:
    kept = fed(pieces, limit_bytes)
    again = KeptOutput.from_bytes(kept.to_bytes())
    assert (again.head, again.tail) == (kept.head, kept.tail)
    assert (again.total_bytes, again.dropped_bytes, again.limit_bytes) == (
        kept.total_bytes,
        kept.dropped_bytes,
        limit_bytes,
    )
    assert again.to_bytes() == kept.to_bytes()


@given(PIECES, PIECES, LIMITS, st.integers(1, 30))
def test_a_viewer_who_counts_what_was_skipped_knows_where_everything_is(
    first: list[Frame], second: list[Frame], limit_bytes: int, most_bytes: int
) -> None:
    kept = KeptOutput(limit_bytes)
    seen_bytes = 0
    for pieces in (first, second):
        for stream, data in pieces:
            kept.feed(stream, data)
        chunk = kept.newest_after(seen_bytes, most_bytes)
        assert chunk.offset_bytes == seen_bytes + chunk.skipped_bytes
        assert chunk.end_bytes == kept.total_bytes
        assert len(joined(chunk.frames)) <= most_bytes
        seen_bytes = chunk.end_bytes


def test_a_viewer_of_a_flood_gets_the_newest_whole_characters() -> None:
    kept = KeptOutput(100)
    kept.feed(STDOUT, "你好世界".encode())
    chunk = kept.newest_after(0, 5)
    assert (chunk.frames, chunk.skipped_bytes) == ([(STDOUT, "界".encode())], 9)
    # Of what a reader has seen himself nothing is skipped, whatever he has counted.
    assert kept.newest_after(7, 100).frames == [(STDOUT, "你好世界".encode()[7:])]


def test_a_viewer_who_may_see_more_than_is_kept_sees_no_gap_as_output() -> None:
    kept = fed([(STDOUT, bytes(range(200)))], 40)
    chunk = kept.newest_after(0, 100)
    assert joined(chunk.frames) == joined(kept.tail) == bytes(range(170, 200))
    assert (chunk.offset_bytes, chunk.skipped_bytes) == (170, 170)


def test_the_first_quarter_and_the_end_are_kept() -> None:
    kept = fed([(STDOUT, bytes(range(100))), (STDERR, bytes(range(100, 120)))], 40)
    assert joined(kept.head) == bytes(range(10))
    assert joined(kept.tail) == bytes(range(90, 120))
    assert kept.tail[-1][0] == STDERR
    assert kept.dropped_bytes == 80


def test_a_character_in_two_pieces_appears_after_what_came_between() -> None:
    kept = KeptOutput(100)
    kept.feed(STDOUT, "你".encode()[:1])
    kept.feed(STDERR, b"!")
    kept.feed(STDOUT, "你".encode()[1:])
    assert list(kept.frames()) == [(STDERR, b"!"), (STDOUT, "你".encode())]


def test_the_beginning_of_a_character_that_never_comes_is_kept_at_the_end() -> None:
    kept = KeptOutput(100)
    kept.feed(STDOUT, b"a\xe4\xbd")
    assert kept.merged() == b"a"
    for _ in range(2):
        kept.finish()
        assert kept.merged() == b"a\xe4\xbd"


def test_a_flood_costs_bounded_memory() -> None:
    kept = KeptOutput(24 * 1024)
    block = bytes(1 << 16)
    for _ in range(1000):
        kept.feed(STDOUT, block)
    assert len(kept._tail.buffer) <= 3 * 24 * 1024
    assert kept.dropped_bytes == 1000 * (1 << 16) - 24 * 1024


def test_single_bytes_of_both_streams_in_turn_cost_bounded_memory() -> None:
    kept = KeptOutput(1000)
    for _ in range(20_000):
        kept.feed(STDOUT, b"o")
        kept.feed(STDERR, b"e")
    assert len(kept._tail.buffer) <= 3000
    assert len(kept._tail._stretches) <= 3000
    assert kept.total_bytes == 40_000


@pytest.mark.parametrize("damage", [b"", b"\x02" + bytes(40), b"\x01short"])
def test_damaged_bytes_are_refused(damage: bytes) -> None:
    with pytest.raises(ValueError, match="kept output"):
        KeptOutput.from_bytes(damage)


def test_bytes_cut_short_are_refused() -> None:
    whole = fed([(STDOUT, b"abc"), (STDERR, b"def")], 100).to_bytes()
    for length in range(len(whole)):
        with pytest.raises(ValueError, match=r"cut short|not kept output"):
            KeptOutput.from_bytes(whole[:length])


def test_a_byte_too_many_and_a_stream_that_there_is_not_are_refused() -> None:
    whole = fed([(STDOUT, b"abc")], 100).to_bytes()
    at = len(whole) - len(b"\x01\x03\x00\x00\x00abc")
    for damaged in (whole + b"\x01", whole[:at] + b"\x03" + whole[at + 1 :]):
        with pytest.raises(ValueError, match="cut short"):
            KeptOutput.from_bytes(damaged)


def test_a_chunk_survives_being_sent() -> None:
    chunk = OutputChunk(5, [(STDOUT, b"a"), (STDERR, b"")], 3)
    assert OutputChunk.from_bytes(chunk.to_bytes()) == chunk
    assert chunk.end_bytes == 6


@given(PIECES, st.integers(0, 100), st.integers(0, 100))
def test_a_log_is_shortened_at_its_front_only(pieces: list[Frame], count: int, begin: int) -> None:
    log = FrameLog()
    for stream, data in pieces:
        log.append(stream, data)
    everything = [(stream, byte) for stream, data in pieces for byte in data]
    log.keep_last(count)
    wanted = everything[max(0, len(everything) - count) :]
    assert [(stream, byte) for stream, data in log.frames() for byte in data] == wanted
    assert [(stream, byte) for stream, data in log.frames(begin) for byte in data] == wanted[begin:]
    log.clear()
    assert (len(log), list(log.frames())) == (0, [])
