"""Readers that go away, servers that are not there, terminals."""

import os
import pty
import re
import subprocess
import time

import pytest
from e2e.cli.conftest import Fleet

from harness.processes import clean_environment, installed_program


def test_a_reader_that_goes_away_is_no_error_to_speak_of(fleet: Fleet) -> None:
    script = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.3; done"
    line = f"assist run '{script}' --instance i-web1 | head -1; echo ${{PIPESTATUS[0]}}"
    outcome = fleet.shell(line)
    assert outcome.stdout == "1\n141\n"
    assert outcome.stderr == ""


@pytest.mark.parametrize("arguments", ["--help", "instance list", "config show --output json", "run --help"])
def test_a_list_into_a_closed_pipe_ends_silently(fleet: Fleet, arguments: str) -> None:
    outcome = fleet.shell(f"assist {arguments} | true; echo ${{PIPESTATUS[0]}}")
    assert outcome.stdout in ("0\n", "141\n")
    assert outcome.stderr == ""


def test_the_first_line_of_a_long_answer_is_enough_for_head(fleet: Fleet) -> None:
    outcome = fleet.shell("assist config show | head -1; echo ${PIPESTATUS[@]}")
    assert outcome.stdout.startswith("agent.")
    assert outcome.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "exit_code", "has_data"),
    [
        ("run 'echo done' --instance i-web1", 0, True),
        ("run 'echo done' --all", 0, True),
        ("run true --instance i-web1", 0, False),
        ("run 'exit 3' --instance i-web1", 1, False),
        ("run 'exit 3' --all", 1, True),
        ("run 'echo done' --instance i-nope", 5, False),
        ("run - --instance i-web1", 2, False),
        ("instance list --output json", 0, True),
        ("nope", 2, False),
        ("run --help", 0, True),
        ("--help", 0, True),
        ("--version", 0, True),
    ],
)
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_of_closed_streams_only_lost_data_change_how_it_ends(
    fleet: Fleet, arguments: str, exit_code: int, has_data: bool, closed: str
) -> None:
    if arguments.startswith("run -") and "<&-" not in closed:
        closed = "<&- " + closed
    outcome = fleet.shell(f"assist {arguments} {closed}")
    is_lost = has_data and ">&-" in closed.replace("2>&-", "")
    assert outcome.exit_code == (4 if is_lost else exit_code)
    assert ("cannot write: standard output is closed; open it" in outcome.stderr) == (is_lost and "2>" not in closed)
    assert "Traceback" not in outcome.stderr
    assert "defect" not in outcome.stderr


@pytest.mark.parametrize("options", ["--no-wait", "--no-wait --output json", "", "--output json"])
@pytest.mark.parametrize("lost", [">&-", ">/dev/full"])
def test_what_was_dispatched_is_named_where_its_answer_is_lost(fleet: Fleet, options: str, lost: str) -> None:
    """Who asked again would run it once more."""
    outcome = fleet.shell(f"assist run 'echo done' --instance i-web1 {options} {lost}")
    (named,) = re.findall(
        r"It was dispatched all the same; see it with: (assist invocation show t-\S+) ", outcome.stderr
    )
    assert (outcome.exit_code, "ask again" in outcome.stderr) == (4, False)
    assert fleet.shell(named).exit_code == 0


@pytest.mark.parametrize("line", ["assist-agent policy show", "assist-beat --help", "assist-gateway -V"])
def test_the_other_programs_tell_that_their_output_is_closed_too(fleet: Fleet, line: str) -> None:
    outcome = fleet.shell(f"{line} >&-")
    said = "cannot write: standard output is closed; open it, or send it to /dev/null (NotWritten)"
    assert (outcome.exit_code, outcome.stderr) == (4, f"{line.split()[0]}: {said}\n")


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_an_agent_with_closed_streams_runs_scripts(fleet: Fleet, closed: str) -> None:
    line = f"""
        export CLOUD_ASSISTANT_AGENT_ACCEPT_UNSIGNED=true
        assist-agent run --instance-id i-closed --home closed {closed} & agent=$!
        until assist instance list --connected | grep -q i-closed; do sleep 0.1; done
        assist run 'echo out; echo err >&2; cat' --instance i-closed
        kill $agent; wait $agent; assist instance remove i-closed
    """
    outcome = fleet.shell(line)
    assert outcome.stdout == "out\n"
    assert outcome.stderr.startswith("err\n")
    assert " i-closed Success exit 0 " in outcome.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk"])
def test_what_an_encoding_has_not_is_escaped(fleet: Fleet, encoding: str) -> None:
    helps = "assist --help", "assist ecs --help", "assist-agent --help", "assist-beat -h", "assist-gateway -h"
    runs = "assist run 'echo é 中 ☃' --all", "assist-agent run --help"
    for line in (*helps, *runs):
        outcome = fleet.shell(f"PYTHONIOENCODING={encoding} {line}")
        assert (outcome.exit_code, "Traceback" in outcome.stderr) == (0, False), outcome.stderr
    assert "\\u2603" in fleet.shell(f"PYTHONIOENCODING={encoding} {runs[0]}").stdout
    exact = fleet.shell(f"PYTHONIOENCODING={encoding} assist run 'echo é 中 ☃' --instance i-web1")
    assert exact.stdout == "é 中 ☃\n", "a script's own output stays as it is"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no disk here is always full")  # noqa: PTH110
@pytest.mark.parametrize(
    "arguments", ["run 'echo done' --instance i-web1", "run true --all", "instance list", "run --help", "--help"]
)
def test_an_output_that_takes_no_more_is_told_and_is_no_defect(fleet: Fleet, arguments: str) -> None:
    outcome = fleet.shell(f"assist {arguments} > /dev/full")
    assert (outcome.exit_code, outcome.stderr.count("\n")) == (4, 1), outcome.stderr
    assert "No space left on device; make room" in outcome.stderr
    untold = fleet.shell(f"assist {arguments} 2> /dev/full")
    assert untold.exit_code == 0, "what cannot be said is not what was asked for"
    assert untold.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no disk here is always full")  # noqa: PTH110
@pytest.mark.parametrize(
    "line", ["assist-agent status --home x", "assist-agent policy show", "assist-beat --help", "assist-gateway -V"]
)
def test_the_other_programs_tell_an_output_that_takes_no_more_too(fleet: Fleet, line: str) -> None:
    outcome = fleet.shell(f"{line} > /dev/full")
    assert outcome.exit_code == 4
    assert (
        outcome.stderr
        == f"{line.split()[0]}: cannot write: No space left on device; make room where it goes (NotWritten)\n"
    )
    assert fleet.shell(f"{line} > /dev/full 2>&1").exit_code == 4


COMMANDS = [
    ("run", "true", "--all"),
    ("invoke", "c-1", "--all"),
    ("command", "list"),
    ("command", "create", "true", "--name", "x"),
    ("invocation", "follow", "t-00000001"),
    ("invocation", "results", "t-00000001"),
    ("instance", "list"),
    ("ecs", "DescribeInvocations"),
]


#: Ten times what it takes where nobody else is at work, and less than any try that waits and is repeated.
QUICK_SECONDS = 4


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_without_a_server_the_message_is_clear_and_quick(arguments: tuple[str, ...], tmp_path: object) -> None:
    environment = clean_environment(tmp_path, {"CLOUD_ASSISTANT_REDIS_URL": "redis://me:secret@127.0.0.1:1/0"})  # type: ignore[arg-type]
    took_seconds = []
    for _ in range(3):
        start = time.monotonic()
        outcome = subprocess.run(
            [installed_program("assist"), *arguments], env=environment, capture_output=True, text=True, check=False
        )
        took_seconds.append(time.monotonic() - start)
        if took_seconds[-1] < QUICK_SECONDS:
            break
    # The quickest of a few: other tests may have the machine for themselves for a while.
    assert min(took_seconds) < QUICK_SECONDS
    assert outcome.returncode == 3
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("assist: no Redis at redis://me@127.0.0.1:1/0:")
    assert "assist up" in outcome.stderr
    assert "--redis-url" in outcome.stderr
    assert "secret" not in outcome.stderr


def test_a_wrong_password_is_told_by_the_actions_of_the_api_too(fleet: Fleet) -> None:
    wrong = fleet.system.redis_url.replace("redis://", "redis://nobody:wrong@")
    outcome = fleet.assist("ecs", "DescribeInvocations", "--redis-url", wrong)
    assert outcome.exit_code == 4
    assert outcome.stderr.startswith("assist: Redis at redis://nobody@")
    assert "WRONGPASS" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def on_a_terminal(fleet: Fleet, *arguments: str, columns: int = 80) -> str:
    """What a terminal of this width would have received, from both outputs."""
    ours, theirs = pty.openpty()
    os.set_inheritable(theirs, True)
    subprocess.run(["stty", "cols", str(columns)], stdin=theirs, check=True)
    program = subprocess.Popen(
        [installed_program("assist"), *arguments], env=fleet.environment, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    received = b""
    try:
        while chunk := os.read(ours, 4096):
            received += chunk
    except OSError:
        pass  # how a terminal says that nobody has it open any more
    finally:
        os.close(ours)
    program.wait(10)
    return received.decode()


def test_a_terminal_gets_a_progress_line_that_is_taken_away(fleet: Fleet) -> None:
    received = on_a_terminal(fleet, "run", "sleep 0.5; echo done", "--all")
    assert "] 0/2  " in received
    shown = received.replace("\r\n", "\n").rpartition("\r")[2]
    assert shown.startswith("2 instances: Success exit 0\n")


def test_on_a_terminal_talk_begins_in_a_line_of_its_own(fleet: Fleet) -> None:
    received = on_a_terminal(fleet, "run", "printf 'no end'", "--instance", "i-web1").replace("\r\n", "\n")
    assert "no end\nt-" in received
    assert on_a_terminal(fleet, "run", "echo end", "--instance", "i-web1").replace("\r\n", "\n").count("\n") == 2
    piped = fleet.shell("assist run \"printf 'no end'\" --instance i-web1 2>&1")
    assert "no endt-" in piped.stdout, "not a byte is added to what a program reads"


def test_on_a_terminal_a_command_hides_nothing_of_itself(fleet: Fleet) -> None:
    script = "echo good #\x1b[8m\r\nrm -rf /srv\x1b[2K\techo é"
    command_id = fleet.assist("command", "create", "--file", "-", "--name", "sly", input=script).must_succeed().stdout
    shown = on_a_terminal(fleet, "command", "show", command_id.strip())
    assert "\x1b" not in shown
    assert "echo good #\\x1b[8m" in shown
    assert "rm -rf /srv\\x1b[2K" in shown
    assert fleet.shell(f"assist command show {command_id}").stdout.endswith(f"\n\n{script}\n"), "as it is, in a pipe"
    fleet.assist("command", "delete", command_id.strip()).must_succeed()


def test_on_a_terminal_a_table_fits_its_width(fleet: Fleet) -> None:
    fleet.assist("instance", "add", "i-wordy", "--name", "n" * 100).must_succeed()
    lines = on_a_terminal(fleet, "instance", "list", "--connected", columns=70).split("\r\n")
    assert max(map(len, lines)) <= 70
    fleet.assist("instance", "remove", "i-wordy").must_succeed()


def test_a_file_gets_no_progress(fleet: Fleet) -> None:
    outcome = fleet.assist("run", "sleep 0.5", "--all").must_succeed()
    assert "\r" not in outcome.stdout + outcome.stderr
    assert "\x1b" not in outcome.stdout + outcome.stderr
