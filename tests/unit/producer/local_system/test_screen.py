"""What `assist up` shows."""

import io
import os
import re
from pathlib import Path

import pytest

from cloud_assistant.producer.local_system import next_steps as steps
from cloud_assistant.producer.local_system.screen import Screen


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self) -> None:
        self.sent = io.BytesIO()
        super().__init__(self.sent, encoding="utf-8", write_through=True)

    def isatty(self) -> bool:
        return True


def draw(screen: Screen) -> None:
    screen.title("0.1.0")
    screen.status("starting beat")
    screen.row("Redis", "redis://127.0.0.1:6399/0", runs=True)
    screen.row("home", "/var/lib/x", runs=False)
    screen.next_steps(["assist instance list"])
    screen.change("beat has ended", bad=True)
    screen.failure("Flower did not start", ["a line"])


def test_a_file_gets_plain_aligned_lines() -> None:
    stream = io.StringIO()
    draw(Screen(stream, {"TERM": "xterm"}))
    text = stream.getvalue()
    assert "\033" not in text
    assert "starting beat" not in text
    assert "  * Redis     redis://127.0.0.1:6399/0\n    home      /var/lib/x\n" in text
    assert f"kill {os.getpid()}" in text
    assert re.search(r"^  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  beat has ended$", text, re.MULTILINE)


def test_a_terminal_gets_colours_and_ctrl_c() -> None:
    terminal = Terminal()
    draw(Screen(terminal, {"TERM": "xterm"}))
    text = terminal.sent.getvalue().decode()
    assert "\033[32m●\033[0m Redis" in text
    assert "starting beat…" in text
    assert "Ctrl-C" in text


@pytest.mark.parametrize("environment", [{"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_a_terminal_that_wants_no_colour_gets_none(environment: dict[str, str]) -> None:
    terminal = Terminal()
    draw(Screen(terminal, environment))
    assert b"\033" not in terminal.sent.getvalue()


def test_a_closed_terminal_does_not_stop_us() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as gone:
        draw(Screen(gone, {}))
        # What the stream still holds back would fail once more when it is closed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), gone.fileno())


def test_the_proposed_commands_stand_alone_in_the_usual_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "default_home", lambda: "/var/lib/cloud-assistant")
    monkeypatch.setattr(steps, "_is_on_everybodys_path", lambda: True)
    assert all(
        line.startswith("assist ") for line in steps.next_steps(Path("/var/lib/cloud-assistant"), with_agent=True)
    )


def test_another_terminal_is_told_the_home_and_where_the_programs_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "_is_on_everybodys_path", lambda: False)
    first = steps.next_steps(Path("/tmp/my home"), with_agent=True)[0]
    assert first.startswith("export CLOUD_ASSISTANT_HOME='/tmp/my home' PATH=")
