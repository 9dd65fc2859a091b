"""Random graph programs on every collector against the graph that knows what is reachable (tests/native/graphs.cpp).

    python scripts/soak_graphs.py [--operations 100M] [--seed 1] [--only NAME] [--jobs 2] [--sanitize]

Each row of ``ROWS`` plays this many operations. Exit code 1 when anything went wrong: the row is printed with the
command that shows it again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from memtool.allocators.registry import Registry
from memtool.allocators.spec import parse_allocators
from memtool.errors import InputError
from memtool.units import format_count, parse_count

ROOT = Path(__file__).parent.parent
ROWS = (
    "mark-sweep:heap=3x",
    "mark-sweep:heap=4x,trigger=64KiB",
    "mark-sweep:heap=4x,at=safe-point",
    "semispace:heap=5x",
    "semispace:heap=6x,trigger=40KiB",
    "semispace:heap=6x,at=safe-point",
    "generational:heap=5x",
    "generational:heap=6x,nursery=16KiB,at=safe-point",
    "generational:heap=5x,trigger=100KiB",
    "mark-compact:heap=2x",
    "mark-compact:heap=3x,trigger=64KiB",
    "immix:heap=3x",
    "immix:heap=4x,trigger=64KiB",
    "incremental:heap=4x,pause=2us",
    "incremental:heap=4x,pause=5us,barrier=dijkstra",
    "incremental:heap=4x,pause=2us,at=safe-point",
    "reference-counting:heap=12x",
    "reference-counting:heap=12x,cycles=trial-deletion",
    "deferred-counting:heap=16x",
    "deferred-counting:heap=16x,cycles=trial-deletion",
)
"""Collectors in heaps in which they have something to do."""
CONSERVATIVE = ("boehm:heap=8x",)
"""Reads whatever lies on the stack, which a sanitizer takes for an error."""


def command(graphs: Path, operations: int, seed: int, row: str) -> list[str]:
    """Return what plays so many operations on a row."""
    registry = Registry()
    (spec,) = parse_allocators(row, registry.groups)
    plan = registry.resolve(spec)
    return [str(graphs), str(operations), str(seed), plan.strategy, plan.engine_parameters]


def _build(*, sanitize: bool) -> Path:
    folder = ROOT / ("build/soak-sanitized" if sanitize else "build/soak")
    flags = ["-DMEMTOOL_SANITIZE=address,undefined"] if sanitize else []
    subprocess.run(["cmake", "-S", ROOT, "-B", folder, "-G", "Ninja", *flags], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", folder, "--target", "graphs"], check=True, stdout=subprocess.DEVNULL)
    return folder / "graphs"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a row."""

    row: str
    words: str
    processor_seconds: float
    is_sound: bool


def _play(command: list[str], row: str) -> Outcome:
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # so that Popen does not wait for it again
        output.seek(0)
        words = output.read().decode().strip().splitlines()[-1:] or [f"ended with status {process.returncode}"]
    print(f"{row}: {words[0]}", file=sys.stderr, flush=True)
    is_sound = process.returncode == 0
    again = "" if is_sound else f"\n  {os.path.relpath(command[0])} {' '.join(command[1:])}"
    return Outcome(row, words[0] + again, usage.ru_utime + usage.ru_stime, is_sound)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", default="100M", help="of each row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="rows whose names begin with this")
    parser.add_argument("--jobs", type=int, default=0, help="rows at a time; default: as many as there are processors")
    parser.add_argument("--driver", type=Path, help="a build of tests/native/graphs.cpp to use; default: one is made")
    parser.add_argument("--sanitize", action="store_true", help="under ASan and UBSan")
    options = parser.parse_args()
    try:
        operations = parse_count(options.operations)
    except (ValueError, InputError) as problem:
        parser.error(f"--operations: {problem}")
    graphs = options.driver or _build(sanitize=options.sanitize)
    candidates = ROWS if options.sanitize else (*ROWS, *CONSERVATIVE)
    rows = [row for row in candidates if row.startswith(options.only)]
    with ThreadPoolExecutor(options.jobs or len(os.sched_getaffinity(0))) as pool:
        outcomes = list(pool.map(lambda row: _play(command(graphs, operations, options.seed, row), row), rows))
    lines = [(outcome.row, outcome.words, f"{outcome.processor_seconds:.0f}") for outcome in outcomes]
    headings = ("collector", "outcome", "processor seconds")
    print(tabulate(lines, headings, tablefmt="simple", colalign=("left", "left", "right")))
    faults = sum(not outcome.is_sound for outcome in outcomes)
    print(f"\n{format_count(operations)} operations each, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
