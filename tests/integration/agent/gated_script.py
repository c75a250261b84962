"""A script that runs until its test lets it end, and leaves a trace at both ends."""

from pathlib import Path

from integration.agent.operator_side import Execution, Operator, side_effects

from harness.eventually import eventually

_TEXT = """echo start >> {0}/effects; {first}
while [ ! -e {0}/go ]; do sleep 0.05; done
{last}; echo end >> {0}/effects; exit {exit_code}
"""


def started(
    operator: Operator, folder: Path, *, first: str = "true", last: str = "echo done", exit_code: int = 0
) -> Execution:
    """Run it, with a command at each end, and wait until it has begun."""
    execution = operator.invoke_one(_TEXT.format(folder, first=first, last=last, exit_code=exit_code))
    eventually(lambda: side_effects(folder / "effects") == ["start"], 10, "the script runs")
    return execution


def finish(folder: Path) -> None:
    """Let it end, and wait until it has."""
    (folder / "go").touch()
    eventually(lambda: side_effects(folder / "effects") == ["start", "end"], 10, "the script ends")
