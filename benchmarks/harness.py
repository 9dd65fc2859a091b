"""What the benchmarks share: a build of their own, one sample of memtool's, and one of a hand-written loop."""

from __future__ import annotations

import os
import random
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
from memtool.host.counters import Counter
from memtool.model import AllocatorPlan, AllocatorSpec, Cell, Mode
from memtool.passes import Pass, Sample
from memtool.plan import threads_of
from memtool.worker.parent import Job, RegionRequest, WorkerExecutor
from memtool.workload.trace import Trace

ROOT = Path(__file__).parent.parent
REPLAYS = 5
"""In each process; the fastest counts."""
NOT_BUILT_IN = 3
"""The exit code of a hand-written loop over a library that is not installed."""


ORDERS_SQL = """
CREATE TABLE orders(id INTEGER PRIMARY KEY, customer TEXT, total REAL);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
  INSERT INTO orders SELECT i, printf('customer %d', i * 7919 % 5000), i * 0.37 FROM n;
CREATE INDEX of_customer ON orders(customer);
SELECT customer, count(*), round(sum(total), 2) FROM orders GROUP BY customer ORDER BY 3 DESC LIMIT 5;
"""


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
    region_bytes: int = 64 << 30,
    plan: AllocatorPlan | None = None,
    counter: Counter = Counter.NONE,
) -> Sample:
    """Return a sample of an allocator, or of the plan of a row with it."""
    sample = executor.execute(
        Job(
            cell=Cell(trace.info.name, allocator.label),
            block=0,
            run_pass=run_pass,
            kind=trace.info.kind,
            plan=plan or Registry().resolve(allocator),
            image_fd=trace.image_fd,
            image_bytes=trace.image_bytes,
            region=RegionRequest(region_bytes, 2 << 20),
            warmups=1,
            iterations=replays,
            checkpoints=checkpoints,
            use_counter=False,
            counter=counter,
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


def cc1(folder: Path) -> list[str]:
    """Return the command of gcc's compiler proper on 40 functions, which are written into the folder."""
    functions = (
        f"int f{i}(int *a, int n) {{ int s = {i}; for (int j = 0; j < n; ++j) {{ if (a[j] % {i + 2}) s += a[j] * {i}; "
        f"else s ^= a[(j + {i}) % n]; if (s & 7) s -= a[0]; else s *= 2; }} return s; }}"
        for i in range(40)
    )
    (folder / "functions.c").write_text("\n".join(functions), encoding="utf-8")
    compiler = subprocess.run(["gcc", "-print-prog-name=cc1"], capture_output=True, text=True, check=True).stdout
    return [compiler.strip(), "-quiet", "-O2", f"{folder}/functions.c", "-o", "/dev/null"]


def two_threads(folder: Path) -> list[str]:
    """Return the command of two threads that hand strings over, which is built in the folder."""
    source = ROOT / "benchmarks/native/two_threads.cpp"
    subprocess.run(["g++", "-O2", "-std=c++20", "-pthread", "-o", folder / "two-threads", source], check=True)
    return [str(folder / "two-threads"), "1000000"]


_ON_TWO_THREADS = """
import sqlite3, sys, threading
script = open(sys.argv[1]).read()
threads = [threading.Thread(target=lambda: sqlite3.connect(":memory:").executescript(script)) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""


def sqlite_on_two_threads(script: Path) -> list[str]:
    """Return the command of a Python in which two threads run a script of SQL, each on a database of its own."""
    return ["/usr/bin/python3", "-c", _ON_TWO_THREADS, str(script)]


def git_pack(folder: Path) -> list[str]:
    """Return the command of git that packs a repository, on two threads that look for deltas; its history is drawn."""
    draw = random.Random(6)
    words = [f"word{number}" for number in range(400)]
    files: dict[str, list[str]] = {f"part{number % 12}/file{number}.txt": [] for number in range(360)}
    stream = []
    for commit in range(150):
        stream.append(f"commit refs/heads/main\ncommitter someone <> {1_700_000_000 + commit} +0000\ndata 0\n")
        for path in draw.sample(sorted(files), 30):
            lines = files[path]
            for _ in range(6):
                lines.insert(draw.randrange(len(lines) + 1), " ".join(draw.choices(words, k=12)))
            text = "\n".join(lines)
            stream.append(f"M 644 inline {path}\ndata {len(text)}\n{text}\n")
    repository = folder / "repository"
    subprocess.run(["git", "init", "--quiet", "--bare", repository], check=True)
    subprocess.run(
        ["git", "-C", repository, "fast-import", "--quiet"], input="".join(stream).encode("ascii"), check=True
    )
    packs = ["pack-objects", "--threads=2", "--no-reuse-delta", "--no-reuse-object", "--quiet", "--all", "--stdout"]
    return ["git", "-C", str(repository), *packs]
