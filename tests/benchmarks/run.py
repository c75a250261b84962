"""Measure, print one table, and keep it: ``make bench``, or ``.venv/bin/python tests/benchmarks/run.py [NAME …]``."""

import json
import platform
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from benchmarks.measures import INSTANCE, MEASURES, Bench, Figure  # noqa: E402

from cloud_assistant.broker_config.settings_table import Settings  # noqa: E402
from cloud_assistant.producer.api import Assistant  # noqa: E402
from harness.processes import Program, clean_environment  # noqa: E402
from harness.redis_server import RedisServer  # noqa: E402
from harness.system import System  # noqa: E402


def main(names: list[str]) -> None:
    """Run the named measures, or all."""
    chosen = [one for one in MEASURES if not names or one.__name__ in names]
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with RedisServer(folder / "redis") as server, ExitStack() as ending:
            system = System.on(server, folder / "system")
            ending.callback(system.stop)
            agent = system.start_agent(INSTANCE)
            floor_agent = Program(
                [sys.executable, HERE / "floor.py", server.url(), "one"],
                env=clean_environment(folder),
                cwd=folder,
                log_path=folder / "floor.log",
            )
            floor_agent.start()
            ending.callback(floor_agent.stop)
            assistant = Assistant(settings=Settings(redis_url=server.url(), home=str(folder)))
            ending.callback(assistant.close)
            bench = Bench(server, system, assistant, agent, folder)
            figures = [figure for measure in chosen for figure in measure(bench)]
    table = as_table(figures)
    print(table)
    keep(figures, table)


def as_table(figures: list[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = ["| what | ours | floor | ratio | goal |", "| --- | --: | --: | --: | --- |"]
    for one in figures:
        base = f"{one.floor:.3g} {one.unit}" if one.floor is not None else "–"
        ratio = f"{one.ratio:.2f}" if one.ratio is not None else "–"
        lines.append(f"| {one.name} | {one.ours:.3g} {one.unit} | {base} | {ratio} | {one.goal} |")
    return "\n".join(lines)


def keep(figures: list[Figure], table: str) -> None:
    """Write the figures down with date, machine and commit."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False
    ).stdout.strip()
    now = datetime.now(UTC)
    facts = {
        "date": now.isoformat(timespec="seconds"),
        "commit": commit,
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "figures": [{**vars(one), "ratio": one.ratio} for one in figures],
    }
    name = HERE / "results" / f"{now:%Y-%m-%dT%H%M}-{commit}"
    name.with_suffix(".json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n")
    name.with_suffix(".md").write_text(f"{facts['date']}, commit {commit}, {facts['machine']}\n\n{table}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
