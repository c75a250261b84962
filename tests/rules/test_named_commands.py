"""Every command of ours that a text names is there, with the options that it names."""

import ast
import re
from collections.abc import Iterator

import click
import pytest

from cloud_assistant.producer.cli.program import root
from cloud_assistant.worker.cli import main
from rules.source import Source, repository_sources

PROGRAMS: dict[str, click.Group] = {"assist": root, "assist-agent": main}
#: Up to what ends a command in a shell or in prose.
MENTION = re.compile(r"(?<![\w./-])(assist(?:-agent)?) ([^`\n;|#)(]*)")
OPTION = re.compile(r"--[a-z][a-z0-9-]*")
#: What is only known when the text is made.
FILLED_IN = "…"
#: Words behind a program's name that are no command of it.
PROSE = {"and", "in", "itself", "there", "=", "[OPTIONS]"}
#: The history has commands that were there once.
LEFT_OUT = ("CHANGELOG.md", "tests/")


def texts_of(source: Source) -> Iterator[str]:
    """What a file says: the strings of a module, else all of it."""
    if not source.is_python:
        yield source.text
        return
    for node in source.elements:
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else FILLED_IN for part in node.values)  # type: ignore[misc]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def options_of(command: click.Command) -> set[str]:
    return {
        name for one in command.params if isinstance(one, click.Option) for name in (*one.opts, *one.secondary_opts)
    }


def complaint_about(program: str, words: list[str]) -> str:
    """What is wrong with a command; empty when it is there."""
    command: click.Command = PROGRAMS[program]
    options = {"--help", "--version", *options_of(command)}
    path = [program]
    for place, word in enumerate(words):
        if word.startswith("-"):
            continue
        if not isinstance(command, click.Group) or FILLED_IN in word:
            break
        found = command.get_command(click.Context(command), word)
        if found is None:
            return "" if word in PROSE and place == 0 else f"{' '.join(path)} has no command {word}"
        command = found
        path.append(word)
        options |= options_of(command)
    if isinstance(command, click.Group) or command.context_settings.get("ignore_unknown_options"):
        return ""
    unknown = [
        one for word in words for one in OPTION.findall(word)[:1] if word.startswith("--") and one not in options
    ]
    return f"{' '.join(path)} has no {', '.join(unknown)}" if unknown else ""


def complaints(text: str) -> list[str]:
    found = []
    for mention in MENTION.finditer(text):
        plain = re.sub(r"['\"]", " ", mention[2])
        words = [stripped for word in plain.split() if (stripped := word.strip(".,:"))]
        found.append(complaint_about(mention[1], words) if words else "")
    return [one for one in found if one]


SOURCES = [one for one in repository_sources() if MENTION.search(one.text) and not str(one.path).startswith(LEFT_OUT)]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: str(source.path))
def test_a_command_that_is_named_is_there(source: Source) -> None:
    assert [one for text in texts_of(source) for one in complaints(text)] == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("run `assist key make` first", "assist key has no command make"),
        ("assist instance add ID --credential FILE; then", "assist instance add has no --credential"),
        ("assist-agent install --system systemd --hard", "assist-agent install has no --hard"),
        ("assist run 'echo 1' --all", ""),
        ("assist and Flower", ""),
    ],
)
def test_a_command_that_is_not_there_is_noticed(text: str, complaint: str) -> None:
    assert complaints(text) == ([complaint] if complaint else [])
