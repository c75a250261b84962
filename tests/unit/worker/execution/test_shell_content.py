from cloud_assistant.worker.execution.shell_content import clean_shell_content


def test_ordinary_text_is_left_alone() -> None:
    content = b"#!/bin/sh\nprintf 'a\r\n'\n\xff\0"
    assert clean_shell_content(content) == (content, [])


def test_windows_line_ends_become_unix_ones_when_the_first_line_has_one() -> None:
    content, notes = clean_shell_content(b"#!/bin/sh\r\necho 1\r\n\r\necho 2\r")
    assert content == b"#!/bin/sh\necho 1\n\necho 2"
    assert notes == ["converted 3 Windows line ends (CR LF) to LF"]


def test_carriage_returns_after_a_unix_first_line_are_meant() -> None:
    content = b"cat <<END\nHTTP/1.1 200\r\n\r\nEND\n"
    assert clean_shell_content(content) == (content, [])


def test_a_byte_order_mark_is_removed() -> None:
    content, notes = clean_shell_content(b"\xef\xbb\xbf#!/bin/sh\n")
    assert content == b"#!/bin/sh\n"
    assert len(notes) == 1


def test_empty_text_stays_empty() -> None:
    assert clean_shell_content(b"") == (b"", [])
    assert clean_shell_content(b"\xef\xbb\xbf")[0] == b""
