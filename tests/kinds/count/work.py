"""Turns a workload file with the key ``count`` into the input of a worker."""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, StrictStr

from memtool.errors import InputError, option
from memtool.kinds.work import SCHEMA, Inspection, Work
from memtool.model import AllocatorPlan, Mode, TraceInfo
from memtool.units import format_size
from memtool.workload.language.loader import load as load_document
from memtool.workload.language.schema import Name
from memtool.workload.language.values import Capacity, Size, Strict
from memtool.workload.trace import Trace


class Blocks(Strict):
    """The blocks that are counted."""

    size: Size = Field(description="Bytes of each block.")


class Workload(Strict):
    """A workload file that counts."""

    name: Name
    description: StrictStr = ""
    memory_limit: Capacity
    count: Blocks


@dataclass(frozen=True, slots=True)
class Characteristics:
    """Facts about the workload that are known without running it."""

    most_blocks: int


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of such a file."""
    return {"$schema": SCHEMA, **Workload.model_json_schema(), "title": "count"}


def load(path: Path, *, seed: int | None, threads: int | None, rate: int | None, mode: Mode) -> Trace:
    """Return the kernel's input, the size of a block; nothing is random, so a seed has no effect."""
    for field, given in (("threads", threads), ("rates", rate)):
        if given is not None:
            raise InputError(f"{path}: with {option(field)} {given}: a count has none")
    workload = load_document(path, Workload)
    image = struct.pack("<Q", workload.count.size)
    descriptor = os.memfd_create("count", os.MFD_CLOEXEC)
    os.write(descriptor, image)
    info = TraceInfo(
        name=workload.name,
        kind="count",
        source=str(path),
        seed=0,
        event_hash=hashlib.blake2b(image, digest_size=16).hexdigest(),
        operations=workload.memory_limit // workload.count.size,
        threads=1,
        peak_live_bytes=workload.memory_limit,
        memory_limit=workload.memory_limit,
        facts={"size": workload.count.size},
    )
    return Trace(info, descriptor, len(image), 0.0)


def why_not(plan: AllocatorPlan, trace: TraceInfo) -> str | None:
    """Return that memory from the system is unbounded; None for an allocator on a region."""
    return None if plan.uses_region else "takes memory from the system, which is never full"


def inspect(path: Path, seed: int | None) -> Inspection:
    """Return the largest possible number of blocks."""
    workload = load_document(path, Workload)
    with load(path, seed=seed, threads=None, rate=None, mode=Mode.SERIAL) as trace:
        most = Characteristics(trace.info.operations)
        return Inspection(trace.info, trace.image_bytes, most, workload.model_dump(mode="json"))


def summary(inspection: Inspection) -> str:
    """Return an inspection as text."""
    size = format_size(inspection.trace.facts["size"])
    return f"{inspection.trace.name}: at most {inspection.characteristics.most_blocks:,} blocks of {size}"


WORK = Work(
    key="count",
    json_schema=json_schema,
    load=load,
    kernel=lambda: os.environ["COUNT_KERNEL"],
    why_not=why_not,
    listed=lambda path: ("count", load_document(path, Workload).description),
    inspect=inspect,
    summary=summary,
)
