"""Each example in each help does what it shows, wherever it can be run without harm to the machine or the others."""

import shutil
from collections.abc import Iterator

import click
import pytest
from e2e.cli.conftest import Fleet

from cloud_assistant.producer.cli.assist_command import AssistCommand
from cloud_assistant.producer.cli.program import root
from cloud_assistant.producer.commands.command_library import CommandFilter
from harness.needs import skip_without

#: Beginnings of examples that are left to the tests of their own, and why.
ELSEWHERE = {
    "assist up": "it stays up",
    "assist file send": "it writes into system folders",
    "date | assist file send": "it writes into system folders",
    "assist instance add i-web2 --credentials": "it takes the agent's place",
    "assist instance rotate": "it needs keys",
    "assist instance renew-rights": "it needs keys",
    "assist program renew-rights": "it needs users of our programs",
    "assist invocation verify": "it needs keys",
    "assist key": "it would make a master key for this fleet, which has none",
    "assist instance quarantine": "nothing would run any more",
    "assist access-key disable": "its own test does it",
    "assist access-key enable": "its own test does it",
    "assist access-key delete": "its own test does it",
    "assist package": "it needs an archive, and a gateway to fetch it from",
    "assist agent-version": "it needs a bundle",
    "assist publisher": "it needs an archive to sign",
    "assist doctor": "it tells of more than this fleet has",
    "assist access-key update": "its own test does it",
    "assist audit verify": "its own test does it",
    "assist audit export": "its own test does it",
    "assist instance release": "it needs a quarantine",
    "assist run 'test -n": "a secret needs keys",
    "assist timed modify t-… --secret-parameter": "a secret needs keys",
    "assist activation show": "its own test does it",
    "assist activation disable": "its own test does it",
    "assist activation delete": "its own test does it",
}


def examples(command: click.Command = root) -> Iterator[str]:
    if isinstance(command, AssistCommand):
        yield from command.examples
    elif isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from examples(found)


RUNNABLE = sorted(example for example in examples() if not example.startswith(tuple(ELSEWHERE)))


@pytest.fixture(scope="module")
def prepared(fleet: Fleet) -> Fleet:
    """What the examples take for granted beside the fleet."""
    (fleet.folder / "check.sh").write_text("echo checked\n")
    fleet.shell("openssl genpkey -algorithm ed25519 -out operator.pem").must_succeed()
    return fleet


def filled_in(fleet: Fleet, example: str) -> str:
    """The example with ids of things that exist in place of its ``c-…``, ``t-…`` and ``i-…``."""
    line = example.replace("i-… i-…", "i-web1 i-web2").replace("i-…", "i-web1")
    if "c-…" in line:
        with fleet.system.operator() as operator:
            line = line.replace("c-…", operator.create_command(name="example", type="RunShellScript", content="true"))
    if " disk" in line:
        # Made anew each time: an example before may have made the master key that stored commands are sealed with.
        with fleet.system.operator() as operator:
            for one in operator.describe_commands(CommandFilter(name="disk")).items:
                operator.delete_command(one.command.command_id)
            operator.create_command(name="disk", type="RunShellScript", content="df -h /")
    if "t-…" in line:
        timed = line.startswith(("assist timed", "assist invocation history"))
        line = line.replace("t-…", fleet.start("true", frequency="0 0 3 * * *" if timed else ""))
    if " i-old" in line:
        fleet.system.register("i-old")
    return line


@pytest.mark.parametrize("example", RUNNABLE)
def test_an_example_works_as_it_stands(prepared: Fleet, example: str) -> None:
    if "uptime" in example and shutil.which("uptime") is None:
        skip_without("uptime", "Install your distribution's procps.")
    outcome = prepared.shell(filled_in(prepared, example)).must_succeed()
    assert "assist: " not in outcome.stderr
    if " i-db1" in example:
        # No agent is there: it would keep every later `--all` waiting.
        with prepared.system.operator() as operator:
            operator.remove_instance("i-db1")


def test_what_is_run_elsewhere_is_still_there() -> None:
    shown = list(examples())
    assert [start for start in ELSEWHERE if not any(one.startswith(start) for one in shown)] == []
