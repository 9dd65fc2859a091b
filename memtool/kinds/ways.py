"""The ways in which a workload of some kinds can be served; each way has a row beside the others."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from memtool.model import AllocatorPlan, AllocatorSpec, Call, TraceInfo


@dataclass(frozen=True, slots=True)
class Way:
    """One way: it has a row with each allocator (``arena@placement``), or a row alone (``mmap``)."""

    name: str
    needs_allocator: bool = True
    uses_region: bool = True
    """For a way without an allocator: whether it uses the region, so that it has a row for each region."""


def of_trace(ways: Sequence[Way], trace: TraceInfo) -> tuple[Way, ...]:
    """Return the ways that a workload names among its facts, in the order of the kind; all if it names none."""
    named = trace.facts.get("ways")
    return tuple(way for way in ways if named is None or way.name in named)


def rows(specs: Sequence[AllocatorSpec], ways: Sequence[Way], *, adds_alone: bool) -> tuple[AllocatorSpec, ...]:
    """Return a spec for each row of a workload: every allocator in every way, and the ways without an allocator.

    An allocator that is named with a way gets a row for that way alone. With ``adds_alone``, ways without an allocator
    have a row even if none of them is named.
    """
    alone = {way.name: AllocatorSpec("", way=way.name) for way in ways if not way.needs_allocator}
    others = [way.name for way in ways if way.needs_allocator]
    rows: list[AllocatorSpec] = []
    for spec in specs:
        if spec.written in alone:
            rows.append(replace(spec, name="", way=spec.name))
        elif spec.way or not others:
            rows.append(spec)
        else:
            rows += (replace(spec, way=way) for way in others)
    if adds_alone and not any(spec.way in alone for spec in rows):
        rows = [*alone.values(), *rows]
    return tuple(rows)


def why_not(spec: AllocatorSpec, ways: Sequence[Way], *, others: Collection[str] = ()) -> str | None:
    """Return why a workload with these ways has no such row; None: it has. ``others``: ways of any other workload."""
    if not spec.name:
        return None
    if spec.name in others:
        return "is no allocator, but a way of other workloads"
    if not ways:
        return f"has no way '{spec.way}' here: every allocator serves the workload in one" if spec.way else None
    if not any(way.needs_allocator for way in ways):
        return f"is not needed: the workload has ways of its own ({_listed(ways)})"
    if any(way.name == spec.way and way.needs_allocator for way in ways):
        return None
    return f"has no way '{spec.way}' here; there are {_listed(ways)}"


def _listed(ways: Sequence[Way]) -> str:
    return ", ".join(way.name for way in ways)


def plan_alone(spec: AllocatorSpec, ways: Sequence[Way]) -> AllocatorPlan:
    """Return the plan of a way without an allocator."""
    return AllocatorPlan(spec, "", "", uses_region=any(way.uses_region for way in ways if way.name == spec.way))


def by_pointer(plan: AllocatorPlan) -> Call:
    """Return the call that a kernel makes if it is compiled once for all allocators."""
    return replace(plan.call, route="pointer") if plan.call.route == "inlined" else plan.call
