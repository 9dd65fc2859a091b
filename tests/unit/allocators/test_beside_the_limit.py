"""What a strategy needs besides its memory limit, in bytes worked by hand; and what headers of --as malloc count as."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from memtool.model import AllocatorPlan, AllocatorSpec, Cell, Status
from memtool.passes import Pass
from memtool.passes.footprint import Footprint
from memtool.worker.parent import Job, RegionRequest, WorkerExecutor
from memtool.workload.sources.generated import generated
from memtool.workload.trace import Trace, make_trace
from tests.events import workload_of

BLOCKS = 100


@pytest.fixture(scope="module")
def hundred() -> Iterator[Trace]:
    """Return a hundred blocks of 64 bytes that all live to the end."""
    content = {"allocations": BLOCKS, "objects": [{"size": 64, "lifetime": "forever"}]}
    with make_trace(generated(workload_of(content), 3), "hundred.yaml") as made:
        yield made


def footprint(trace: Trace, recipe: str, parameters: str = "") -> Footprint:
    plan = AllocatorPlan(AllocatorSpec(recipe), recipe, parameters + "+" * recipe.count("+"))
    sample = WorkerExecutor(seed=1).execute(
        Job(
            cell=Cell("hundred", recipe),
            block=0,
            run_pass=Pass.FOOTPRINT,
            plan=plan,
            image_fd=trace.image_fd,
            image_bytes=trace.image_bytes,
            region=RegionRequest(1 << 20, 2 << 20),
            warmups=0,
            iterations=1,
            checkpoints=10,
            use_counter=False,
            time_limit=60.0,
        )
    )
    assert (sample.status, sample.reason) == (Status.OK, None)
    return sample.of(Footprint)


@pytest.mark.parametrize(
    ("recipe", "parameters"),
    [("tlsf", ""), ("best-fit", ""), ("slab", ""), ("free-list", ""), ("pool", "block=64"), ("tlsf+lock", "")],
)
def test_what_the_limit_bounds_is_all_of_most_strategies(hundred: Trace, recipe: str, parameters: str) -> None:
    assert footprint(hundred, recipe, parameters).beside_limit_bytes == 0


def test_what_it_does_not_bound_is_said_in_bytes(hundred: Trace) -> None:
    # The state of the one thread, in whole pages; 64 B of metadata more lie in the region.
    heaps = footprint(hundred, "thread-heaps")
    assert (heaps.beside_limit_bytes, heaps.at_peak_live.metadata_bytes) == (20_480, 20_544)
    apart = footprint(hundred, "free-list", "structure=apart")
    # Its list; the tags of a hundred blocks, 16 B each, and 8 B before the first are in the region.
    assert apart.at_peak_live.metadata_bytes == apart.beside_limit_bytes + 16 * BLOCKS + 8
    assert apart.beside_limit_bytes == 5_120
    assert footprint(hundred, "tlsf+track").beside_limit_bytes >= BLOCKS * 16  # address and size of each


@pytest.mark.parametrize("recipe", ["thread-heaps+virtual", "tlsf+virtual"])
def test_headers_are_metadata_whether_or_not_a_lock_is_taken(hundred: Trace, recipe: str) -> None:
    """Behind an adaptor a heap is told the size: --as malloc keeps 16 B before each block, locked or not."""
    bare, headed = (footprint(hundred, item).at_peak_live for item in (recipe, f"{recipe}+as-malloc"))
    assert bare.granted_bytes == headed.granted_bytes
    assert bare.metadata_bytes is not None
    assert headed.metadata_bytes == bare.metadata_bytes + 16 * BLOCKS
