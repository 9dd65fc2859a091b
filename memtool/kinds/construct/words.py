"""The text above and below the tables of objects."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from memtool.kinds.construct.ways import SUMMARIES
from memtool.model import CellResult, Status, TraceInfo
from memtool.units import format_count, format_size

_WIDTH = 100


def heading(info: TraceInfo) -> str:
    """Return a description of the objects."""
    facts = info.facts
    aligned = f", aligned to {facts['alignment']}" if facts["alignment"] > 16 else ""
    type_ = f"{facts['type']} ({format_size(facts['size'])}{aligned}: {facts['summary']})"
    return (
        f"{info.name}: {format_count(facts['objects'])} objects of {type_}, made, used and ended "
        f"in the {facts['order']} order, {format_count(facts['rounds'])} times over\n"
        f"seed {info.seed}, event hash {info.event_hash}"
    )


def remarks(cells: Sequence[CellResult], info: TraceInfo) -> Iterator[str]:
    """Yield an explanation of each way among the rows."""
    measured = [cell.cell.allocator for cell in cells if cell.status is Status.OK]
    ways = [way for way in SUMMARIES if any(label.rpartition("@")[2] == way for label in measured)]
    lines = (textwrap.fill(f"{way}: {SUMMARIES[way]}", _WIDTH, subsequent_indent="  ") for way in ways)
    yield "\n".join(lines)
