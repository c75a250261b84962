"""An error is one line that says what, which, and what to do next."""

import click
import pytest

from cloud_assistant.broker_config.errors import NotFound, RedisRefused, RedisUnreachable
from cloud_assistant.producer.cli.call import Call
from cloud_assistant.producer.cli.failures import Detached, report


def call_to(redis_url: str) -> Call:
    call = Call()
    call.redis_url = redis_url
    assert call.loaded
    return call


def test_an_error_is_one_line_with_its_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(NotFound("no command\n c-1", code="InvalidCmdId.NotFound"), Call()) == 5
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "assist: no command c-1 (InvalidCmdId.NotFound)\n"


def test_what_a_server_says_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    report(NotFound("no command \x1b[2Jc-1", code="InvalidCmdId.NotFound"), Call())
    assert capsys.readouterr().err == "assist: no command \\x1b[2Jc-1 (InvalidCmdId.NotFound)\n"


def test_a_value_of_a_megabyte_is_cut_out_of_the_middle(capsys: pytest.CaptureFixture[str]) -> None:
    report(
        NotFound(f"no command {'x' * 1_000_000}; `assist command list` shows them", code="InvalidCmdId.NotFound"),
        Call(),
    )
    text = capsys.readouterr().err
    assert text.startswith("assist: no command xxx")
    assert text.endswith("x; `assist command list` shows them (InvalidCmdId.NotFound)\n")
    assert (len(text) < 2000, text.count("…")) == (True, 1)


def test_neither_can_the_name_of_a_file_or_the_text_of_a_defect(capsys: pytest.CaptureFixture[str]) -> None:
    report(FileNotFoundError(2, "No such file", "\x1b[2Ja\nb"), Call())
    report(ValueError("\x1b[2Ja\nb"), Call())
    text = capsys.readouterr().err
    assert (text.count("\\x1b[2Ja b"), text.count("\n"), "\x1b" in text) == (2, 2, False)


def test_a_lost_connection_names_the_address_and_never_the_password(capsys: pytest.CaptureFixture[str]) -> None:
    call = call_to("redis://me:secret@10.0.0.5:6400/2")
    assert report(RedisUnreachable("Redis connection lost: timed out"), call) == 3
    text = capsys.readouterr().err
    assert "(redis://me@10.0.0.5:6400/2)" in text
    assert "--redis-url" in text
    assert "assist up" in text
    assert "secret" not in text


def test_a_wrong_password_says_where_it_belongs(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(RedisRefused("WRONGPASS invalid username-password pair."), call_to("redis://10.0.0.5/0")) == 4
    text = capsys.readouterr().err
    assert "redis://10.0.0.5:6379/0 refuses: WRONGPASS invalid username-password pair; put user" in text
    assert "redis://USER:PASSWORD@" in text


def test_wrong_usage_names_the_help_to_read(capsys: pytest.CaptureFixture[str]) -> None:
    context = click.Context(click.Command("run"), info_name="assist run")
    assert report(click.UsageError("No such option: --nope", context), Call()) == 2
    assert capsys.readouterr().err == "assist: no such option: --nope; see `assist run --help` (InvalidUsage)\n"


def test_somebody_who_stops_waiting_learns_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(Detached("t-1"), Call()) == 130
    text = capsys.readouterr().err
    assert "assist invocation follow t-1" in text
    assert "assist invocation stop t-1" in text


def test_a_defect_is_one_line_and_a_traceback_only_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    call = Call()
    assert report(ZeroDivisionError("division by zero"), call) == 70
    assert capsys.readouterr().err.count("\n") == 1
    call.debug = True
    report(ZeroDivisionError("division by zero"), call)
    assert "ZeroDivisionError" in capsys.readouterr().err.splitlines()[0]


def test_a_file_that_cannot_be_used_is_no_defect(capsys: pytest.CaptureFixture[str]) -> None:
    assert report(FileNotFoundError(2, "No such file or directory", "/no/such/audit.jsonl"), Call()) == 4
    assert capsys.readouterr().err == (
        "assist: cannot use /no/such/audit.jsonl: No such file or directory; "
        "name a file that you may read or write (FileNotUsable)\n"
    )


def test_an_argument_that_is_no_utf8_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnicodeEncodeError) as caught:
        b"caf\xe9".decode("utf-8", "surrogateescape").encode()
    assert report(caught.value, Call()) == 2
    assert "not UTF-8" in capsys.readouterr().err


def test_text_of_our_own_that_cannot_be_encoded_stays_a_defect(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UnicodeEncodeError) as caught:
        "\ud800".encode()
    assert report(caught.value, Call()) == 70
    assert "defect" in capsys.readouterr().err
