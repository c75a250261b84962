"""Figures: one line each of the table, with its goal, and how they are printed and kept."""

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Literal, TypeVar

HERE = Path(__file__).parent
Amount = TypeVar("Amount", int, float)


@dataclass(frozen=True)
class Goal:
    """What a figure should reach, and what it should reach then."""

    kind: Literal["at most", "at least", "times the floor"]
    value: float
    then: float | None = None

    def __str__(self) -> str:
        sign = "≥" if self.kind == "at least" else "≤"
        unit = " × floor" if self.kind == "times the floor" else ""
        further = f", then {self.then:,g}" if self.then is not None else ""
        return f"{sign} {self.value:,g}{further}{unit}"

    def is_met(self, figure: "Figure") -> bool:
        """Tell whether the first mark is reached."""
        measured = figure.ratio if self.kind == "times the floor" else figure.ours
        if measured is None:
            return False
        return measured >= self.value if self.kind == "at least" else measured <= self.value


def at_most(value: float, then: float | None = None) -> Goal:
    """A figure that should not be greater."""
    return Goal("at most", value, then)


def at_least(value: float, then: float | None = None) -> Goal:
    """A figure that should not be smaller."""
    return Goal("at least", value, then)


def times_floor(value: float, then: float | None = None) -> Goal:
    """A figure that should not be greater than so many times the floor of the same run."""
    return Goal("times the floor", value, then)


@dataclass(frozen=True)
class Figure:
    """One line of the table; ``low`` and ``high`` are the least and the greatest of several runs."""

    name: str
    unit: str
    ours: float
    floor: float | None = None
    goal: Goal | None = None
    low: float | None = None
    high: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours over the floor of the same run."""
        return self.ours / self.floor if self.floor else None

    @property
    def is_met(self) -> bool | None:
        """Whether the goal's first mark is reached; ``None`` without a goal."""
        return self.goal.is_met(self) if self.goal else None


def of_runs(
    name: str, unit: str, ours: Sequence[float], floor: Sequence[float] = (), *, goal: Goal | None = None
) -> Figure:
    """The median of several runs, with their spread."""
    base = median(floor) if floor else None
    return Figure(name, unit, median(ours), base, goal, min(ours), max(ours))


@dataclass(frozen=True)
class Scale:
    """How much is measured: all of it, or just enough to see that the measuring works."""

    is_quick: bool = False

    def of(self, full: Amount, quick: Amount) -> Amount:
        """Choose between two amounts."""
        return quick if self.is_quick else full

    @property
    def run_count(self) -> int:
        """How often a run is repeated."""
        return self.of(3, 1)


def interleaved(ours: Callable[[], float], other: Callable[[], float], rounds: int) -> tuple[list[float], list[float]]:
    """Measure both in turn, so that a drift of the machine meets both alike; the first tenth is warming up."""
    pairs = [(ours(), other()) for _ in range(rounds)]
    kept = pairs[rounds // 10 :]
    return sorted(pair[0] for pair in kept), sorted(pair[1] for pair in kept)


def quantile(ordered: list[float], share: float) -> float:
    """The value below which a share of the sorted values lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def as_table(figures: Iterable[Figure]) -> str:
    """The figures as a Markdown table."""
    lines = [
        "| what | ours | spread of the runs | floor | ratio | goal | met |",
        "| --- | --: | --: | --: | --: | --- | --- |",
    ]
    for one in figures:
        spread = f"{one.low:.3g} … {one.high:.3g}" if one.low is not None and one.high != one.low else ""
        cells = [
            one.name,
            f"{_number(one.ours)} {one.unit}".rstrip(),
            spread,
            f"{_number(one.floor)} {one.unit}" if one.floor is not None else "",
            f"{one.ratio:.2f}" if one.ratio is not None else "",
            str(one.goal or ""),
            {True: "yes", False: "**no**", None: ""}[one.is_met],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def keep(figures: Sequence[Figure], notes: Sequence[str] = ()) -> Path:
    """Write the figures down with date, machine and commit; return the file without its ending."""
    now = datetime.now(UTC)
    facts = {
        "date": now.isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": _machine(),
        "notes": list(notes),
        "figures": [
            {
                **{name: value for name, value in vars(one).items() if name != "goal"},
                "ratio": one.ratio,
                "goal": str(one.goal) if one.goal else "",
                "is_met": one.is_met,
            }
            for one in figures
        ],
    }
    path = HERE / "results" / f"{now:%Y-%m-%dT%H%M}-{facts['commit']}"
    path.with_suffix(".json").write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    heading = f"{facts['date']}, commit {facts['commit']}, {facts['machine']}"
    text = "\n\n".join([heading, as_table(figures), *notes])
    path.with_suffix(".md").write_text(text + "\n", encoding="utf-8")
    return path


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=HERE, capture_output=True, text=True, check=False).stdout.strip()

    return git("rev-parse", "--short", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")


def _machine() -> str:
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {memory_gb:.0f} GB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, load average {load:.1f} at the end"
    )
