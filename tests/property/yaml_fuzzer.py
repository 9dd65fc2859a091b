"""Workload files that something has happened to, by seeds, and what memtool makes of each in a process with limits.

    python -m tests.property.yaml_fuzzer [--documents 2000] [--seed 1]

A document begins as one that is right; values become others that might mean something, keys go or come twice, then
bytes are changed. Each is loaded, generated and characterised as by `memtool inspect`. It may do so or be refused with
exit code 2 and lines on stderr, nothing else: no traceback, at most 5 seconds of the processor, at most 1 GiB more.
What asks in so many words for a long run (``allocations: 2G``) is loaded and not generated.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib
import io
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
_SECONDS = 5
_BYTES = 1 << 30
_LONGEST = 100_000
"""Allocations that are generated; a document that asks for more is only loaded."""
_BATCH = 100

WHOLE: list[dict[str, Any]] = [
    {
        "name": "objects",
        "description": "All that objects can have.",
        "seed": 7,
        "allocations": 500,
        "objects": [
            {"name": "a", "size": {"lognormal": {"median": 64, "sigma": 1, "max": "4KiB"}}, "lifetime": 5},
            {"size": {"choice": {"4KiB": 5, 16: 1}}, "lifetime": {"pareto": {"minimum": 10, "alpha": 1.2}}},
            {"size": {"histogram": [[1, 8, 2], [9, 16, 1]]}, "lifetime": "forever", "zeroed": True, "weight": 0.5},
            {"size": {"normal": {"mean": 9, "deviation": 2}}, "lifetime": {"exponential": {"mean": 9, "min": 2}}},
            {"matrix": {"sizes": [8, {"uniform": [1, 9]}], "lifetimes": [1, 5], "weights": [[1, 0], [2, 3]]}},
            {"size": 8, "lifetime": 9, "alignment": 64, "resize": {"share": "50%", "factor": 1.5, "times": 2}},
            {"size": {"cycle": [[3, 64], [1, 16]]}, "lifetime": 9, "resize": {"when": "at_birth", "times": 3}},
        ],
        "phases": [{"ramp": "20%"}, {"steady": "60%"}, {"drain": "20%"}],
        "touch": "all",
        "memory_limit": "1MiB",
        "marks": {"warm": "20%", "late": 300},
        "arrivals": {"bursts": {"every": "2666us", "size": 8}},
    },
    {
        "name": "frames",
        "frames": {
            "count": 9,
            "objects_per_frame": {"uniform": [0, 9]},
            "scopes": {"per_frame": 1, "objects": 2, "depth": 2},
        },
        "objects": [{"size": 8, "resize": {"times": {"exponential": {"mean": 2}}}}],
        "arrivals": {"poisson": {"rate": "2M/s"}},
    },
    {
        "name": "profile",
        "allocations": 300,
        "profile": {"heap": "64KiB", "largest": "4KiB", "rows": [[8, 1.5, 2], ["1KiB", 3, 0], [64, 0, 1]]},
        "arrivals": {"constant": {"rate": "1e6/s"}},
        "threads": 3,
    },
]
_PATTERNS: list[dict[str, Any]] = [
    {"lifo": {"batch": {"uniform": [1, 9]}, "size": 8}},
    {"fifo": {"live": 9, "size": 8}},
    {"larson": {"live": 9, "size": 8}},
    {"random-victim": {"live": 9, "size": {"exponential": {"mean": 90}}}},
    {"batches": {"batch": 9, "order": "both-ends", "handed_on": 2, "size": 8}},
    {"ramp": {"order": "youngest", "size": 8}},
    {"sawtooth": {"high": 9, "low": 2, "size": 8, "order": "random"}},
    {"producer-consumer": {"batch": 3, "depth": 4, "size": 8}},
    {"toggle": {"slots": 9, "skew": "80%", "size": 8}},
    {"exchange": {"slots": 9, "freed": "50%", "exchanged": "10%", "size": 8}},
    {"false-sharing": {"writes": 9, "passive": True, "size": 8}},
    {"buffer": {"slots": 9, "kept": "20%", "size": 8}},
    {"refill": {"slots": 9, "emptied": {"uniform": [0, 5]}, "filled": 3, "handed_on": 2, "size": 8}},
    {"sweep": {"settled": 9, "largest": "1KiB", "size": 8}},
]
WHOLE += [
    {"name": f"pattern-{index}", "allocations": 300, "threads": 4, "rounds": 1 + index % 2, "pattern": pattern}
    for index, pattern in enumerate(_PATTERNS)
]
_PLAUSIBLE: list[Any] = [
    1,
    2,
    3,
    8,
    64,
    100,
    1000,
    0.5,
    "4KiB",
    "1k",
    "20%",
    "80%",
    "10us",
    "random",
    {"uniform": [1, 8]},
]
_HOSTILE: list[Any] = [
    *(0, 1, -1, 2, 3, 7, 16, 48, 63, 64, 1024, 65_536, 2**31 - 1, 2**31, 2**47, 2**63, 2**64, 10**30, -(2**63)),
    *(0.0, 0.5, 1e-15, 1e-300, 1e15, 1e300, 20.0, 0.001, float("inf"), float("nan"), True, False, None),
    *("2G", "1e6", "1e99", "4KiB", "64TiB", "128TiB", "4KB", "1k", "0x10", "1_000", "²", "forever", "yes", "", "~"),
    *("0%", "0.000001%", "0.0001%", "50%", "99.9999%", "99.999999999999%", "100%", "20%", "1/s", "1G/s", "5G/s"),
    *("1ns", "5s", "6s", "1us", "oldest", "random", "at_birth", "spread", "other_thread", "pages", "none"),
    *("a" * 300, "ä\u2028\x7f", "%s{}", "../../x", [], {}, [1], [[1, 2, 3]], {"uniform": [0, 2**31]}),
    *({"pareto": {"minimum": 1, "alpha": 0.001}}, {"pareto": {"minimum": 10**6, "alpha": 20}}),
    *({"lognormal": {"median": 10**6, "sigma": 20}}, {"exponential": {"mean": 2**31}}, {"choice": {0: 1}}),
    *({"cycle": [[2**31, 1]]}, {"normal": {"mean": 1, "deviation": 1e15}}, {"histogram": [[0, 2**31, 1e-15]]}),
]


_COUNTS: list[Any] = [
    1,
    2,
    9,
    1000,
    "1M",
    "100M",
    "2G",
    2**31,
    {"uniform": [0, "2G"]},
    {"pareto": {"minimum": 9, "alpha": 1}},
]
_TYPED: dict[str, list[Any]] = {
    "size": [1, 8, "1MiB", "128TiB", {"uniform": [1, "128TiB"]}, {"lognormal": {"median": 99, "sigma": 20}}],
    "lifetime": [*_COUNTS, "forever"],
    "resize": [
        {"times": times, "factor": 1, "when": when} for times in (9, "1M", "2G") for when in ("spread", "at_birth")
    ],
    "times": _COUNTS,
    "factor": [0.001, 1, 2, 1000],
    "phases": [
        [{kind: f"{share}%"}, {"drain": f"{100 - share:.9f}%"}]
        for kind in ("steady", "ramp")
        for share in (0.000001, 0.0001, 0.01, 1, 50)
    ],
    "objects_per_frame": [0, {"choice": {0: 1}}, *_COUNTS],
    "per_frame": _COUNTS,
    "depth": [1, 2, 8, 16],
    "objects": _COUNTS,
    "heap": ["1KiB", "1GiB", "64TiB"],
    "threads": [1, 2, 16, 1000, 1024],
    "rounds": [1, 2, 60, 1000, 10_000],
    "writes": [1, "1M", "4G"],
    "kept": ["1%", "50%", "99.9999%"],
    "skew": ["50%", "80%", "99.9999%"],
    "memory_limit": [1, "4KiB", "64TiB"],
    "rate": ["1/s", "1k/s", "1G/s"],
    "every": ["1ns", "16.7ms", "5s"],
    "alignment": [1, 2, 8, 4096, "2MiB"],
    **dict.fromkeys(("live", "high", "low", "batch", "slots", "emptied", "filled", "settled", "handed_on"), _COUNTS),
}


def documents(count: int, seed: int) -> Iterator[bytes]:
    """Yield so many documents; the n-th of a seed is always the same."""
    for number in range(count):
        draw = random.Random(f"{seed}:{number}")
        content = copy.deepcopy(draw.choice(WHOLE))
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            _change(content, draw)
        text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False, default_flow_style=draw.random() < 0.5)
        raw = text.encode("utf-8", "surrogatepass")
        yield _corrupted(raw, draw) if draw.random() < 0.15 else raw


def _change(content: dict[str, Any], draw: random.Random) -> None:
    """Change one place of a document."""
    place: Any = content
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return
        key = draw.choice(keys)
        inner = place[key]
        if isinstance(inner, (dict, list)) and inner and draw.random() < (0.5 if key in _TYPED else 0.9):
            place = inner
            continue
        break
    how = draw.random()
    choices = _HOSTILE if draw.random() < 0.5 else _PLAUSIBLE
    if key in _TYPED and draw.random() < 0.8 and not (key == "objects" and isinstance(inner, list)):
        choices, how = _TYPED[str(key)], 0.0
    value = copy.deepcopy(draw.choice(choices))
    if how < 0.75:
        place[key] = value
    elif how < 0.85:
        del place[key]
    elif isinstance(place, dict):
        place[draw.choice(["x", "size", "threads", "rounds", "resize", "phases", "handed_on", key])] = value
    else:
        place += [copy.deepcopy(inner)] * draw.choice((1, 2, 2000))


def _corrupted(raw: bytes, draw: random.Random) -> bytes:
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(raw) + 1)
        how = draw.randrange(4)
        if how == 0:
            raw = raw[:at] + bytes([draw.randrange(256)]) + raw[at + 1 :]
        elif how == 1:
            raw = (
                raw[:at] + draw.choice((b"&a ", b"*a", b"<<: ", b"!!int ", b"\t", b"---\n", b"%", b"[" * 60)) + raw[at:]
            )
        elif how == 2:
            raw = raw[:at]
        else:
            raw = raw[:at] + raw[at : at + draw.randint(1, 40)] * 2 + raw[at:]
    return raw


@dataclass(frozen=True, slots=True)
class Fault:
    """A document of a seed that was neither taken nor refused as it should be."""

    number: int
    what: str
    document: bytes


def check(count: int, seed: int) -> tuple[list[Fault], dict[str, int]]:
    """Return the faults of so many documents, and how many were taken, only loaded, and refused."""
    faults: list[Fault] = []
    outcomes = {"taken": 0, "loaded": 0, "refused": 0}
    numbered = list(enumerate(documents(count, seed)))
    with tempfile.TemporaryDirectory() as folder:
        while numbered:
            batch, numbered = numbered[:_BATCH], numbered[_BATCH:]
            done = _run_batch(Path(folder), batch)
            for number, (outcome, what) in done.items():
                if outcome == "fault":
                    faults.append(Fault(number, what, dict(batch)[number]))
                else:
                    outcomes[outcome] += 1
            # A process that was killed did not come to the documents behind the one that killed it.
            numbered = [item for item in batch if item[0] not in done] + numbered
    return faults, outcomes


def _run_batch(folder: Path, batch: Sequence[tuple[int, bytes]]) -> dict[int, tuple[str, str]]:
    for number, raw in batch:
        (folder / f"{number}.yaml").write_bytes(raw)
    numbers = [str(number) for number, _ in batch]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.property.yaml_fuzzer", "--child", str(folder), *numbers],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    done: dict[int, tuple[str, str]] = {}
    for line in ended.stdout.splitlines():
        number, outcome, what = json.loads(line)
        done[number] = (outcome, what)
    unfinished = [number for number, _ in batch if number not in done]
    if ended.returncode != 0 and unfinished:
        signals = {-signal.SIGPROF: f"more than {_SECONDS} s of the processor", -signal.SIGXFSZ: "an image over 1 GiB"}
        words = signals.get(ended.returncode, f"status {ended.returncode}: {ended.stderr[-300:]}")
        done[unfinished[0]] = ("fault", words)
    return done


def _child(folder: Path, numbers: Sequence[str]) -> None:
    """Take documents one after the other; each answer is a line."""
    # What is imported once is no document's growth.
    for module in ("commands.inspect", "engine.packing.binding", "workload.description.inspection", "workload.trace"):
        importlib.import_module(f"memtool.{module}")
    limit = _address_space() + _BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_BYTES, _BYTES))
    for number in numbers:
        signal.setitimer(signal.ITIMER_PROF, _SECONDS)
        outcome, what = _take(folder / f"{number}.yaml")
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.write(1, (json.dumps([int(number), outcome, what]) + "\n").encode())


def _address_space() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _take(path: Path) -> tuple[str, str]:
    from memtool.cli import run
    from memtool.errors import InputErrors
    from memtool.workload.language.loader import load_workload

    try:
        workload = load_workload(path)
    except InputErrors:
        workload = None
    except Exception:
        workload = None  # the command says what is wrong with it
    if workload is not None and _asks_for(workload) > _LONGEST:
        return "loaded", ""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run(["inspect", str(path), "--format", "json"])
    said = err.getvalue()
    if code == 0 and not said:
        json.loads(out.getvalue())
        return "taken", ""
    lines = said.splitlines()
    if code == 2 and lines and all(line.startswith(f"memtool: {path}:") and len(line) < 600 for line in lines):
        return "refused", ""
    return "fault", f"exit code {code}: {said[:600]}"


def _asks_for(workload: Any) -> float:  # a Workload
    from memtool.workload.language.law_tables import law_mean

    if workload.frames is None:
        return float(workload.length)
    scopes = workload.frames.scopes
    inner = 0.0
    if scopes is not None:
        per_frame, objects = law_mean(scopes.per_frame, 0), law_mean(scopes.objects, 0)
        inner = sum(per_frame**level for level in range(1, scopes.depth + 1)) * (1 + objects)
    return float(workload.frames.count * (1 + law_mean(workload.frames.objects_per_frame, 0) + inner))


def main() -> None:
    """Run documents and print what became of them; exit code 1 when there was a fault."""
    if sys.argv[1:2] == ["--child"]:
        _child(Path(sys.argv[2]), sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description="Damaged workload files, each in a process with limits.")
    parser.add_argument("--documents", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    begin = time.monotonic()
    faults, outcomes = check(chosen.documents, chosen.seed)
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.items())
    print(f"{chosen.documents:,} workload files of seed {chosen.seed}: {counts} in {time.monotonic() - begin:.0f} s")
    for fault in faults:
        print(f"document {fault.number}: {fault.what}\n{fault.document.decode(errors='replace')}")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
