"""A command line that a document or a message of ours names is one that there is."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import click
import pytest

from cloud_assistant.beat.cli import main as assist_beat
from cloud_assistant.producer.cli.program import root as assist
from cloud_assistant.producer.gateway.cli import main as assist_gateway
from cloud_assistant.worker.cli import main as assist_agent
from rules.source import Source, repository_sources

PROGRAMS = {
    "assist": assist,
    "assist-agent": assist_agent,
    "assist-beat": assist_beat,
    "assist-gateway": assist_gateway,
}
#: What is about the past, or made up by a test.
LEFT_OUT = ("tests/", "CHANGELOG.md", "DECISIONS.md")
#: A line of a document, words in backticks, a string, or what follows "with: " in a message.
PLACES = (re.compile(r"^ *(assist.*)"), re.compile(r"`([^`]*)`"), re.compile(r"""["'](assist[^"']*)["']"""))
NAMED = re.compile(r"(?<![\w/.-])(assist(?:-agent|-beat|-gateway)?) +((?:[a-z-]).*)")
END = re.compile(r" #|[;|)…]")


def named_in(source: Source) -> Iterator[tuple[str, list[str]]]:
    """Each program that a file names with what it is given."""
    for line in source.lines:
        for place in PLACES:
            for text in place.findall(line):
                for program, words in NAMED.findall(text):
                    yield program, END.split(words)[0].split()


def complaint_about(program: str, words: list[str]) -> str:
    """What there is not of this; empty when all is there."""
    command, left = PROGRAMS[program], list(words)
    context = click.Context(command)
    options = {"--help", *options_of(command, context)}
    while isinstance(command, click.Group) and left and re.fullmatch(r"[a-z][a-z-]*", left[0]):
        name = left.pop(0)
        found = command.get_command(context, name)
        if found is None:
            return f"{program} {' '.join(words)}: no {name}"
        command, context = found, click.Context(found, parent=context)
        options |= options_of(command, context)
    if command.name == "ecs":
        # What it takes is the API's.
        return ""
    given = (word.partition("=")[0].rstrip(".,") for word in left if word.startswith("--"))
    return next((f"{program} {' '.join(words)}: no {name}" for name in given if name not in options), "")


def options_of(command: click.Command, context: click.Context) -> set[str]:
    """Every spelling of its options."""
    return {name for one in command.get_params(context) for name in (*one.opts, *one.secondary_opts)}


def test_what_is_named_is_there() -> None:
    sources = [one for one in repository_sources() if not str(one.path).startswith(LEFT_OUT)]
    named = [(source.path, program, words) for source in sources for program, words in named_in(source)]
    assert len(named) > 300
    found = [(path, complaint_about(program, words)) for path, program, words in named]
    assert [f"{path}: {text}" for path, text in found if text] == []


@pytest.mark.parametrize(
    "line",
    ["see `assist timed history`.", "assist run 'x' --al", "`assist-agent registr`", "text with `assist run --every`"],
)
def test_what_is_not_there_is_found(line: str) -> None:
    (one,) = [one for one in named_in(Source(PurePosixPath("x.md"), line)) if complaint_about(*one)]
    assert one[0].startswith("assist")
