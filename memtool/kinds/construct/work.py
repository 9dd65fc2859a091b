"""Turns a workload file with the key ``construct`` into the input of a worker."""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from memtool.errors import InputError
from memtool.kinds.construct.fitting import called, why_not
from memtool.kinds.construct.ways import SUMMARIES, WAYS
from memtool.kinds.work import Inspection, Work, in_memory, refuse_options, schema_of
from memtool.model import Mode, TraceInfo

if TYPE_CHECKING:
    from memtool.kinds.construct.keys import Workload
    from memtool.kinds.construct.types import Type
    from memtool.workload.trace import Trace

_ORDERS = ("same", "reverse", "random")
"""In the order of their numbers in image.hpp."""


@dataclass(frozen=True, slots=True)
class Characteristics:
    """Facts about the workload that are known without running it; bytes and counts."""

    type: str
    size: int
    alignment: int
    objects: int
    made: int
    live_bytes: int


def _read(path: Path) -> tuple[Workload, Type]:
    """Return the content of a file, and the type that it names. Raises InputError."""
    from memtool.kinds.construct.keys import Workload
    from memtool.kinds.construct.types import TYPES, NoType, own_type
    from memtool.workload.language.loader import load

    workload = load(path, Workload)
    named = workload.asked.type
    try:
        # A relative path in a file starts from the folder of the file.
        return workload, TYPES.get(named) or own_type((path.parent / named).resolve())
    except NoType as problem:
        raise InputError(f"{path}: construct.type: {named}: {problem}") from None


def load(path: Path, *, seed: int | None, threads: int | None, rate: int | None, mode: Mode) -> Trace:
    """Return the numbers that the kernel needs; a seed overrides the file's own."""
    from memtool.kinds.construct.types import TYPES
    from memtool.workload.trace import Trace

    refuse_options(path, threads, rate, "objects are made by one thread, without arrivals")
    workload, type_ = _read(path)
    construct = workload.asked
    drawn = workload.seed if seed is None else seed
    number = list(TYPES).index(type_.name) if type_.brought_by is None else len(TYPES)
    order = _ORDERS.index(construct.order)
    image = struct.pack("<7Q", number, type_.size, construct.objects, construct.array, construct.rounds, order, drawn)
    image += os.fsencode(type_.brought_by or "") + b"\0"
    objects, constructions = construct.objects, construct.objects * construct.rounds
    ends_youngest, ends_oldest = construct.order == "reverse" or objects == 1, construct.order == "same" or objects == 1
    info = TraceInfo(
        name=workload.name,
        kind="construct",
        source=str(path),
        seed=drawn,
        event_hash=hashlib.blake2b(image, digest_size=16).hexdigest(),
        operations=constructions,
        threads=1,
        allocations=constructions,
        slots=objects,
        peak_live_bytes=objects * type_.size,
        peak_live_objects=objects,
        total_bytes=constructions * type_.size,
        smallest_size=type_.size,
        largest_size=type_.size,
        largest_alignment=max(type_.alignment, 16),
        first_not_lifo=None if ends_youngest else objects,
        first_not_fifo=None if ends_oldest else objects,
        touch="all",
        memory_limit=workload.memory_limit,
        facts={
            "type": type_.name,
            "summary": type_.summary,
            "size": type_.size,
            "alignment": type_.alignment,
            "is_trivial": type_.is_trivial,
            "is_own": type_.brought_by is not None,
            "objects": objects,
            "array": construct.array,
            "rounds": construct.rounds,
            "order": construct.order,
            "ways": list(construct.ways or SUMMARIES),
        },
    )
    return Trace(info, in_memory("construct", image), len(image), 0.0)


def listed(path: Path) -> tuple[str, str]:
    """Return the source of a workload's operations, and its description."""
    from memtool.kinds.construct.keys import Workload
    from memtool.workload.language.loader import load as load_document

    workload = load_document(path, Workload)
    return "construct", workload.description


def inspect(path: Path, seed: int | None) -> Inspection:
    """Return the inspection of a file."""
    workload, _ = _read(path)
    with load(path, seed=seed, threads=None, rate=None, mode=Mode.SERIAL) as trace:
        info, facts = trace.info, trace.info.facts
        known = Characteristics(
            facts["type"], facts["size"], facts["alignment"], facts["objects"], info.operations, info.peak_live_bytes
        )
        definition = workload.model_dump(mode="json", exclude_none=True, by_alias=True)
        return Inspection(info, trace.image_bytes, known, definition)


def summary(inspection: Inspection) -> str:
    """Return an inspection as text: the objects, and the ways to construct them."""
    from memtool.kinds.construct.words import heading

    info = inspection.trace
    ways = [f"  {name:<15}  {SUMMARIES[name]}" for name in SUMMARIES if name in info.facts["ways"]]
    return "\n".join([heading(info), "", "In these ways:", *ways])


WORK = Work(
    key="construct",
    json_schema=partial(schema_of, "construct", "memtool objects"),
    load=load,
    ways=WAYS,
    called=called,
    why_not=why_not,
    listed=listed,
    inspect=inspect,
    summary=summary,
)
