"""What the benchmarks share: a build of their own, one sample of memtool's, and one of a hand-written loop."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from memtool.allocators.registry import Registry
from memtool.model import AllocatorSpec, Cell, Mode
from memtool.passes import Pass, Sample
from memtool.plan import threads_of
from memtool.worker.parent import Job, RegionRequest, WorkerExecutor
from memtool.workload.trace import Trace

ROOT = Path(__file__).parent.parent
REPLAYS = 5
"""In each process; the fastest counts."""
NOT_BUILT_IN = 3
"""The exit code of a hand-written loop over a library that is not installed."""


@dataclass(frozen=True)
class Finding:
    quantity: str
    figure: str
    goal: str
    reached: bool | None
    """None: what was measured decides nothing."""


@contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@contextmanager
def build(*targets: str) -> Iterator[tuple[Path, float]]:
    """Build from nothing, as a release; yield the path of a target, or the folder of several, and the seconds taken."""
    with scratch() as directory:
        cmake, ninja = (shutil.which(tool) for tool in ("cmake", "ninja"))
        if not cmake or not ninja:
            sys.exit("benchmarks need cmake and ninja: make benchmarks installs them")
        start = time.monotonic()
        subprocess.run([cmake, "-S", ROOT, "-B", directory, "-G", "Ninja"], check=True, capture_output=True)
        subprocess.run([cmake, "--build", directory, "--target", *targets], check=True, capture_output=True)
        seconds = time.monotonic() - start
        if len(targets) > 1:
            yield directory, seconds
        else:
            yield directory / {"memtool_engine": "libmemtool_engine.so"}.get(targets[0], targets[0]), seconds


def take(
    executor: WorkerExecutor,
    trace: Trace,
    allocator: AllocatorSpec,
    run_pass: Pass,
    replays: int = REPLAYS,
    checkpoints: int = 200,
) -> Sample:
    sample = executor.execute(
        Job(
            cell=Cell(trace.info.name, allocator.label),
            block=0,
            run_pass=run_pass,
            plan=Registry().resolve(allocator),
            image_fd=trace.image_fd,
            image_bytes=trace.image_bytes,
            region=RegionRequest(64 << 30, 2 << 20),
            warmups=1,
            iterations=replays,
            checkpoints=checkpoints,
            use_counter=False,
            time_limit=120,
            # As the trace was loaded: on one thread unless for another mode.
            threads=threads_of(trace, Mode.PARALLEL),
        )
    )
    assert sample.reason is None, sample.reason
    return sample


def handwritten(
    program: Path, mode: str, trace: Trace, padding: int = 0, environment: dict[str, str] | None = None
) -> tuple[float, int, int]:
    """Return (ns of the best replay, resident growth at the peak of live bytes, and at the end)."""
    printed = subprocess.run(
        [program, mode, f"/proc/self/fd/{trace.image_fd}", str(padding), str(REPLAYS)],
        pass_fds=(trace.image_fd,),
        env={**os.environ, **(environment or {})},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    return min(map(float, printed[:-2])), int(printed[-2]), int(printed[-1])
