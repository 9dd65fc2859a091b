"""From a workload's program to the figures of every pass, for every strategy; with --sanitize under ASan and UBSan."""

from __future__ import annotations

import re
import subprocess
from array import array
from pathlib import Path
from typing import Any

import pytest

from memtool.engine.abi import binding
from memtool.workload.language.arrival_kinds import Arrivals
from memtool.workload.language.arrivals import compile_arrivals
from memtool.workload.language.program import compile_workload
from memtool.workload.language.schema import Workload
from tests.conftest import ROOT
from tests.native.conftest import BuildDriver

REPLAYED = ROOT / "tests/native/fixtures/replayed.hpp"
STRATEGIES = [strategy for strategy in binding.describe() if not strategy["is_control"]]
THREAD_SAFE = [str(strategy["name"]) for strategy in STRATEGIES if strategy["thread_safe"]]
UNDER_SANITIZERS = set(re.findall(r"strategies/(\w+)\.hpp", REPLAYED.read_text(encoding="ascii")))
"""Files of the strategies that are replayed there; the others are heaps alone (test_stress.py, test_locked.py)."""
ABILITIES = ("free_order", "thread_safe", "frees_bare", "allocates_zeroed", "reallocates", "scoped")
"""What the replay of one strategy differs by from that of another."""
SIZES = {"uniform": [4, 24]}
MIX: dict[str, Any] = {
    "name": "mix",
    "allocations": 1000,
    "objects": [
        {"size": SIZES, "lifetime": {"exponential": {"mean": 40}}, "resize": {"share": "20%"}},
        {"size": SIZES, "lifetime": {"uniform": [1, 300]}, "zeroed": True},
    ],
}
WORKLOADS: dict[str, dict[str, Any]] = {
    "any": MIX,
    "reset": {
        "name": "frames",
        "frames": {"count": 20, "objects_per_frame": 30, "scopes": {"per_frame": 2, "objects": 10}},
        "objects": [{"size": SIZES}],
    },
    "lifo": {"name": "lifo", "allocations": 1000, "pattern": {"lifo": {"batch": 20, "size": SIZES}}},
    "fifo": {"name": "fifo", "allocations": 1000, "pattern": {"fifo": {"live": 20, "size": SIZES}}},
}
# Operations before the epilogue, and blocks: what is resized is another block.
OPERATIONS = {"any": 1983, "reset": 2000, "lifo": 2000, "fifo": 1980}
BLOCKS = {"any": 1089, "reset": 1000, "lifo": 1000, "fifo": 1000}
SCOPES = 20 + 20 * 2


@pytest.fixture(scope="session")
def passes(build_driver: BuildDriver) -> Path:
    return build_driver("passes", "asan")


def skip_what_is_not_replayed(request: pytest.FixtureRequest, name: str) -> None:
    """Skip a strategy that the sanitized driver has as a heap alone."""
    if request.config.getoption("--sanitize") and file_of(name) not in UNDER_SANITIZERS:
        pytest.skip("another strategy of its kind is replayed under sanitizers")


def file_of(name: str) -> str:
    """Return what the header of a strategy is called."""
    return {"mmap": "mapping"}.get(name, name.replace("-", "_"))


def test_one_strategy_of_each_kind_is_replayed_under_sanitizers() -> None:
    def kinds(strategies: list[dict[str, Any]]) -> set[tuple[Any, ...]]:
        return {tuple(strategy[ability] for ability in ABILITIES) for strategy in strategies}

    replayed = [strategy for strategy in STRATEGIES if file_of(str(strategy["name"])) in UNDER_SANITIZERS]
    assert len(replayed) == len(UNDER_SANITIZERS)
    assert kinds(replayed) == kinds(STRATEGIES)


def run(passes: Path, folder: Path, workload: dict[str, Any], recipe: str, *groups: str) -> list[str]:
    program, arrivals = folder / "program", folder / "arrivals"
    program.write_bytes(compile_workload(Workload.model_validate(workload), 7).words.tobytes())
    paced = compile_arrivals(Arrivals.model_validate({"poisson": {"rate": "10M/s"}}), 7)
    arrivals.write_bytes(array("Q", paced.words).tobytes())
    ended = subprocess.run(
        [passes, program, arrivals, recipe, "+" * recipe.count("+"), *groups],
        capture_output=True,
        text=True,
        check=False,
        env={"ASAN_OPTIONS": "allocator_may_return_null=1"},
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    return ended.stdout.splitlines()


@pytest.mark.parametrize("strategy", STRATEGIES, ids=[str(strategy["name"]) for strategy in STRATEGIES])
def test_serial_passes(passes: Path, tmp_path: Path, strategy: dict[str, Any], request: pytest.FixtureRequest) -> None:
    skip_what_is_not_replayed(request, str(strategy["name"]))
    order = str(strategy["free_order"])
    operations = OPERATIONS[order]
    # The end of a scope is one operation where a strategy knows scopes.
    timed = 1000 + SCOPES if order == "reset" and strategy["scoped"] else operations
    # Before it can map the heap it has to find its way through the sanitizer's shadow, which takes it half a minute.
    maps = not request.config.getoption("--sanitize") or strategy["name"] == "tlsf"
    groups = ["serial", "heap"] if maps else ["serial"]
    assert run(passes, tmp_path, WORKLOADS[order], str(strategy["name"]), *groups) == [
        "serial check: done, 0",
        "serial throughput: done, 0",
        f"serial latency: done, {timed}",
        f"serial open loop: done, {timed}",
        f"serial footprint: done, {operations}",
        f"packing: {BLOCKS[order]}",
        *([f"heap heap: done, {operations}"] if maps else []),
    ]


def on_threads(passes: Path, folder: Path, recipe: str) -> None:
    """Replay on three threads in both modes; all passes see the same operations."""
    workload = MIX | {"threads": 3, "objects": [item | {"freed_by": "other_thread"} for item in MIX["objects"]]}
    assert run(passes, folder, workload, recipe, "lockstep", "parallel") == [
        f"{mode} {name}"
        for mode in ("lockstep", "parallel")
        for name in ("check: done, 0", "throughput: done, 0", "latency: done, 1995", "footprint: done, 1995")
    ]


@pytest.mark.parametrize("recipe", [*THREAD_SAFE, "tlsf+lock"])
def test_passes_on_threads(passes: Path, tmp_path: Path, recipe: str, request: pytest.FixtureRequest) -> None:
    skip_what_is_not_replayed(request, recipe.removesuffix("+lock"))
    on_threads(passes, tmp_path, recipe)
