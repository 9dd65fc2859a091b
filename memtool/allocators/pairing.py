"""Determines before anything runs which allocators cannot serve a trace, and which round up its requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from memtool.allocators.own.brought import DEFAULT_ALIGNMENT, adopted_limits
from memtool.engine.abi import binding
from memtool.host import machine
from memtool.model import AllocatorPlan, Mode, TraceInfo
from memtool.units import format_count, format_size

MALLOC = "malloc"
"""The strategy behind every system allocator, and the parameter of strategies that use a malloc."""
COLLECTOR = "collector"
"""The family of the garbage collectors."""


def why_not(
    plan: AllocatorPlan,
    trace: TraceInfo,
    *,
    limits: Callable[[str, str, int], tuple[int | None, int | None]] = binding.limits,
    most_blocks: Callable[[str, str], int | None] = binding.most_blocks,
    available: int | None = None,
) -> str | None:
    """Return why an allocator cannot serve a trace; None where it can. Nothing is run.

    Args:
        plan: the allocator.
        trace: figures of the workload's events.
        limits: (strategy, parameters, alignment of the requests) -> (largest size, largest alignment), bytes;
            None: no limit.
        most_blocks: (strategy, parameters) -> largest number of live blocks; None: no limit.
        available: bytes of memory that this machine can still provide; None: not determined.
    """
    try:
        limits_of = adopted_limits(plan.adopted) if plan.adopted is not None else limits
        most = limits_of(plan.strategy, plan.engine_parameters, trace.largest_alignment)
    except binding.CannotStand as problem:
        return str(problem)
    # An adopted allocator is not in this process; if a request is too much for it, its cell fails instead.
    blocks = None if plan.adopted is not None else most_blocks(plan.strategy, plan.engine_parameters)
    if plan.strategy == MALLOC or plan.is_control:
        return _why_unbound(plan, trace)
    reasons = (
        _why_unbound(plan, trace),
        _why_beyond(trace, *most),
        _why_too_many(trace, blocks),
        _why_out_of_order(plan, trace),
        _why_too_much(plan, trace, available),
    )
    return next(filter(None, reasons), None)


def why_not_here(plan: AllocatorPlan, trace: TraceInfo) -> str | None:
    """Return the same for this machine, with the memory that it can still provide."""
    return why_not(plan, trace, available=machine.available_memory())


def why_not_collected(plan: AllocatorPlan, trace: TraceInfo, *, has_references: bool) -> str | None:
    """Return that a garbage collector does not know a workload's references; None where it does."""
    if plan.family != COLLECTOR or has_references:
        return None
    return (
        f"is a garbage collector, and {trace.name} does not say what its objects refer to; "
        "a workload with graph: {events: NAME} plays it with roots only"
    )


def why_not_on_threads(plan: AllocatorPlan, trace: TraceInfo, mode: Mode) -> str | None:
    """Return why an allocator cannot serve a trace's threads in this mode; None where it can."""
    if mode is Mode.SERIAL or trace.lanes == 1 or plan.thread_safe:
        return None
    threads = f"{trace.threads} threads" if trace.threads > 1 else "threads that come and go"
    if plan.interpreted:
        return f"is not thread-safe, and the workload has {threads}; the mode serial replays them on one"
    remedy = f"put a lock round it ({plan.spec.label}+lock)"
    return f"is not thread-safe, and the workload has {threads}: {remedy}, or replay them on one (mode serial)"


def _why_unbound(plan: AllocatorPlan, trace: TraceInfo) -> str | None:
    if plan.uses_region or trace.memory_limit is None:
        return None
    return f"takes memory from the system, where a memory_limit of {format_size(trace.memory_limit)} does not hold"


def _why_beyond(trace: TraceInfo, largest_size: int | None, largest_alignment: int | None) -> str | None:
    if largest_size is not None and trace.largest_size > largest_size:
        largest = format_size(trace.largest_size)
        return f"serves requests of up to {format_size(largest_size)}; the workload asks for up to {largest}"
    needed = _needed_alignment(trace)
    if largest_alignment is not None and needed > largest_alignment:
        words = f"aligns to {largest_alignment} at most; the workload asks for {needed}"
        by_default = needed == DEFAULT_ALIGNMENT
        return f"{words}, unless it says alignment: {largest_alignment}" if by_default else words
    return None


def _needed_alignment(trace: TraceInfo) -> int:
    """Return the alignment that the trace's blocks need; the default is reduced for blocks that are smaller than it."""
    is_default = trace.largest_alignment == DEFAULT_ALIGNMENT
    return 8 if is_default and trace.largest_size < DEFAULT_ALIGNMENT else trace.largest_alignment


def rounding(
    plans: Sequence[AllocatorPlan],
    trace: TraceInfo,
    *,
    least_alignment: Callable[[str, str], int] = binding.least_alignment,
) -> str | None:
    """Return in a sentence which strategies align more than the trace requires; None where the trace requires 16.

    Args:
        plans: the allocators that replay the trace.
        trace: figures of the workload's events.
        least_alignment: (strategy, parameters) -> alignment of every block, bytes.
    """
    requested = trace.largest_alignment
    if requested >= DEFAULT_ALIGNMENT:
        return None
    more: dict[int, list[str]] = {}
    for plan in plans:
        if plan.uses_region and not plan.is_control and plan.adopted is None:
            aligned = least_alignment(plan.strategy, plan.engine_parameters)
            labels = more.setdefault(aligned, [])
            if aligned > requested and plan.spec.label not in labels:
                labels.append(plan.spec.label)
    rounded = "; ".join(f"to {aligned}: {', '.join(labels)}" for aligned, labels in sorted(more.items()) if labels)
    if not rounded:
        return None
    words = "Some align every block to more, and round it up"
    return f"{trace.name} asks for an alignment of {requested}. {words} ({rounded})."


def _why_too_many(trace: TraceInfo, most: int | None) -> str | None:
    if most is None or trace.peak_live_objects <= most:
        return None
    return f"serves up to {format_count(most)} live blocks; the workload has {format_count(trace.peak_live_objects)}"


def _why_out_of_order(plan: AllocatorPlan, trace: TraceInfo) -> str | None:
    if plan.free_order == "lifo" and trace.first_not_lifo is not None:
        first = format_count(trace.first_not_lifo)
        return f"takes back only the youngest block; operation {first} of the workload frees or resizes another"
    if plan.free_order == "fifo" and trace.first_not_fifo is not None:
        first = format_count(trace.first_not_fifo)
        return (
            f"takes back only the oldest block and resizes only the youngest; operation {first} of the workload frees "
            "or resizes another"
        )
    return None


def _why_too_much(plan: AllocatorPlan, trace: TraceInfo, available: int | None) -> str | None:
    """Return that a strategy that never reclaims memory would need more than there is.

    With scopes, its need is between the peak of live bytes and the sum of all requests; if it is called as a malloc, it
    is not told about them.
    """
    ends_scopes = trace.scopes > 0 and plan.call.free == "sized"
    if plan.free_order != "reset" or ends_scopes or trace.touch == "none":
        return None
    if available is None or trace.total_bytes <= available:
        return None
    needed = format_size(trace.total_bytes)
    return f"takes nothing back, so the workload needs {needed} of it; {format_size(available)} are available"
