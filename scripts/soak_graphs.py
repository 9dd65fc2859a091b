"""Random graph programs on every collector against the graph that knows what is reachable (tests/native/graphs.cpp).

    python scripts/soak_graphs.py [--operations 100M] [--seed 1] [--only NAME] [--sanitize]

Each row of ``ROWS`` plays so many operations, as many rows at a time as there are processors. Exit code 1 when anything
went wrong: it is printed with the command that shows it again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
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


def _play(command: list[str], row: str) -> tuple[str, str, float, bool]:
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    words = (done.stdout + done.stderr).strip().splitlines()[-1:] or [f"ended with status {done.returncode}"]
    print(f"{row}: {words[0]}", file=sys.stderr, flush=True)
    shown = "" if done.returncode == 0 else f"\n  {os.path.relpath(command[0])} {' '.join(command[1:])}"
    return row, words[0] + shown, time.monotonic() - began, done.returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", default="100M", help="of each row")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="rows that begin with it")
    parser.add_argument("--sanitize", action="store_true", help="under ASan and UBSan")
    options = parser.parse_args()
    try:
        operations = parse_count(options.operations)
    except (ValueError, InputError) as problem:
        parser.error(f"--operations: {problem}")
    graphs = _build(sanitize=options.sanitize)
    rows = [row for row in ROWS if row.startswith(options.only)]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        played = list(pool.map(lambda row: _play(command(graphs, operations, options.seed, row), row), rows))
    lines = [(row, words, f"{seconds:.0f}") for row, words, seconds, _ in played]
    print(tabulate(lines, ("collector", "outcome", "seconds"), tablefmt="simple", colalign=("left", "left", "right")))
    faults = sum(not is_sound for *_, is_sound in played)
    print(f"\n{format_count(operations)} operations each, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
