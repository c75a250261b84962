"""However bodies are framed and requests follow one another, none of them is taken for more or less than it is."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from integration.gateway.raw_http import connection_to

#: What must never be answered: it is always a part of a body.
HIDDEN = b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: g\r\nConnection: close\r\n\r\n"
METHODS = ["GET", "POST", "PUT", "HEAD", "OPTIONS", "get", "X" * 300]
TARGETS = ["/", "/?Format=JSON&Signature=x", "/elsewhere", "/register", "/files/x", "/%00", "http://g/", "//", "*"]
CHUNKED = "Transfer-Encoding: chunked"
#: Headers, and what follows them, of which nobody can tell where the next request begins.
BROKEN = [
    (f"Content-Length: 0\r\nContent-Length: {len(HIDDEN)}", HIDDEN),
    *((f"Content-Length: {length}", HIDDEN) for length in ("-1", "+0", "0x0", "0_0", "", "9" * 25, "0, 1")),
    ("Content-Length : 0", HIDDEN),
    (f"{CHUNKED}\r\nContent-Length: 5", b"0\r\n\r\n" + HIDDEN),
    *(
        (f"Transfer-Encoding: {coding}", b"0\r\n\r\n" + HIDDEN)
        for coding in ("identity", "gzip, chunked", "xchunked", "\x0bchunked", "chunked,", "chunked\0")
    ),
    (f"{CHUNKED}\r\n{CHUNKED}", b"0\r\n\r\n" + HIDDEN),
    *(
        (CHUNKED, chunks + HIDDEN)
        for chunks in (
            b"g\r\n",
            b"-1\r\n",
            b"0x1\r\na\r\n",
            b"1\r\nab\r\n",
            b"1\na\r\n",
            b"1\r\na\n0\r\n\r\n",
            b"1;\n\r\n",
        )
    ),
]


@dataclass(frozen=True)
class Sent:
    """One request as it is sent."""

    data: bytes
    is_sound: bool


@st.composite
def requests(draw: st.DrawFn) -> Sent:
    """A request with a body of any frame."""
    first = f"{draw(st.sampled_from(METHODS))} {draw(st.sampled_from(TARGETS))} HTTP/1.1\r\nHost: g\r\n"
    if draw(st.booleans()):
        first += "Expect: 100-continue\r\n"
    if draw(st.integers(0, 3)) == 0:
        headers, body = draw(st.sampled_from(BROKEN))
        return Sent(f"{first}{headers}\r\n\r\n".encode("latin-1") + body, is_sound=False)
    body = draw(st.sampled_from([b"", b"a=b", HIDDEN, HIDDEN * 3, b"0\r\n\r\n" + HIDDEN, b"x" * 70_000]))
    if draw(st.booleans()):
        return Sent(f"{first}Content-Length: {len(body)}\r\n\r\n".encode() + body, is_sound=True)
    size = draw(st.integers(1, 9))
    pieces = [body[start : start + size] for start in range(0, min(len(body), 100), size)]
    chunks = b"".join(b"%X;x=y\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return Sent(f"{first}{CHUNKED}\r\n\r\n".encode() + chunks + b"0\r\nContent-Length: 9\r\n\r\n", is_sound=True)


@pytest.fixture(autouse=True)
def _tracebacks(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert not [record.getMessage() for record in caplog.records if record.exc_info]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(requests(), min_size=1, max_size=3), cut=st.integers(0, 2000))
def test_each_request_gets_one_answer_and_no_part_of_a_body_gets_any(
    port: int, caplog: pytest.LogCaptureFixture, sent: list[Sent], cut: int
) -> None:
    caplog.set_level(logging.ERROR)
    data = b"".join(one.data for one in sent) + LAST
    sound_count = next((number for number, one in enumerate(sent) if not one.is_sound), len(sent))
    with connection_to(port) as connection:
        connection.sendall(data[:cut])
        connection.sendall(data[cut:])
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert b"healthy" not in received
    answers = [status for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", received) if status != b"100"]
    assert len(answers) == sound_count + 1
    assert sound_count < len(sent) or answers[-1] == b"404"
