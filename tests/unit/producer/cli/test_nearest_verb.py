"""Whoever uses a verb of another noun, or of another tool, is told ours; never one that does something else."""

import pytest

from cloud_assistant.producer.cli import exit_codes, main


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("instance delete", "remove"),
        ("instance create", "add"),
        ("instance get", "show"),
        ("instance ls", "list"),
        ("command remove", "delete"),
        ("command update", "modify"),
        ("command lsit", "list"),
        ("access-key rm", "delete"),
        ("access-key edit", "update"),
        ("package remove", "uninstall"),
        ("package delete", "uninstall"),
        ("timed delete", "stop"),
        ("invocation cancel", "stop"),
        ("invocation logs", "results"),
        ("exec", "run"),
        ("schedule", "timed"),
        ("instances", "instance"),
        # Two letters in place are no likeness: these led to list, resume, stop, up and publisher.
        ("activation edit", ""),
        ("timed create", ""),
        ("timed history", ""),
        ("ps", ""),
        ("users", ""),
    ],
)
def test_a_word_that_is_no_verb_leads_to_the_one_that_is_meant(
    words: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words.split()) == exit_codes.WRONG_USAGE
    said = capsys.readouterr().err
    assert (f"; did you mean {meant}?" in said) if meant else ("did you mean" not in said), said
