"""Device memory from YAML to figures: which blocks the device has proved, and where they lie, event by event.

On whatever OpenCL driver this machine has; without one every row says what to install.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from memtool.engine.abi.binding import Heap
from memtool.kinds.device.work import why_no_driver
from memtool.model import CellResult, Status
from memtool.passes import Pass
from memtool.plan import BenchOptions
from memtool.run import bench
from tests.events import ALLOCATE, DEALLOCATE, events_of

MIXED = {"cycle": [[1, 300], [2, 4000], [1, 17]]}
EVENTS: dict[str, Any] = {
    "allocations": 300,
    "objects": [{"size": MIXED, "lifetime": {"cycle": [[1, 9], [1, 40]]}, "alignment": 64}],
}
APART = "free-list:structure=apart,header=8,footer=8,minimum=48"
WITHIN = APART.replace("apart", "explicit")
ALLOCATORS = ("tlsf", "buddy", "segregated-pool", "slab", "best-fit", APART, WITHIN)
LIMIT = 16 << 20
WHY_NOT = why_no_driver("opencl")


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, CellResult]:
    folder = tmp_path_factory.mktemp("device")
    lines = [f"{key}: {value}" for key, value in {"name": "d", **EVENTS, "memory_limit": LIMIT, "device": {}}.items()]
    (folder / "w.yaml").write_text("\n".join(lines).replace("'", ""), encoding="utf-8")
    options = BenchOptions(
        workloads=(str(folder / "w.yaml"),),
        allocators=",".join(ALLOCATORS),
        passes=(Pass.CHECK, Pass.THROUGHPUT, Pass.FOOTPRINT),
        blocks=2,
        output=folder / "run",
        draw_plots=False,
    )
    return {cell.cell.allocator: cell for cell in bench(options, lambda *_: None).run.cells}


@pytest.mark.skipif(WHY_NOT is None, reason="this machine has an OpenCL driver")
def test_without_a_driver_every_row_says_what_to_install(cells: Mapping[str, CellResult]) -> None:
    assert len(cells) == len(ALLOCATORS) + 2
    assert {(cell.status, cell.reason) for cell in cells.values()} == {(Status.EXCLUDED, WHY_NOT)}


@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
def test_the_device_proves_every_block(cells: Mapping[str, CellResult]) -> None:
    assert set(cells) == {"opencl-each", "opencl-each-used", *(f"{name}@opencl-buffer" for name in ALLOCATORS)}
    for cell in cells.values():
        assert cell.status is Status.OK, cell.reason
        assert cell.proof["blocks_proved"] == 300
        assert cell.proof["device"]
        assert "time_per_op_ns" in cell.metrics
    footprint = cells["tlsf@opencl-buffer"].metrics["peak_footprint_bytes"]
    assert footprint.value is not None
    assert cells["opencl-each"].metrics["peak_footprint_bytes"].value is None


@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_a_buffer_is_divided_at_the_addresses_of_a_heap(cells: Mapping[str, CellResult], allocator: str) -> None:
    assert cells[f"{allocator}@opencl-buffer"].proof["offsets"] == digest(*allocator.partition(":")[::2])


def test_a_policy_has_the_same_addresses_with_its_metadata_apart() -> None:
    assert digest("free-list", APART.partition(":")[2]) == digest("free-list", WITHIN.partition(":")[2])


def digest(strategy: str, parameters: str) -> int:
    """Return the offsets that a heap gives for the events, drawn into one number as the kernel does."""
    number = 0
    with Heap(strategy, parameters, capacity=LIMIT, alignment=2 << 20) as heap:
        live: dict[int, tuple[int, int, int]] = {}
        for kind, thing, size, log2_alignment in events_of(EVENTS):
            if kind == ALLOCATE:
                offset = heap.allocate(size, 1 << log2_alignment)
                assert offset is not None
                live[thing] = (offset, size, 1 << log2_alignment)
                number = ((number ^ offset) * 0x100000001B3 + 1) % 2**64
            elif kind == DEALLOCATE:
                heap.deallocate(*live.pop(thing))
    return number
