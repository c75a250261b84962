"""Where the kernel has no name for a start of the machine, a restart of the agent is still no start of it."""

from pathlib import Path

import pytest

from cloud_assistant.worker.boot import machine_start
from cloud_assistant.worker.boot.machine_start import remembered_boot

HOUR_MS = 3_600_000
NOW_MS = 1_800_000_000_000


def at(monkeypatch: pytest.MonkeyPatch, moment_ms: int) -> None:
    monkeypatch.setattr(machine_start, "now_ms", lambda: moment_ms)


def test_a_restart_of_the_agent_keeps_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, NOW_MS)
    first = remembered_boot(tmp_path, HOUR_MS)
    # The two clocks differ a little each time, and one of them was set by a minute.
    at(monkeypatch, NOW_MS + 5_000 + 61_000)
    assert remembered_boot(tmp_path, HOUR_MS + 5_000) == first


def test_clocks_that_drift_apart_slowly_keep_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, NOW_MS)
    first = remembered_boot(tmp_path, HOUR_MS)
    for run in range(1, 10):
        at(monkeypatch, NOW_MS + run * (HOUR_MS + 60_000))
        assert remembered_boot(tmp_path, HOUR_MS + run * HOUR_MS) == first


@pytest.mark.parametrize(
    ("was_up_ms", "later_ms", "up_ms"),
    [
        (HOUR_MS, 60_000, 50_000),
        (HOUR_MS, 2 * HOUR_MS, 60_000),
        (HOUR_MS, 9 * HOUR_MS, 2 * HOUR_MS),
        pytest.param(60_000, 70_000, 50_000, id="just after a start"),
        pytest.param(60_000, -NOW_MS, 70_000, id="without a clock of its own"),
    ],
)
def test_a_restart_of_the_machine_changes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, was_up_ms: int, later_ms: int, up_ms: int
) -> None:
    at(monkeypatch, NOW_MS)
    first = remembered_boot(tmp_path, was_up_ms)
    at(monkeypatch, NOW_MS + later_ms)
    second = remembered_boot(tmp_path, up_ms)
    assert second != first
    assert remembered_boot(tmp_path, up_ms) == second


def test_a_file_that_cannot_be_read_counts_as_another_start(tmp_path: Path) -> None:
    first = remembered_boot(tmp_path, HOUR_MS)
    (tmp_path / "boot.json").write_bytes(b"nonsense")
    assert remembered_boot(tmp_path, HOUR_MS) != first
