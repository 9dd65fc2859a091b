"""Random operations on every strategy and on adaptors over each, for as long as it is told (tests/native/stress.cpp).

    python scripts/soak.py [--seconds 60 | --operations 100M] [--seed 1]

Each round gives every recipe a process of its own with a seed of its own: a fault costs that recipe its further rounds,
and is printed with the command that shows it again. Exit code 1 when there was any.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from memtool.engine.abi import binding
from memtool.errors import InputError
from memtool.units import format_count, parse_count

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build/soak"
STRATEGY_OPERATIONS = 100_000
"""Of a round; with adaptors a fifth of it, for they take longer."""
ADAPTOR_OPERATIONS = 20_000
DEEP = ("pad", "track", "leak", "fill", "redzone", "quarantine", "lock", "virtual")
"""All that go together over anything; guard pages take as long as everything else."""
BLOCKS = "block=16384"
"""For pools of one size: what adaptors need must fit into a block."""


@dataclass(slots=True)
class Row:
    """One recipe: what has become of it."""

    recipe: str
    share: int
    operations: int = 0
    fault: str | None = None
    cannot_stand: bool = False


def recipes() -> Iterator[Row]:
    """Yield every strategy by itself, under each adaptor, and under all of them."""
    adaptors = [str(adaptor["name"]) for adaptor in binding.describe_adaptors()]
    for described in binding.describe():
        if described["is_control"]:
            continue
        name = str(described["name"])
        parameters = described["parameters"]
        assert isinstance(parameters, list)
        sized = f":{BLOCKS}" if any(adaptor["name"] == "block" for adaptor in parameters) else ""
        yield Row(name, STRATEGY_OPERATIONS)
        for adaptor in adaptors:
            yield Row(f"{name}+{adaptor}{sized}", ADAPTOR_OPERATIONS)
        deep = [adaptor for adaptor in DEEP if described["free_order"] != "lifo" or adaptor != "quarantine"]
        yield Row("+".join((name, *deep)) + sized, ADAPTOR_OPERATIONS)


def build() -> Path:
    """Build the driver, optimised, and return its path."""
    subprocess.run(["cmake", "-S", ROOT, "-B", BUILD, "-G", "Ninja"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", BUILD, "--target", "stress"], check=True, stdout=subprocess.DEVNULL)
    return BUILD / "stress"


def take(stress: Path, row: Row, seed: int) -> None:
    """Give a recipe one share of operations."""
    command = [str(stress), str(row.share), str(seed), row.recipe]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode == 0:
        row.operations += row.share
    elif ended.returncode == 3:
        row.cannot_stand = True
    else:
        words = ended.stderr.strip().splitlines()[-1:] or [f"ended with status {ended.returncode}"]
        row.fault = f"{words[0]}\n  {os.path.relpath(stress)} {' '.join(command[1:])}"


def soak(stress: Path, rows: list[Row], seconds: float, operations: int, seed: int) -> None:
    """Go round until the time is up, or the operations are done; whichever is given as 0 does not count."""
    deadline = time.monotonic() + seconds if seconds else float("inf")
    for number in itertools.count(seed):
        standing = [row for row in rows if row.fault is None and not row.cannot_stand]
        for row in standing:
            done = sum(row.operations for row in rows)
            if time.monotonic() >= deadline or (operations and done >= operations):
                return
            print(
                f"\r{format_count(done)} operations, round {number - seed + 1}: {row.recipe:<70.70}",
                end="",
                file=sys.stderr,
            )
            take(stress, row, number)
        if not standing:
            return


def table(rows: list[Row]) -> str:
    """Return one line for each strategy: by itself, and all recipes over it together."""
    groups = itertools.groupby(rows, key=lambda row: re.split("[+:]", row.recipe)[0])
    lines = [*(_line(name, list(group)) for name, group in groups), _line("all", rows)]
    headings = ("strategy", "operations", "recipes\nover it", "operations\nof theirs", "faults")
    align = ("left", *("right",) * 4)
    return tabulate(lines, headers=headings, disable_numparse=True, colalign=align)


def _line(name: str, rows: list[Row]) -> tuple[str, ...]:
    over = [row for row in rows if "+" in row.recipe]
    return (
        name,
        format_count(sum(row.operations for row in rows if "+" not in row.recipe)),
        str(sum(row.operations > 0 for row in over)),
        format_count(sum(row.operations for row in over)),
        str(sum(row.fault is not None for row in rows)),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--operations", default="0")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        operations = parse_count(options.operations)
    except (ValueError, InputError) as problem:
        parser.error(f"--operations: {problem}")
    rows = list(recipes())
    seconds = options.seconds or (0.0 if operations else 60.0)
    began = time.monotonic()
    with contextlib.suppress(KeyboardInterrupt):  # what was done is worth its table
        soak(build(), rows, seconds, operations, options.seed)
    print("\r", " " * 100, "\r", end="", file=sys.stderr)
    print(table(rows))
    done = sum(row.operations for row in rows)
    faults = [row for row in rows if row.fault is not None]
    print(f"\n{format_count(done)} operations in {time.monotonic() - began:.0f} s, {len(faults)} faults")
    for row in faults:
        print(f"\n{row.recipe}: {row.fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
