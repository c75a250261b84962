"""Measure, print one table, and keep it: ``make bench``, or ``.venv/bin/python tests/benchmarks/run.py --help``."""

import argparse
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from benchmarks import (  # noqa: E402
    bench_beat,
    bench_gateway,
    command_line,
    dispatching,
    fan_out,
    fleet,
    footprint,
    large_output,
    latency,
    reading,
    rivals,
)
from benchmarks.figures import Figure, Scale, as_table, keep  # noqa: E402

PARTS: Mapping[str, Callable[[Scale, Path], list[Figure]]] = {
    "latency": latency.figures,
    "command_line": command_line.figures,
    "footprint": footprint.figures,
    "fan_out": fan_out.figures,
    "dispatching": dispatching.figures,
    "reading": reading.figures,
    "large_output": large_output.figures,
    "beat": bench_beat.figures,
    "gateway": bench_gateway.figures,
    "fleet": fleet.figures,
}


def main(arguments: Sequence[str]) -> int:
    """Run the chosen parts; 1 when one of them could not be measured."""
    options = _options(arguments)
    scale = Scale(is_quick=options.quick)
    figures: list[Figure] = []
    notes: list[str] = []
    remarks: list[str] = []
    for name in options.only or PARTS:
        began = time.perf_counter()
        sys.stderr.write(f"measuring {name} … ")
        sys.stderr.flush()
        try:
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                figures += PARTS[name](scale, Path(folder) / name)
        except Exception as exc:  # noqa: BLE001  # outermost: the other parts are worth having
            traceback.print_exc()
            notes.append(f"{name} was not measured: {exc!r}")
        sys.stderr.write(f"{time.perf_counter() - began:.0f} s\n")
    if options.rivals:
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            found, left_out = rivals.figures(scale, Path(folder) / "rivals")
        figures += found
        remarks += left_out
    sys.stdout.write("\n\n".join([as_table(figures), *notes, *remarks]) + "\n")
    if not options.quick:
        sys.stderr.write(f"kept as {keep(figures, notes + remarks)}.md and .json\n")
    return 1 if notes else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(PARTS), metavar="PART", help=f"some of: {', '.join(PARTS)}")
    parser.add_argument(
        "--quick", action="store_true", help="tiny counts, to see that everything works; nothing is kept"
    )
    parser.add_argument(
        "--rivals",
        action="store_true",
        help="also other tools that install from the package index (needs the index, and sshd for most)",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
