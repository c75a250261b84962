"""One result in a line, many grouped."""

from msgspec.structs import replace
from unit.producer.cli.rows import row

from cloud_assistant.broker_config.results import KeptStreams
from cloud_assistant.broker_config.states import ExecutionState as S
from cloud_assistant.producer.cli.printing.result_text import grouped, one_line


def test_a_success_is_one_short_line() -> None:
    assert one_line(row()) == "t-00000001 i-one Success exit 0 in 0.4 s"


def test_an_exit_code_says_why_by_itself() -> None:
    failed = row(state=S.FAILED, exit_code=3, error_code="ExitCodeNonzero", error_info="exit code 3")
    assert one_line(failed) == "t-00000001 i-one Failed exit 3 in 0.4 s"


def test_a_script_that_never_started_shows_the_reason() -> None:
    invalid = row(
        state=S.INVALID,
        exit_code=None,
        started_ms=0,
        error_code="DirectoryNotExists",
        error_info="no directory /nowhere",
    )
    assert one_line(invalid) == "t-00000001 i-one Invalid (DirectoryNotExists: no directory /nowhere)"


def test_a_dry_run_says_that_nothing_ran_and_a_file_that_arrived_is_none() -> None:
    dry_run = row(exit_code=None, started_ms=0)
    assert one_line(dry_run) == "t-00000001 i-one Success, checked only: nothing ran"
    assert one_line(replace(dry_run, invoke_id="f-00000001")) == "f-00000001 i-one Success"


def test_a_signal_is_named() -> None:
    assert "Failed signal 9" in one_line(row(state=S.FAILED, exit_code=None, signal=9))


def test_what_is_left_behind_is_said() -> None:
    assert one_line(row(state=S.TIMEOUT, exit_code=None, survivors=2)).endswith("; 2 of its processes survived")
    assert "1 of its processes left running" in one_line(row(left_running=1))


def test_equal_results_stand_together_successes_first_then_the_larger_groups() -> None:
    rows = [
        row("i-1", S.FAILED, exit_code=3, output=b"no\n"),
        row("i-2", output=b"123\n"),
        row("i-3", output=b"123\n"),
        row("i-4", S.FAILED, exit_code=4, output=b"no\n"),
        row("i-5", S.FAILED, exit_code=4, output=b"no\n"),
    ]
    assert list(grouped(rows)) == [
        "2 instances: Success exit 0",
        "  i-2, i-3",
        "    123",
        "",
        "2 instances: Failed exit 4",
        "  i-4, i-5",
        "    no",
        "",
        "1 instance: Failed exit 3",
        "  i-1",
        "    no",
    ]


def test_results_that_differ_in_output_alone_are_apart() -> None:
    headings = [line for line in grouped([row("i-1", output=b"a"), row("i-2", output=b"b")]) if "instance" in line]
    assert headings == ["1 instance: Success exit 0", "1 instance: Success exit 0"]


def test_a_group_says_why_it_failed() -> None:
    lost = row(state=S.ABORTED, exit_code=None, error_code="ClientNotRunning", error_info="no heartbeat")
    assert next(grouped([lost])) == "1 instance: Aborted (ClientNotRunning: no heartbeat)"


def test_bytes_that_were_not_kept_leave_a_mark_at_their_place() -> None:
    kept = KeptStreams(data=b"begin\nend\n", dropped_bytes=1000, gap_at=6)
    assert list(grouped([row(output=kept)]))[2:] == ["    begin", "    … 1,000 bytes not kept …", "    end"]


def test_grouped_output_cannot_write_to_the_terminal() -> None:
    lines = list(grouped([row(output=b"a\tb\r\n\x1b[2Jgone \xff\n")]))
    assert lines[2:] == ["    a       b", "    \\x1b[2Jgone \ufffd"]


def test_what_an_agent_says_of_an_end_cannot_write_to_the_terminal() -> None:
    said = row(state=S.FAILED, exit_code=None, error_code="\x1b]0;x\x07\r", error_info="\x9b2J\n")
    shown = [one_line(said), *grouped([said, said])]
    assert all(line.isprintable() for line in shown), shown
    assert r"(\x1b]0;x\x07\r: \x9b2J\n)" in shown[0]
