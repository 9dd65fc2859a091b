"""Row 10: what glibc's malloc grants."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from memtool.engine.loading import engine_path, package_folder
from verification.outcome import Line, Result, Verdict

SIZES = 20_000
"""Below the mmap threshold (128 KiB), and through every kind of bin."""


def formula(size: int) -> int:
    """Return what glibc grants on a 64-bit machine (malloc.c, request2size): one word of header, 16-byte chunks."""
    return max(24, ((size + 23) & ~15) - 8)


def grants() -> tuple[str, list[int]]:
    """Return the library that serves malloc where nothing is preloaded or tuned, and usable(0), usable(1), ...

    Raises:
        subprocess.CalledProcessError: the process found no fresh memory; its stderr says so in one line.
    """
    root = Path(package_folder()).parent
    printed = subprocess.run(
        # A process that did next to nothing before, in an environment without LD_PRELOAD and GLIBC_TUNABLES.
        [sys.executable, "-I", "-S", str(Path(__file__).with_name("glibc_grants.py")), str(root), str(SIZES)],
        env={"PATH": os.defpath, "MEMTOOL_ENGINE": engine_path()},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return printed[0], [int(line) for line in printed[1:]]


def lines(expected: Callable[[int], int] = formula) -> Iterator[Line]:
    """Compare every size."""
    quantity, published = f"usable(n), every n < {SIZES:,}", "max(24, ((n + 23) & ~15) - 8)"
    try:
        owner, granted = grants()
    except subprocess.CalledProcessError as problem:
        yield Line(quantity, published, str(problem.stderr).strip(), Verdict.NOT_REPRODUCED)
        return
    if "libc.so" not in Path(owner).name:
        yield Line(quantity, published, f"{owner} serves malloc", Verdict.NOT_RUN)
        return
    differing = [size for size, usable in enumerate(granted) if usable != expected(size)]
    ours = "the same" if not differing else f"usable({differing[0]}) = {granted[differing[0]]}, {len(differing)} differ"
    yield Line(quantity, published, ours, Verdict.of(not differing))


GLIBC = Result(
    10,
    "glibc's usable sizes",
    "glibc, malloc.c",
    "GNU C Library 2.36, malloc/malloc.c: request2size, chunksize; MALLOC_ALIGNMENT 16",
    exact=lines,
)
