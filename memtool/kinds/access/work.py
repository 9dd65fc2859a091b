"""Turns a workload file with the key ``access`` into the input of a worker."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from memtool.kinds.access.names import AS_GIVEN, Aligned, Counting, Load, Pattern, alignment_of, width_of
from memtool.kinds.ways import Way, by_pointer
from memtool.kinds.work import Inspection, Work, in_memory, refuse_options, schema_of
from memtool.model import AllocatorPlan, Mode, TraceInfo
from memtool.units import format_count, format_size

if TYPE_CHECKING:
    from memtool.kinds.access.keys import Access, Workload
    from memtool.workload.trace import Trace

_MAGIC = 0x31737365636361
_FIELDS = ("blocks", "alignment", "every", "accesses", "stride", "ahead", "pages", "threads")
_IMAGE = struct.Struct("<12Q")
_NEEDS = {32: ("avx2", "AVX2"), 64: ("avx512f", "AVX-512")}
"""Bytes of a load -> the processor flag that x86-64 needs for it, in the kernel's spelling, and its name."""


@dataclass(frozen=True, slots=True)
class Characteristics:
    """Facts about the workload that are known without running it."""

    asked_bytes: int
    aligned_bytes: int
    """Sum of the block sizes, each rounded up to the alignment."""


def _read(path: Path) -> Workload:
    from memtool.kinds.access.keys import Workload
    from memtool.workload.language.loader import load

    return load(path, Workload)


def load(path: Path, *, seed: int | None, threads: int | None, rate: int | None, mode: Mode) -> Trace:
    """Return the kernel's input; the kernel draws sizes and orders. Raises InputError."""
    from memtool.workload.trace import Trace

    refuse_options(path, threads, rate, "accesses have none")
    workload = _read(path)
    access = workload.access
    drawn = workload.seed if seed is None else seed
    low, high = access.size
    blocks, alignment, *rest = (getattr(access, name) for name in _FIELDS)
    image = _IMAGE.pack(_MAGIC, drawn, blocks, low, high, alignment, *rest)
    ways = hashlib.blake2b(image + "\0".join(access.ways).encode(), digest_size=16)
    requested = sum(sizes(drawn, blocks, low, high)) if low < high else blocks * low
    info = TraceInfo(
        name=workload.name,
        kind="access",
        source=str(path),
        seed=drawn,
        event_hash=ways.hexdigest(),
        operations=blocks if access.allocates_only else access.accesses,
        threads=1,
        peak_live_bytes=requested,
        memory_limit=workload.memory_limit,
        allocations=blocks,
        peak_live_objects=blocks,
        total_bytes=requested,
        smallest_size=low,
        largest_size=high,
        largest_alignment=alignment,
        first_not_fifo=blocks,  # the youngest is freed first
        touch="pages",
        facts={"ways": list(access.ways), **{name: getattr(access, name) for name in _FIELDS[2:]}},
    )
    return Trace(info, in_memory("memtool-access", image), len(image), 0.0)


def sizes(seed: int, blocks: int, low: int, high: int) -> list[int]:
    """Return the law of sizes for the kernel (``Draw`` of ways.hpp)."""
    mask = 2**64 - 1
    drawn = []
    for number in range(1, blocks + 1):
        z = (seed + number * 0x9E3779B97F4A7C15) & mask
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & mask
        drawn.append(low + ((z ^ z >> 31) * (high - low + 1) >> 64))
    return drawn


def why_not(plan: AllocatorPlan, trace: TraceInfo) -> str | None:
    """Return why a row cannot be measured on this machine; None when it can."""
    from memtool.allocators import pairing
    from memtool.host import machine

    way = plan.spec.way
    if (reason := _why_no_load(way)) or (reason := _why_alone(way, trace, machine.usable_cores())):
        return reason
    if not plan.strategy:
        return None
    aligned = replace(trace, largest_alignment=alignment_of(way) or trace.largest_alignment)
    return pairing.why_not_here(plan, aligned)


def _why_no_load(way: str) -> str | None:
    """Return that this processor has no load of this width; None: it has."""
    from memtool.host import machine

    width = width_of(way)
    if width is None or width not in _NEEDS:
        return None
    flag, name = _NEEDS[width]
    if machine.architecture() != "x86_64":
        return None if width == 32 else "loads of 64 bytes are measured on x86-64 only"
    if flag in machine.processor_flags():
        return None
    return f"this processor has no load of {width} bytes ({name}): see the narrower ones"


def _why_alone(way: str, trace: TraceInfo, cores: int) -> str | None:
    """Return that there are too few processors for the counting threads of a way; None: there are enough."""
    if way not in get_args(Counting) or cores >= trace.facts["threads"]:
        return None
    return (
        f"its {trace.facts['threads']} threads are to count at the same time, and memtool may use {cores} "
        "processor here: run it where it may use more (taskset, the limits of a container)"
    )


def inspect(path: Path, seed: int | None) -> Inspection:
    """Return the inspection of a file."""
    workload = _read(path)
    with load(path, seed=seed, threads=None, rate=None, mode=Mode.SERIAL) as trace:
        info = trace.info
        rounded = _rounded_up(workload.access, info)
        known = Characteristics(info.total_bytes, rounded)
        return Inspection(info, trace.image_bytes, known, workload.model_dump(mode="json"))


def _rounded_up(access: Access, info: TraceInfo) -> int:
    low, high = access.size
    drawn = sizes(info.seed, access.blocks, low, high) if low < high else [low] * access.blocks
    return sum(-(-size // access.alignment) * access.alignment for size in drawn)


def summary(inspection: Inspection) -> str:
    """Return an inspection as text."""
    info, facts = inspection.trace, inspection.trace.facts
    sizes_ = format_size(info.smallest_size)
    if info.smallest_size < info.largest_size:
        sizes_ += f" to {format_size(info.largest_size)}, drawn with seed {info.seed}"
    known = inspection.characteristics
    return "\n".join(
        [
            f"{info.name}: {format_count(info.allocations)} blocks of {sizes_}, aligned to {info.largest_alignment}",
            f"{format_size(known.asked_bytes)} asked for; {format_size(known.aligned_bytes)} with each rounded up",
            f"{format_count(info.operations)} operations a round",
            f"ways: {', '.join(facts['ways'])}",
        ]
    )


WORK = Work(
    key="access",
    json_schema=partial(schema_of, "access", "memtool accesses"),
    load=load,
    ways=(
        *(Way(name) for name in get_args(Pattern)),
        *(Way(name, needs_allocator=False) for name in get_args(Load)),
        *(Way(name, needs_allocator=name == AS_GIVEN, uses_region=name == AS_GIVEN) for name in get_args(Counting)),
        *(Way(name) for name in get_args(Aligned)),
    ),
    called=by_pointer,
    why_not=why_not,
    listed=lambda path: ("access", _read(path).description),
    inspect=inspect,
    summary=summary,
)
