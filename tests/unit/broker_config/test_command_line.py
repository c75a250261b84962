"""The command lines of beat, gateway and agent: how one that is cut short ends."""

import click
import pytest
from click.testing import CliRunner

from cloud_assistant.broker_config.command_line import Program


def test_ctrl_c_is_told_in_one_line_and_as_shells_say_it() -> None:
    @click.command("waits", cls=Program)
    def waits() -> None:
        raise KeyboardInterrupt

    outcome = CliRunner().invoke(waits)
    assert outcome.exit_code == 130
    assert outcome.stderr == "waits: interrupted (Interrupted)\n"


def test_an_error_of_another_kind_is_not_taken_for_a_full_disk() -> None:
    @click.command("reads", cls=Program)
    def reads() -> None:
        raise FileNotFoundError(2, "No such file or directory", "x")

    with pytest.raises(FileNotFoundError):
        CliRunner().invoke(reads, catch_exceptions=False)
