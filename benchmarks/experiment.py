"""The gate, live: A/A checks of the quickstart, quiet and beside a busy loop, and a true slowdown of ten percent.

    python benchmarks/experiment.py [--checks N] [--write verification/experiment.md]

Each check is `memtool check quickstart --against X --candidate X`, as a user would type it, so a red one is a false
alarm. The slowdown is that of a library over glibc's malloc with a delay in every call (native/delayed_malloc.c): the
delay is chosen from a first paired measurement, and how much slower it truly is comes from all blocks of all checks.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import numpy
from tabulate import tabulate

from memtool import __version__
from memtool.host import machine
from memtool.stats import paired

SOURCE = Path(__file__).parent / "native" / "delayed_malloc.c"
ALLOCATORS = ("tlsf", "mimalloc")
SLOWDOWN = 0.10
_TRIALS = (4, 8, 12, 16, 20)
"""Delays, in additions a call."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checks", type=int, default=20, help="checks of each kind (default: 20)")
    parser.add_argument("--write", type=Path, help="also write the figures into this part of docs/verification.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        rows = [_unchanged(folder, name, options.checks) for name in ALLOCATORS]
        with _busy_loop():
            rows += [_unchanged(folder, name, options.checks, beside=" beside a busy loop") for name in ALLOCATORS]
        rows.append(_slower(folder, options.checks))
    text = tabulate(rows, (f"{options.checks} checks of", "verdicts", "goal", "reached"), tablefmt="pipe")
    print(text)
    if options.write is not None:
        options.write.write_text(_section(text), encoding="utf-8")


def _unchanged(folder: Path, name: str, checks: int, beside: str = "") -> tuple[str, ...]:
    reports = [_check(folder, name, name) for _ in range(checks)]
    red = sum(report["verdict"] == "regression" for report in reports)
    return f"{name} against itself{beside}", _verdicts(reports), "no regression", "yes" if red == 0 else "NO"


def _slower(folder: Path, checks: int) -> tuple[str, ...]:
    plain = _library(folder, 0)
    delay = _delay(folder, plain)
    slow = _library(folder, delay)
    reports = [_check(folder, str(plain), str(slow)) for _ in range(checks)]
    effects = [effect for report in reports for effect in report["comparisons"][0]["effects"]]
    bounds = paired.interval(effects)
    truly = f"{math.expm1(median(effects)):+.1%}"
    if bounds is not None:
        truly += f" ({math.expm1(bounds[0]):+.1%} to {math.expm1(bounds[1]):+.1%}, {len(effects)} pairs)"
    red = sum(report["verdict"] == "regression" for report in reports)
    goal = math.ceil(0.95 * checks)
    return f"slower by {truly}", _verdicts(reports), f"at least {goal} found", "yes" if red >= goal else "NO"


def _verdicts(reports: Sequence[dict[str, Any]]) -> str:
    counts = Counter(report["verdict"] for report in reports)
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())


def _check(folder: Path, against: str, candidate: str, blocks: int = 31) -> dict[str, Any]:
    """Return the JSON of one check of time."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        ended = subprocess.run(
            [
                *(sys.executable, "-m", "memtool", "check", "quickstart", "--against", against),
                *("--candidate", candidate, "--metric", "time_per_op_ns", "--passes", "throughput"),
                *("--blocks", str(blocks), "--format", "json", "--no-plots", "-o", f"{out}/run"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
    if ended.returncode not in (0, 3):
        raise SystemExit(f"experiment: {ended.stderr.strip()}")
    report: dict[str, Any] = json.loads(ended.stdout)
    print(f"{Path(against).name}, {Path(candidate).name}: {report['verdict']}", file=sys.stderr)
    return report


def _library(folder: Path, delay: int) -> Path:
    path = folder / f"libdelayed{delay}.so"
    subprocess.run(
        ["cc", "-O2", "-shared", "-fPIC", "-fno-builtin", f"-DMEMTOOL_DELAY={delay}", SOURCE, "-o", path], check=True
    )
    return path


def _delay(folder: Path, plain: Path) -> int:
    """Return the additions a call that make the quickstart slower by a tenth.

    Not in proportion to one trial, nor on a line through several: the processor hides some of a short delay. It lies
    between the two trials that enclose it.
    """
    costs = []
    for delay in _TRIALS:
        report = _check(folder, str(plain), str(_library(folder, delay)), blocks=61)
        costs.append(median(report["comparisons"][0]["effects"]))
    target = math.log1p(SLOWDOWN)
    if max(costs) < target:
        raise SystemExit(f"experiment: {max(_TRIALS)} additions a call cost less than {SLOWDOWN:.0%}: is it too noisy?")
    return round(numpy.interp(target, numpy.maximum.accumulate([0.0, *costs]), [0, *_TRIALS]))


@contextmanager
def _busy_loop() -> Iterator[None]:
    """Keep one core busy, the last that there is, for as long as the block lasts."""
    core = max(os.sched_getaffinity(0))
    loop = subprocess.Popen([sys.executable, "-c", f"import os; os.sched_setaffinity(0, [{core}])\nwhile True: pass"])
    try:
        yield
    finally:
        loop.kill()
        loop.wait()


def _section(table: str) -> str:
    host = machine.fingerprint()
    where = f"{host['cpu']}, {host['cores']} cores, Linux {host['kernel']}, {host['libc']}"
    today = datetime.date.today().isoformat()
    return (
        "## The gate, live\n\n"
        f"Written by `make experiment` (`benchmarks/experiment.py`), {today}, memtool {__version__}, on {where}.\n"
        "Each row is as many `memtool check quickstart` of time: 31 blocks a side, as many fresh ones for a suspect,\n"
        "margin 2 %. "
        "What recorded processes say of the same rule is in [comparing.md](comparing.md).\n\n"
        f"{table}\n"
    )


if __name__ == "__main__":
    main()
