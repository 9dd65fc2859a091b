"""Requests of 0 bytes: every strategy serves them with blocks of their own, and a malloc really gets the 0."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtool.model import AllocatorPlan, AllocatorSpec, Cell, Status
from memtool.passes import Pass
from memtool.worker.parent import Job, RegionRequest, WorkerExecutor
from memtool.workload.sources.generated import generated
from memtool.workload.trace import Trace, make_trace
from tests.events import workload_of

# Every second request is for nothing; some of them are resized, to nothing again or to 24 bytes.
HALF_OF_NOTHING = {
    "allocations": 600,
    "touch": "all",
    "objects": [
        {"size": {"choice": {0: 1, 100: 1}}, "lifetime": {"uniform": [1, 60]}},
        {"size": {"uniform": [0, 1]}, "lifetime": 20, "zeroed": True},
        {"size": {"choice": {0: 3, 8: 1}}, "lifetime": 20, "resize": {"by": 24}},
        {"size": {"choice": {0: 3, 8: 1}}, "lifetime": 20, "resize": {"factor": 2}},
        {"size": 0, "lifetime": 30, "alignment": 64},
    ],
}
QUEUE_OF_NOTHING = {"allocations": 300, "pattern": {"fifo": {"live": 9, "size": {"choice": {0: 1, 40: 1}}}}}
STACK_OF_NOTHING = {"allocations": 300, "pattern": {"lifo": {"batch": 9, "size": {"choice": {0: 1, 40: 1}}}}}


@pytest.fixture(scope="module")
def mixed() -> Iterator[Trace]:
    with make_trace(generated(workload_of(HALF_OF_NOTHING), 3), "mixed.yaml") as made:
        assert made.info.smallest_size == 0
        yield made


def check(trace: Trace, recipe: str, *, run_pass: Pass = Pass.CHECK, preload: tuple[str, ...] = ()) -> None:
    plan = AllocatorPlan(AllocatorSpec(recipe), recipe, "+" * recipe.count("+"), preload=preload)
    sample = WorkerExecutor(seed=1).execute(
        Job(
            cell=Cell("zero", recipe),
            block=0,
            run_pass=run_pass,
            plan=plan,
            image_fd=trace.image_fd,
            image_bytes=trace.image_bytes,
            region=RegionRequest(1 << 30, 2 << 20),
            warmups=0,
            iterations=1,
            checkpoints=10,
            use_counter=False,
            time_limit=60.0,
        )
    )
    assert (sample.status, sample.reason) == (Status.OK, None)


@pytest.mark.parametrize(
    "recipe",
    [
        "malloc",
        "new-delete",
        "tlsf",
        "buddy",
        "best-fit",
        "slab",
        "arena",
        "thread-cache",
        "pmr-unsynchronized-pool",
        "tlsf+redzone",
        "tlsf+as-malloc",
        "malloc+track",
    ],
)
def test_blocks_of_nothing_are_apart_and_can_be_freed(mixed: Trace, recipe: str) -> None:
    check(mixed, recipe)


@pytest.mark.parametrize("run_pass", [Pass.THROUGHPUT, Pass.LATENCY, Pass.FOOTPRINT, Pass.HEAP])
@pytest.mark.parametrize("recipe", ["malloc", "first-fit"])
def test_every_pass_replays_them(mixed: Trace, recipe: str, run_pass: Pass) -> None:
    check(mixed, recipe, run_pass=run_pass)


def test_strategies_with_an_order_of_their_own() -> None:
    for content, recipe in ((QUEUE_OF_NOTHING, "ring"), (STACK_OF_NOTHING, "stack")):
        with make_trace(generated(workload_of(content), 3), "order.yaml") as trace:
            check(trace, recipe)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="calls the malloc of glibc by its second name")
def test_a_malloc_that_has_nothing_to_give_for_nothing_is_not_out_of_memory(mixed: Trace, tmp_path: Path) -> None:
    """ISO C 2018, 7.22.3: the pointer for a size of 0 may be null."""
    (tmp_path / "none.c").write_text(
        "#include <stddef.h>\n"
        "extern void* __libc_malloc(size_t);\n"
        "void* malloc(size_t size) { return size == 0 ? NULL : __libc_malloc(size); }\n"
    )
    library = tmp_path / "libnone.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "none.c"], check=True)
    check(mixed, "malloc", preload=(str(library),))
