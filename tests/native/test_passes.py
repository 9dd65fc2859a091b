"""From a workload's program to the figures of every pass, for every strategy; with --sanitize under ASan and UBSan."""

from __future__ import annotations

import subprocess
from array import array
from pathlib import Path
from typing import Any

import pytest

from memtool.engine.abi import binding
from memtool.workload.arrivals import compile_arrivals
from memtool.workload.program import compile_workload
from memtool.workload.schema import Arrivals, Workload
from tests.native.conftest import BuildDriver

STRATEGIES = [each for each in binding.describe() if not each["is_control"]]
THREAD_SAFE = [str(each["name"]) for each in STRATEGIES if each["thread_safe"]]
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
    return build_driver("passes", "address,undefined")


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


@pytest.mark.parametrize("strategy", STRATEGIES, ids=[str(each["name"]) for each in STRATEGIES])
def test_serial_passes(passes: Path, tmp_path: Path, strategy: dict[str, Any], request: pytest.FixtureRequest) -> None:
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
    workload = MIX | {"threads": 3, "objects": [each | {"freed_by": "other_thread"} for each in MIX["objects"]]}
    assert run(passes, folder, workload, recipe, "lockstep", "parallel") == [
        f"{mode} {each}"
        for mode in ("lockstep", "parallel")
        for each in ("check: done, 0", "throughput: done, 0", "latency: done, 1995", "footprint: done, 1995")
    ]


@pytest.mark.parametrize("recipe", [*THREAD_SAFE, "tlsf+lock"])
def test_passes_on_threads(passes: Path, tmp_path: Path, recipe: str) -> None:
    on_threads(passes, tmp_path, recipe)
