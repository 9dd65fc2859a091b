"""Hosts of a cluster that measure nothing: real Dask workers, many in one process, whose samples are made beforehand.

python -m benchmarks.fake_hosts ADDRESS COUNT        until interrupted
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

from distributed import Worker, get_worker

from memtool.cluster.orders import Part
from memtool.model import AllocatorPlan, AllocatorSpec, Cell, Status
from memtool.passes import Pass, Sample
from memtool.passes.throughput import Throughput
from memtool.plan import Plan
from memtool.store import journal
from memtool.worker.parent import RegionRequest
from memtool.worker.settings import Measurable, Settings


class _Trace:
    """As much of a trace as a ledger asks for."""

    def __init__(self, name: str) -> None:
        self.info = SimpleNamespace(name=name, kind="heap")


def plan_of(workloads: int, allocators: int, blocks: int) -> Plan:
    """Return the plan of a run that times so much."""

    def allocator(name: str) -> AllocatorPlan:
        return AllocatorPlan(AllocatorSpec(name), name, "", is_control=name == "null")

    ready = []
    for number in range(workloads):
        name = f"workload-{number}/{allocators}"
        cells = {Cell(name, f"allocator-{index}"): allocator(f"allocator-{index}") for index in range(allocators)}
        ready.append(Measurable(name, 5, 4096, allocator("null"), cells, {"anonymous": RegionRequest(1 << 30, 4096)}))
    traces = tuple(cast("Any", _Trace(measurable.name)) for measurable in ready)
    settings = Settings(blocks=blocks, passes=(Pass.THROUGHPUT,))
    return Plan(traces, tuple(ready), (), {cell: of.cells[cell] for of in ready for cell in of.cells}, settings)


def look() -> dict[str, Any]:
    """Return what a host says of itself, which is its worker's address."""
    address = get_worker().address
    return {"identity": address, "name": address, "time": time.time()}


def prepare(run: str, order: str) -> dict[str, Any]:
    """Return at once that the plan is made."""
    return {"ready": json.loads(order)}


def collect(run: str, request: Mapping[str, Any], incarnation: str, offset: int) -> dict[str, Any]:
    """Return all samples of a unit, which took no time."""
    return {"lines": lines_of(request), "offset": 1, "incarnation": "1", "notes": [], "ended": request["name"]}


def release(run: str, keep: bool) -> None:
    """Do nothing."""


def lines_of(request: Mapping[str, Any]) -> list[bytes]:
    """Return the samples of a block: of as many allocators as it says, and of the control."""
    if request["part"] != Part.BLOCK:
        return []
    figures = Throughput((1000, 1200, 1100), (), (), (), (), 0)
    names = ("null", *(f"allocator-{index}" for index in range(int(request["workload"].rpartition("/")[2]))))
    return [
        journal.line_of(
            Sample(Cell(request["workload"], name), request["block"], Pass.THROUGHPUT, Status.OK, None, figures)
        )
        for name in names
    ]


async def _serve(address: str, count: int) -> None:
    workers = [await Worker(address, nthreads=2, memory_limit=0, dashboard=False) for _ in range(count)]
    print("ready", flush=True)
    await asyncio.gather(*(worker.finished() for worker in workers))


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
