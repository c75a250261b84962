"""The command lines of beat, gateway and agent: how one that is cut short ends."""

import click
import pytest
from click.testing import CliRunner

from cloud_assistant.beat.cli import main as beat
from cloud_assistant.broker_config.programs.command_line import Program
from cloud_assistant.producer.gateway.cli import main as gateway
from cloud_assistant.worker.cli import main as agent


def test_ctrl_c_is_told_in_one_line_and_as_shells_say_it() -> None:
    @click.command("waits", cls=Program)
    def waits() -> None:
        raise KeyboardInterrupt

    outcome = CliRunner().invoke(waits)
    assert outcome.exit_code == 130
    assert outcome.stderr == "waits: interrupted (Interrupted)\n"


def test_ctrl_c_while_the_words_are_read_is_told_alike() -> None:
    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    @click.command("waits", cls=Program)
    @click.option("--flag", is_flag=True, callback=interrupted)
    def waits(flag: bool) -> None:
        raise AssertionError(flag)

    outcome = CliRunner().invoke(waits)
    assert (outcome.exit_code, outcome.stderr) == (130, "waits: interrupted (Interrupted)\n")


@pytest.mark.parametrize("cause", [KeyboardInterrupt(), None], ids=["ctrl-c", "defect"])
def test_ctrl_c_is_told_from_a_defect_in_what_python_makes_of_it(cause: BaseException | None) -> None:
    @click.command("waits", cls=Program)
    def waits() -> None:
        raise RuntimeError("Error calling __set_name__") from cause

    outcome = CliRunner().invoke(waits)
    assert outcome.exit_code == (130 if cause else 1)
    assert isinstance(outcome.exception, SystemExit if cause else RuntimeError)


def test_an_error_of_another_kind_is_not_taken_for_a_full_disk() -> None:
    @click.command("reads", cls=Program)
    def reads() -> None:
        raise FileNotFoundError(2, "No such file or directory", "x")

    with pytest.raises(FileNotFoundError):
        CliRunner().invoke(reads, catch_exceptions=False)


def _no_such(option: str) -> str:
    """As click says it, which differs by release."""
    text = click.NoSuchOption(option).format_message()
    return text[0].lower() + text[1:].removesuffix(".")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--nope"], f"{_no_such('--nope')}; see `agent --help`"),
        (["walk"], "no such command 'walk'; see `agent --help`"),
        (["run", "--slots", "x"], "invalid value for '--slots': 'x' is not a valid integer; see `agent run --help`"),
        (["run", "a\nb"], "got unexpected extra argument (a b); see `agent run --help`"),
    ],
)
def test_wrong_usage_is_told_in_one_line_as_assist_tells_it(words: list[str], text: str) -> None:
    class Group(Program, click.Group):
        """As the agent's."""

    agent = Group("agent", commands=[click.Command("run", params=[click.Option(["--slots"], type=int)])])
    outcome = CliRunner().invoke(agent, words)
    assert (outcome.exit_code, outcome.stdout, outcome.stderr) == (2, "", f"agent: {text} (InvalidUsage)\n")


def test_a_group_without_a_verb_shows_its_help() -> None:
    class Group(Program, click.Group):
        """As the agent's."""

    outcome = CliRunner().invoke(Group("agent", help="Run commands."), [])
    assert "Run commands." in outcome.output


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (beat, ["--redis-url", ""]),
        (beat, ["--home", " "]),
        (gateway, ["--redis-url", ""]),
        (gateway, ["--config", ""]),
        (gateway, ["--unix-socket", "", "--redis-url", "none"]),
        (gateway, ["--tls-certificate", "", "--tls-key", "", "--redis-url", "none"]),
        (agent, ["run", "--redis-url", ""]),
        (agent, ["run", "--instance-id", ""]),
        (agent, ["doctor", "--config", ""]),
        (agent, ["status", "--home", ""]),
        (agent, ["upgrade", "--home", ""]),
    ],
)
def test_an_empty_option_is_refused_and_not_taken_for_none(program: click.Command, words: list[str]) -> None:
    outcome = CliRunner().invoke(program, words)
    assert outcome.exit_code == 2
    assert "it is empty, as an unset variable leaves it" in outcome.stderr
