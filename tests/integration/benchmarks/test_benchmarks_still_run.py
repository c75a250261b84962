"""Every part of the benchmarks, with tiny counts: figures come out, and none of them gates anything."""

from pathlib import Path

import pytest
from benchmarks.figures import Figure, Scale, as_table, at_least, at_most, times_floor
from benchmarks.run import PARTS


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_a_part_still_measures(name: str, tmp_path: Path) -> None:
    figures = PARTS[name](Scale(is_quick=True), tmp_path / name)
    assert figures
    assert all(figure.ours >= 0 for figure in figures)
    assert len({figure.name for figure in figures}) == len(figures)


def test_the_table_says_which_goals_are_met() -> None:
    figures = [
        Figure("quick", "ms", 3, 2, times_floor(1.6, then=1.2)),
        Figure("slow", "ms", 151, None, at_most(150)),
        Figure("fast", "/s", 1_500, None, at_least(250)),
        Figure("plain", "s", 0.25),
    ]
    assert [figure.is_met for figure in figures] == [True, False, True, None]
    table = as_table(figures)
    assert "| quick | 3 ms |  | 2 ms | 1.50 | ≤ 1.6, then 1.2 × floor | yes |" in table
    assert "| slow | 151 ms |  |  |  | ≤ 150 | **no** |" in table
    assert "| fast | 1,500 /s |  |  |  | ≥ 250 | yes |" in table
