"""Turns workloads of heap events, and trace files, into images that workers replay.

Each function imports only its own needs: the schema needs no generator, and a list of workloads no numpy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from memtool.kinds.work import Inspection, Work
from memtool.model import AllocatorPlan, Mode, TraceInfo
from memtool.passes import Pass

if TYPE_CHECKING:
    from memtool.workload.sources.staged import Stages
    from memtool.workload.trace import Trace

_NO_PEAK = (
    "There is no heap map of the peak where threads run side by side: when live bytes peak is then known only "
    "afterwards. Maps are of the end; the mode lockstep has both."
)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a workload file."""
    from memtool.workload.language.schema import json_schema

    return json_schema()


def load(
    path: Path, *, seed: int | None, threads: int | None, rate: int | None, mode: Mode, stages: Stages | None = None
) -> Trace:
    """Build the image of a file's events for this mode."""
    from memtool.workload.sources.staged import Stages
    from memtool.workload.trace import load_trace

    return load_trace(str(path), seed, threads=threads, rate=rate, mode=mode, stages=stages or Stages())


def why_not(plan: AllocatorPlan, trace: TraceInfo) -> str | None:
    """Return why an allocator cannot serve a trace on this machine; None when it can."""
    from memtool.allocators import pairing

    return pairing.why_not_here(plan, trace)


def notes(plans: Sequence[AllocatorPlan], trace: TraceInfo, mode: Mode, passes: Sequence[Pass]) -> Iterator[str]:
    """Yield which strategies round up the requests of the trace, and which heap maps are not possible."""
    from memtool.allocators import pairing

    rounds = pairing.rounding(plans, trace)
    if rounds is not None:
        yield rounds
    if Pass.HEAP in passes and mode is Mode.PARALLEL and trace.lanes > 1:
        yield _NO_PEAK


def pack(trace: Trace) -> int | None:
    """Return the bytes of the best packing of a trace's blocks; None where there are too many blocks."""
    from memtool.engine.packing import binding

    return binding.pack_image(trace.image_fd, trace.image_bytes)


def why_unpacked() -> str:
    """Return why there is no packing: the number of blocks is too large."""
    from memtool.engine.packing.binding import MOST_BLOCKS
    from memtool.units import format_count

    return f"more than {format_count(MOST_BLOCKS)} blocks"


def listed(path: Path) -> tuple[str, str]:
    """Return the source of a workload's events, and its description."""
    from memtool.workload.language.loader import load_workload

    workload = load_workload(path)
    source = next(key for key in ("pattern", "profile", "frames", "objects") if getattr(workload, key) is not None)
    return source, workload.description


def inspect(path: Path, seed: int | None) -> Inspection:
    """Characterise a workload or a trace file."""
    from memtool.host.symbols import names_of
    from memtool.workload.description.characterise import foremost
    from memtool.workload.description.inspection import inspect_source
    from memtool.workload.description.portrait import portrait
    from memtool.workload.trace import open_source

    source = open_source(path, seed=seed)
    info, image_bytes, characteristics = inspect_source(source, str(path))
    sites, stacks = foremost(characteristics.sites), foremost(characteristics.stacks)
    addresses = [*(site.caller for site in sites), *(frame for stack in stacks for frame in stack.frames)]
    symbols = names_of(dict.fromkeys(addresses), source.modules)
    words = portrait(info, characteristics)
    return Inspection(info, image_bytes, characteristics, source.definition, words, symbols)


def summary(inspection: Inspection) -> str:
    """Return an inspection as text."""
    from memtool.kinds.heap.inspection import summary

    return summary(inspection)


WORK = Work(
    json_schema=json_schema,
    load=load,
    load_staged=load,
    why_not=why_not,
    notes=notes,
    pack=pack,
    why_unpacked=why_unpacked,
    listed=listed,
    inspect=inspect,
    summary=summary,
    has_picture=True,
)
