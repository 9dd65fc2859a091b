"""Everything that ``memtool inspect`` reports about a source of events, from one pass over them in bounded memory."""

from __future__ import annotations

from dataclasses import replace

from memtool.engine.packing import binding
from memtool.engine.survey.binding import Survey
from memtool.model import TraceInfo
from memtool.workload.description.characterise import Characteristics, characteristics_of, take
from memtool.workload.sources.source import Rows, Source
from memtool.workload.sources.stacks import Frames
from memtool.workload.trace import make_trace


def inspect_source(source: Source, path: str, *, packs: bool = True) -> tuple[TraceInfo, int, Characteristics]:
    """Return (figures of the trace, bytes of its event image, characteristics). Raises MemtoolError.

    The image is kept only while it has few enough blocks to be packed; with ``packs=False`` nothing is packed, because
    packing takes seconds.
    """
    with Survey() as survey:
        is_packable = packs
        frames: Frames | None = None

        def watch(rows: Rows) -> bool:
            nonlocal is_packable, frames
            take(survey, rows)
            frames = frames if rows.stacks is None else rows.frames
            figures = survey.figures()
            is_packable = bool(packs and figures.allocations + figures.reallocations <= binding.MOST_BLOCKS)
            return is_packable

        with make_trace(source, path, watch=watch) as trace:
            packing = binding.pack_image(trace.image_fd, trace.image_bytes) if is_packable else None
            return replace(trace.info, packing_bytes=packing), trace.image_bytes, characteristics_of(survey, frames)
