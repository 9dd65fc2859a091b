"""Row 22: a strategy on the footing of a malloc, and the same strategy as a malloc that a program preloads."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from memtool.engine.loading import package_folder
from memtool.errors import InputError
from memtool.host import counters
from memtool.host.counters import Counter
from memtool.options import BenchOptions
from memtool.passes import Pass
from verification.cells import run, value
from verification.outcome import Line, Result, Verdict

STRATEGIES = ("segregated-pool", "tlsf", "buddy", "slab")
"""Their costs hardly depend on what else is in the heap: a preloaded one also holds the worker's own."""
MOST = 0.10
_WORKLOAD = """\
name: calls
allocations: 40k
touch: first
objects:
  - {size: {lognormal: {median: 64, sigma: 0.8, max: 4KiB}}, lifetime: {exponential: {mean: 500}}}
"""


def library(name: str, folder: Path) -> Path:
    """Return a malloc replacement of a strategy, built from its header as docs/your-own-allocator.md has it."""
    sources = Path(package_folder())
    header = name.replace("-", "_")
    file, built = folder / f"{header}_malloc.cpp", folder / f"lib{header}.so"
    file.write_text(
        f'#include "allocators/strategies/{header}.hpp"\n#include "preload/malloc_library.hpp"\n'
        f'MEMTOOL_MALLOC(memtool::{name.title().replace("-", "")}, "");\n'
    )
    flags = ["-std=c++20", "-O2", "-fno-builtin", "-shared", "-fPIC", f"-I{sources}"]
    compiler = os.environ.get("CXX", "c++")
    subprocess.run(
        [compiler, *flags, "-o", str(built), str(file), str(sources / "allocators/concept/parameters.cpp")],
        check=True,
        capture_output=True,
        text=True,
    )
    return built


def lines(strategies: Sequence[str] = STRATEGIES) -> Iterator[Line]:
    """Compare the instructions of each strategy with those of its library, harness included in both."""
    reason = counters.why_not(Counter.CALLGRIND)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for strategy in strategies:
            quantity, published = f"instructions an operation, {strategy} --as malloc / preloaded", f"1 ± {MOST:.0%}"
            if reason is not None:
                yield Line(quantity, published, reason, Verdict.NOT_RUN)
                continue
            try:
                own, preloaded = _counted(strategy, library(strategy, folder))
            except (subprocess.CalledProcessError, FileNotFoundError, InputError) as problem:
                yield Line(quantity, published, f"no library: {problem}", Verdict.NOT_RUN)
                continue
            ratio = own / preloaded
            yield Line(
                quantity, published, f"{ratio:.3f} ({own:.1f} / {preloaded:.1f})", Verdict.of(abs(ratio - 1) <= MOST)
            )


def _counted(strategy: str, built: Path) -> tuple[float, float]:
    options = BenchOptions(
        allocators=f"{strategy},{built}",
        blocks=1,
        passes=(Pass.COUNTERS,),
        counters=str(Counter.CALLGRIND),
        counter_repeats=1,
        as_malloc=True,
    )
    own, preloaded = (value(cell, "instructions_per_op") for cell in run(_WORKLOAD, options))
    return own, preloaded


CLASSES_OF_CALL = Result(
    22,
    "Classes of call: --as malloc is the footing of a preloaded malloc",
    "ISO C, 7.22.3",
    "ISO/IEC 9899:2018, 7.22.3; ld.so(8), LD_PRELOAD; docs/your-own-allocator.md, A header in the engine",
    measured=lines,
)
