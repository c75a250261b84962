"""One target's output is printed byte by byte, each once, whatever mix of pieces and result arrives."""

import sys
from collections.abc import Sequence

import pytest

from cloud_assistant.broker_config.results import STDERR, STDOUT, KeptStreams
from cloud_assistant.producer.cli.call import Call
from cloud_assistant.producer.cli.printing.output_printer import OutputPrinter
from cloud_assistant.producer.following.waiting import Output


class Outputs:
    """What came out of both outputs in one test."""

    def __init__(self, capture: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capture
        self._out = b""
        self._err = b""

    def read(self) -> tuple[bytes, str]:
        """All bytes of standard output and the text of standard error so far."""
        captured = self._capture.readouterr()
        self._out += captured.out
        self._err += captured.err
        return self._out, self._err.decode()


@pytest.fixture
def piped(capfdbinary: pytest.CaptureFixture[bytes]) -> Outputs:
    return Outputs(capfdbinary)


def piece(offset_bytes: int, data: bytes, runs: Sequence[tuple[int, int]] = ()) -> Output:
    return Output("i-one", offset_bytes, 0, data, tuple(runs))


def test_a_result_without_pieces_is_printed_whole_and_exactly(piped: Outputs) -> None:
    OutputPrinter(Call()).rest(KeptStreams(data=b"\xff\x00no newline"))
    assert piped.read() == (b"\xff\x00no newline", "")


def test_pieces_and_the_rest_of_the_result_join_without_a_seam(piped: Outputs) -> None:
    printer = OutputPrinter(Call())
    printer.piece(piece(0, b"abc"))
    printer.piece(piece(3, b"def"))
    printer.rest(KeptStreams(data=b"abcdefghi"))
    assert piped.read() == (b"abcdefghi", "")


def test_a_piece_seen_before_is_not_printed_again(piped: Outputs) -> None:
    printer = OutputPrinter(Call())
    printer.piece(piece(0, b"abcd"))
    printer.piece(piece(0, b"abcd"))
    printer.piece(piece(2, b"cdef"))
    printer.rest(KeptStreams(data=b"abcdef"))
    assert piped.read() == (b"abcdef", "")


def test_each_stream_of_the_script_goes_to_ours(piped: Outputs) -> None:
    printer = OutputPrinter(Call())
    printer.piece(piece(0, b"outerr", [(STDOUT, 3), (STDERR, 3)]))
    printer.rest(KeptStreams(data=b"outerrmore", runs=((STDOUT, 3), (STDERR, 5), (STDOUT, 2))))
    assert piped.read() == (b"outre", "errmo")


def test_in_a_pipe_a_gap_is_filled_from_the_result(piped: Outputs) -> None:
    printer = OutputPrinter(Call())
    printer.piece(piece(0, b"ab"))
    printer.piece(piece(5, b"fg"))
    assert piped.read() == (b"ab", "")
    printer.rest(KeptStreams(data=b"abcdefgh"))
    assert piped.read() == (b"abcdefgh", "")


def test_on_a_terminal_a_gap_is_said_and_not_waited_for(piped: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    printer = OutputPrinter(Call())
    printer.piece(piece(0, b"ab"))
    printer.piece(piece(5, b"fg"))
    assert piped.read() == (
        b"abfg",
        "assist: 3 bytes of output not shown here (while a script runs, an agent sends agent.live_output_bytes "
        "at a time)\n",
    )


def test_what_no_result_can_fill_is_printed_with_a_note_instead_of_waiting_for_ever(piped: Outputs) -> None:
    printer = OutputPrinter(Call())
    printer.piece(piece(100, b"x" * 40_000))
    assert piped.read()[0] == b""
    printer.piece(piece(40_100, b"y" * 40_000))
    out, err = piped.read()
    assert out == b"x" * 40_000 + b"y" * 40_000
    assert err.startswith("assist: 100 bytes of output not shown here (while a script runs, an agent sends agent.live_")


def test_dropped_bytes_are_counted_between_head_and_tail(piped: Outputs) -> None:
    OutputPrinter(Call()).rest(KeptStreams(data=b"headtail", dropped_bytes=1000, gap_at=4))
    assert piped.read() == (
        b"headtail",
        "assist: 1,000 bytes of output not shown here (an agent keeps agent.output_limit_bytes)\n",
    )


def test_pieces_held_in_a_pipe_fill_a_part_of_what_the_result_dropped(piped: Outputs) -> None:
    printer = OutputPrinter(Call())
    printer.piece(piece(8, b"ijkl"))
    printer.rest(KeptStreams(data=b"abcdqrst", dropped_bytes=12, gap_at=4))
    out, err = piped.read()
    assert out == b"abcdijklqrst"
    assert err.count("4 bytes of output not shown here") == 2
