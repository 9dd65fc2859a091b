"""Writes workloads/fleet/ from published production profiles: tables of size, allocation rate and live count.

    python scripts/coarsen_fleet.py FOLDER_WITH_CSVS [OUTPUT_FOLDER]

Neighbouring sizes are merged into at most 60 rows that keep the totals of rate, live objects and live bytes; a row's
size is the mean of its live objects'. The bands are chosen so that each holds about the same share of bytes, live
objects and rate together.
"""

from __future__ import annotations

import csv
import itertools
import sys
from fractions import Fraction
from pathlib import Path

MOST_ROWS = 60
HEAPS = {"64MiB": "1M", "1GiB": "2M"}
LARGEST = {"64MiB": "4MiB", "1GiB": "64MiB"}
Row = tuple[Fraction, Fraction, Fraction]

HEADER = """\
# A production profile, coarsened from {count} sizes to {rows} by scripts/coarsen_fleet.py.
# Source: google/fleetbench, fleetbench/tcmalloc, {file}; Copyright Google LLC, Apache License 2.0.
# Columns: size in bytes, allocation rate, live objects (both relative: they are scaled to the heap below).
name: {name}
description: "A production program of Google's fleet (profile {index}), scaled to {heap} of live objects."
allocations: {allocations}
touch: first
profile:
  heap: {heap}
  largest: {largest}
  rows:
"""


def read(path: Path) -> list[Row]:
    """Return the rows of a profile by size. Rows that nothing allocates, or of which nothing lives, say nothing."""
    with path.open(encoding="ascii", newline="") as file:
        rows = [(Fraction(a), Fraction(b.strip()), Fraction(c.strip())) for a, b, c in csv.reader(file)]
    return sorted((size, rate, live) for size, rate, live in rows if size > 0 and rate > 0 and live > 0)


def coarsen(rows: list[Row], most: int = MOST_ROWS) -> list[Row]:
    """Return at most ``most`` rows with the same totals of rate, live objects and live bytes."""
    # A size that is worth several bands fills one and leaves the others empty, so more bands than rows can be had.
    places = middles(rows)
    coarse = into_bands(rows, places, most)
    for bands in range(most, 6 * most, most // 10):
        finer = into_bands(rows, places, bands)
        if len(finer) <= most:
            coarse = finer
    return [merge(band) for band in coarse]


def middles(rows: list[Row]) -> list[Fraction]:
    """Return where the middle of each row's weight is among all of them, from 0 to 1."""
    totals = [sum((row[1] for row in rows), Fraction(0)), sum((row[2] for row in rows), Fraction(0))]
    totals.append(sum((row[0] * row[2] for row in rows), Fraction(0)))
    weights = [(row[1] / totals[0] + row[2] / totals[1] + row[0] * row[2] / totals[2]) / 3 for row in rows]
    return [end - weight / 2 for end, weight in zip(itertools.accumulate(weights), weights, strict=True)]


def into_bands(rows: list[Row], places: list[Fraction], most: int) -> list[list[Row]]:
    """Return the rows of each of ``most`` bands of equal weight that holds any: a row's middle falls into its band."""
    bands: list[list[Row]] = [[] for _ in range(most)]
    for row, place in zip(rows, places, strict=True):
        bands[min(int(place * most), most - 1)].append(row)
    return [band for band in bands if band]


def merge(band: list[Row]) -> Row:
    """Return one row for several."""
    rate = sum((row[1] for row in band), Fraction(0))
    live = sum((row[2] for row in band), Fraction(0))
    return sum((row[0] * row[2] for row in band), Fraction(0)) / live, rate, live


def written(row: Row) -> str:
    """Return a row as the workload has it: the size whole, the live count adjusted so that its bytes are kept."""
    size = max(1, round(row[0]))
    live = row[0] * row[2] / size
    return f"    - [{size}, {float(row[1]):.6g}, {float(live):.6g}]\n"


def main() -> None:
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    source = Path(sys.argv[1])
    output = Path(sys.argv[2]) if len(sys.argv) == 3 else Path(__file__).parent.parent / "workloads/fleet"
    output.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob("TCMALLOC_*.csv")):
        index = path.stem.rsplit("_", 1)[1]
        rows = read(path)
        coarse = coarsen(rows)
        for heap, allocations in HEAPS.items():
            name = f"fleet-{index}-{heap}"
            text = HEADER.format(
                count=len(rows),
                rows=len(coarse),
                file=path.name,
                name=name,
                index=index,
                heap=heap,
                allocations=allocations,
                largest=LARGEST[heap],
            )
            folder = output if heap == "64MiB" else output / heap
            folder.mkdir(exist_ok=True)
            (folder / f"profile-{index}.yaml").write_text(text + "".join(map(written, coarse)), encoding="ascii")


if __name__ == "__main__":
    main()
