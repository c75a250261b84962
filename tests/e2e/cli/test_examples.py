"""Each example in each help does what it shows."""

from collections.abc import Iterator

import click
import pytest
from e2e.cli.conftest import Fleet

from cloud_assistant.producer.cli.assist_command import AssistCommand
from cloud_assistant.producer.cli.program import root


def examples(command: click.Command = root) -> Iterator[str]:
    if isinstance(command, AssistCommand):
        yield from command.examples
    elif isinstance(command, click.Group):
        context = click.Context(command)
        # `assist up` stays up, and has tests of its own.
        for name in set(command.list_commands(context)) - {"up"}:
            found = command.get_command(context, name)
            assert found is not None
            yield from examples(found)


@pytest.fixture(scope="module")
def prepared(fleet: Fleet) -> Fleet:
    """What the examples take for granted beside the fleet."""
    (fleet.folder / "check.sh").write_text("echo checked\n")
    return fleet


@pytest.mark.parametrize("example", sorted(examples()))
def test_an_example_works_as_it_stands(prepared: Fleet, example: str) -> None:
    line = example
    if "c-…" in line:
        created = prepared.assist("command", "create", "true", "--name", "example").must_succeed()
        line = line.replace("c-…", created.stdout.strip())
    if "t-…" in line:
        line = line.replace("t-…", prepared.start("true", "--all"))
    if " i-old" in line:
        prepared.assist("instance", "add", "i-old").must_succeed()
    outcome = prepared.shell(line).must_succeed()
    assert "assist: " not in outcome.stderr
    if " i-db1" in line:
        # No agent is there: it would keep every later `--all` waiting.
        prepared.assist("instance", "remove", "i-db1").must_succeed()
