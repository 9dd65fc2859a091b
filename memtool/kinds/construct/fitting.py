"""Determines which allocator serves which way of constructing objects, and how it is called."""

from __future__ import annotations

from dataclasses import dataclass, replace

from memtool.allocators import pairing
from memtool.kinds.construct.ways import ARRAYS, COUNTED, DROPPED, INLINED, OF_THE_LANGUAGE, PLACE
from memtool.kinds.ways import by_pointer
from memtool.model import AllocatorPlan, Call, TraceInfo
from memtool.units import format_size

STACK_BYTES = 256 << 10
"""Bytes of the buffer of ``stack-buffer``, as in image.hpp."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers and bytes of a workload that determine whether a way is possible."""

    size: int
    alignment: int
    is_trivial: bool
    is_own: bool
    objects: int
    array: int

    @staticmethod
    def of(trace: TraceInfo) -> Shape:
        """Return the shape of a workload of this kind."""
        facts = trace.facts
        return Shape(
            facts["size"], facts["alignment"], facts["is_trivial"], facts["is_own"], facts["objects"], facts["array"]
        )

    @property
    def asked_alignment(self) -> int:
        """Return the size that is requested from a heap: as by operator new, at least 16 bytes."""
        return max(self.alignment, 16)

    @property
    def stride(self) -> int:
        """Return the distance in bytes between adjacent objects in a buffer."""
        return -(-self.size // self.asked_alignment) * self.asked_alignment


def largest_block(way: str, shape: Shape) -> int:
    """Return the size of the largest block that a way requests; an upper bound where the library decides."""
    count_block = 64
    if way in ARRAYS:
        return shape.array * shape.size + (max(8, shape.alignment) if way == "array-new" else 0)
    if way == "make-shared":
        return shape.size + max(16, shape.alignment)
    if way == "intrusive-count":
        return shape.size + max(8, shape.alignment)
    return max(shape.size, count_block) if way == "shared-ptr" else shape.size


def called(plan: AllocatorPlan) -> Call:
    """Return how a row calls its allocator: the loops of placement are compiled into each strategy."""
    is_inlined = plan.spec.way in INLINED and not plan.spec.adaptors and not plan.call.as_malloc
    return plan.call if is_inlined else by_pointer(plan)


def why_not(plan: AllocatorPlan, trace: TraceInfo) -> str | None:
    """Return why a row is not possible; None: it is."""
    way, shape = plan.spec.way, Shape.of(trace)
    if shape.is_own and way in OF_THE_LANGUAGE:
        return "needs the type in C++; of one in a library it has the size and the functions"
    if way == "stack-buffer" and shape.objects * shape.stride > STACK_BYTES:
        needed = format_size(shape.objects * shape.stride)
        return f"has a buffer of {format_size(STACK_BYTES)} on the stack; {needed} are needed: ask for fewer objects"
    if way == "stack-buffer" and shape.alignment > 4096:
        return f"has a buffer aligned to 4096; the type asks for {shape.alignment}"
    if way in PLACE:
        return _why_no_place(trace, shape)
    return _why_no_way(plan, way, shape) or _why_no_allocator(plan, trace, way, shape)


def _why_no_place(trace: TraceInfo, shape: Shape) -> str | None:
    limit, needed = trace.memory_limit, shape.objects * shape.stride
    if limit is not None and limit < needed:
        return f"needs {format_size(needed)}, more than the memory_limit of {format_size(limit)}"
    return None


def _why_no_way(plan: AllocatorPlan, way: str, shape: Shape) -> str | None:
    if plan.is_control and way != "memory" and (not shape.is_trivial or way in COUNTED):
        return "hands out the same block again and again, and objects that own something would live upon each other"
    if way in DROPPED and (plan.free_order not in ("reset", "lifo") or not plan.uses_region):
        return "takes back block by block; what is dropped whole is an arena or a stack (-a @arenas)"
    if way == "forgotten" and not shape.is_trivial:
        return "would lose what the type's destructor gives back; dropped runs it"
    if way in ("reset", "shared-ptr") and plan.free_order in ("lifo", "fifo"):
        return f"takes back only in order ({plan.free_order}), and {way} ends in another"
    return None


def _why_no_allocator(plan: AllocatorPlan, trace: TraceInfo, way: str, shape: Shape) -> str | None:
    """Return why an allocator cannot serve the blocks of a way, as for heap events of this size, number and order."""
    per_block = shape.array if way in ARRAYS else 1
    drops = way in DROPPED or way == "reset"
    blocks = replace(
        trace,
        largest_size=largest_block(way, shape),
        largest_alignment=shape.asked_alignment,
        peak_live_objects=shape.objects // per_block * (2 if way == "shared-ptr" else 1),
        total_bytes=trace.peak_live_bytes if drops else trace.total_bytes,
        first_not_lifo=None if way in DROPPED else trace.first_not_lifo,
    )
    return pairing.why_not_here(plan, blocks)
