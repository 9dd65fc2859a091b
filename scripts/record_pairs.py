"""Records what tests/verification/test_gate.py resamples: real processes of one allocator against itself.

    python scripts/record_pairs.py tests/data/pairs.csv.gz

Every pair is measured as `memtool check` measures: an allocator twice in a block, each in a process of its own, in an
order drawn anew. The two are the same library or strategy, so whatever differs is the machine. Takes some minutes; run
it on a machine that is as busy as those on which the gate must hold.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from memtool.allocators.spec import parse_allocators
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.run import bench

WORKLOADS = ("quickstart", "chapter/frequent-small-objects", "chapter/message-queue")
ALLOCATORS = "glibc,jemalloc,mimalloc,tcmalloc,segregated-pool,tlsf"
BLOCKS = 61


def main() -> None:
    rows = []
    for workload in WORKLOADS:
        for spec in parse_allocators(ALLOCATORS, {}):
            with tempfile.TemporaryDirectory() as scratch:
                run = bench(
                    BenchOptions(
                        workloads=(workload,),
                        specs=(spec, replace(spec, again=True)),
                        blocks=BLOCKS,
                        passes=(Pass.THROUGHPUT,),
                        output=Path(scratch) / "run",
                        draw_plots=False,
                    ),
                    lambda *_: None,
                ).run
            for side, result in enumerate(run.cells):
                if result.metrics:
                    times = result.metrics["time_per_op_ns"]
                    rows += [
                        (workload, spec.label, block, side, f"{sample:.5g}")
                        for block, sample in zip(times.blocks, times.samples, strict=True)
                    ]
            print(f"{workload} {spec.label}: {len(rows)} processes so far", file=sys.stderr)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("workload", "allocator", "block", "side", "time_per_op_ns"))
    writer.writerows(rows)
    # Without a time in its head, the same figures are the same file.
    Path(sys.argv[1]).write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


if __name__ == "__main__":
    main()
