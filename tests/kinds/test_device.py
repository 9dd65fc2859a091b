"""Device memory from YAML to figures: which blocks the device has proved, and where they lie, event by event.

On host memory in a device's place, and on whatever OpenCL driver this machine has; without one its rows say what to
install.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from memtool.engine.abi.binding import Heap
from memtool.kinds.device.work import why_no_driver
from memtool.model import CellResult, Status
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.run import bench
from tests.conftest import ROOT
from tests.events import ALLOCATE, DEALLOCATE, events_of

MIXED = {"cycle": [[1, 300], [2, 4000], [1, 17]]}
EVENTS: dict[str, Any] = {
    "allocations": 300,
    "objects": [{"size": MIXED, "lifetime": {"cycle": [[1, 9], [1, 40]]}, "alignment": 64}],
}
APART = "free-list:structure=apart,header=8,footer=8,minimum=48"
WITHIN = APART.replace("apart", "explicit")
ALLOCATORS = ("tlsf", "buddy", "segregated-pool", "slab", "best-fit", APART, WITHIN)
OPENCL = ("opencl-each", "opencl-each-used", "opencl-buffer")
LIMIT = 16 << 20
WHY_NOT = why_no_driver("opencl")


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, CellResult]:
    folder = tmp_path_factory.mktemp("device")
    keys = {"name": "d", **EVENTS, "memory_limit": LIMIT, "device": {"ways": [*OPENCL, "host-buffer"]}}
    lines = [f"{key}: {value}" for key, value in keys.items()]
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
def test_without_a_driver_its_rows_say_what_to_install(cells: Mapping[str, CellResult]) -> None:
    excluded = {name: cell for name, cell in cells.items() if not name.endswith("@host-buffer")}
    assert len(excluded) == len(ALLOCATORS) + 2
    assert {(cell.status, cell.reason) for cell in excluded.values()} == {(Status.EXCLUDED, WHY_NOT)}


def test_host_memory_in_place_of_a_device_proves_every_block(cells: Mapping[str, CellResult]) -> None:
    for name in ALLOCATORS:
        cell = cells[f"{name}@host-buffer"]
        assert cell.status is Status.OK, cell.reason
        assert (cell.proof["blocks_proved"], cell.proof["device"]) == (300, "host memory, in place of a device's")


@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_a_buffer_is_divided_at_the_addresses_of_a_heap(cells: Mapping[str, CellResult], allocator: str) -> None:
    """What divides a buffer writes its metadata elsewhere; its twin, a heap, writes into its own free blocks."""
    assert cells[f"{allocator}@host-buffer"].proof["offsets"] == digest(*allocator.partition(":")[::2])


@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
def test_the_device_proves_every_block(cells: Mapping[str, CellResult]) -> None:
    assert set(cells) == {
        "opencl-each",
        "opencl-each-used",
        *(f"{name}@{way}" for name in ALLOCATORS for way in ("opencl-buffer", "host-buffer")),
    }
    for cell in cells.values():
        assert cell.status is Status.OK, cell.reason
        assert cell.proof["blocks_proved"] == 300
        assert cell.proof["device"]
        assert "time_per_op_ns" in cell.metrics
    assert cells["opencl-each"].metrics["peak_footprint_bytes"].value is None


@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
@pytest.mark.parametrize("allocator", ALLOCATORS)
def test_a_device_and_what_stands_for_it_are_divided_alike(cells: Mapping[str, CellResult], allocator: str) -> None:
    device, host = cells[f"{allocator}@opencl-buffer"], cells[f"{allocator}@host-buffer"]
    assert device.proof["offsets"] == host.proof["offsets"]
    footprints = [cell.metrics["peak_footprint_bytes"].value for cell in (device, host)]
    assert footprints[0] == footprints[1] != 0


def test_a_device_that_goes_away_fails_its_rows_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver is found where the user says it is; no worker needs it to time how a buffer is divided."""
    command = ["cc", "-shared", "-fPIC", "-DCALLS=100", "-o", str(tmp_path / "libOpenCL.so.1")]
    subprocess.run([*command, str(ROOT / "tests/native/drivers/fake_opencl.c")], check=True)
    (tmp_path / "fake.icd").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setenv("OCL_ICD_VENDORS", str(tmp_path))
    ways = "device: {ways: [opencl-each, opencl-buffer, host-buffer]}"
    (tmp_path / "w.yaml").write_text(
        f"name: d\nallocations: 300\nobjects: [{{size: 256, lifetime: {{constant: 9}}}}]\n{ways}\n"
    )
    options = BenchOptions(
        workloads=(str(tmp_path / "w.yaml"),),
        allocators="tlsf",
        passes=(Pass.CHECK,),
        blocks=1,
        output=tmp_path / "run",
        draw_plots=False,
    )
    cells = {cell.cell.allocator: cell for cell in bench(options, lambda *_: None).run.cells}
    assert cells["tlsf@host-buffer"].status is Status.OK
    for name in ("opencl-each", "tlsf@opencl-buffer"):
        assert cells[name].status is Status.FAILED
        assert re.search(r"a fake device: cl\w+ has failed with error -36", str(cells[name].reason))


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
