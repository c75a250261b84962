import sys
import time
from pathlib import Path

from harness.clock import SteppedClock
from harness.eventually import eventually
from harness.processes import Program, clean_environment

TICKER = """
import time
start = time.monotonic()
while True:
    print(f"{time.time():.1f} {time.monotonic() - start:.1f}", flush=True)
    time.sleep(0.02)
"""


def test_a_step_moves_the_wall_clock_of_a_running_program_and_not_its_monotonic_clock(tmp_path: Path) -> None:
    clock = SteppedClock(tmp_path / "clock")
    program = Program(
        [sys.executable, "-c", TICKER],
        env=clean_environment(tmp_path, clock.environment),
        cwd=tmp_path,
        log_path=tmp_path / "program.log",
    )

    def offset_seconds() -> float:
        return float(program.log().splitlines()[-1].split()[0]) - time.time()

    with program.start(ready=r"\d+\.\d+ \d"):
        assert abs(offset_seconds()) < 2
        clock.step(3600)
        eventually(lambda: abs(offset_seconds() - 3600) < 2, what="an hour later")
        clock.step(-7200)
        eventually(lambda: abs(offset_seconds() + 3600) < 2, what="an hour earlier")
        assert float(program.log().splitlines()[-1].split()[1]) < 60
