"""``assist-agent`` with an empty word, as an unset variable leaves it: no other place is meant in silence."""

import pytest
from click.testing import CliRunner

from cloud_assistant.worker.cli import main

REGISTER = ("register", "--gateway", "http://127.0.0.1:1", "--activation-id", "x", "--activation-code", "y")


@pytest.mark.parametrize("blank", ["", "  "])
@pytest.mark.parametrize(
    "words",
    [
        (*REGISTER, "--config"),
        (*REGISTER, "--home"),
        ("install", "--print", "--config"),
        ("install", "--print", "--home"),
        ("install", "--print", "--log-folder"),
        ("install", "--print", "--program"),
        ("policy", "show", "--config"),
        ("policy", "check"),
    ],
    ids=lambda words: f"{words[0]} {words[-1]}",
)
def test_an_empty_word_is_refused(words: tuple[str, ...], blank: str) -> None:
    outcome = CliRunner().invoke(main, [*words, blank])
    assert outcome.exit_code == 2
    assert "it is empty, as an unset variable leaves it" in outcome.output


def test_an_empty_home_of_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLOUD_ASSISTANT_HOME", "")
    outcome = CliRunner().invoke(main, [*REGISTER])
    assert outcome.exit_code == 2
    assert "CLOUD_ASSISTANT_HOME is empty" in outcome.output
