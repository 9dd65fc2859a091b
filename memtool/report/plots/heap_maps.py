"""Heap maps: the contents of the address range, one strip for each allocator, all strips of a moment on one scale.

Addresses run from left to right; each column shows, from bottom to top, the shares of its contents. The colours can be
distinguished by colour-blind readers and, by their lightness, in grey print.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from memtool.model import CellResult
from memtool.report import look, palette
from memtool.report.paper import canvas
from memtool.store import series
from memtool.units import unit_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 720
_ROWS = 48
_NAMES_A_ROW = 4
"""Names in each row of the legend."""
USED, NEW, ONCE, MORE, METADATA, DEAD, DEAD_KEPT, HELD, OTHER, OWN, UNTOUCHED = range(11)
LEGEND = (
    ("used", palette.USED),
    ("used, new", palette.USED_NEW),
    ("used, after 1 collection", palette.USED_ONCE),
    ("used, after several", palette.USED_LONG),
    ("metadata", palette.METADATA),
    ("dead, new", palette.DEAD),
    ("dead, after a collection", palette.DEAD_LONG),
    ("free", palette.FREE),
    ("unaccounted", palette.UNACCOUNTED),
    ("the worker's own", palette.WORKER),
    ("untouched", palette.UNTOUCHED),
)
Shares = npt.NDArray[np.float64]
Panel = tuple[str, Mapping[str, Any]]
"""(label, heap map)"""


def shares(heap_map: Mapping[str, Any], columns: int = _COLUMNS) -> Shares:
    """Return (class, column) -> share of the column's bytes, in the order of the legend; each column adds up to 1.

    ``heap_map`` is that of a series file. In a heap that cannot be walked, resident memory that is not in use
    counts as free, because free memory, metadata and padding cannot be distinguished from outside.
    """
    bucket = heap_map["buckets"]
    figures = {name: np.asarray(bucket[name], dtype=np.float64) for name in bucket}
    resident = figures["resident"]
    known = np.zeros((len(LEGEND), len(resident)))
    if heap_map["walked"]:
        # Pages that were returned or never written are untouched, whatever their class; free memory comes first.
        missing = _lengths(heap_map) - resident
        known[USED], known[METADATA] = figures["used"], figures["metadata"]
        if "dead" in figures:
            known[ONCE], known[MORE] = figures["used_once"], figures["used_more"]
            known[NEW] = figures["used"] - figures["used_once"] - figures["used_more"]
            known[USED] = 0
            known[DEAD], known[DEAD_KEPT] = figures["dead"], figures["dead_kept"]
        known[HELD] = np.maximum(figures["free"] - missing, 0)
        accounted = known[:HELD].sum(axis=0) + figures["free"]
        known[OTHER] = np.maximum(_lengths(heap_map) - accounted, 0)
    else:
        known[USED] = np.minimum(figures["used"], resident)
        before = np.minimum(figures["before"], np.maximum(resident - known[USED], 0))
        known[OWN] = before
        known[HELD] = np.maximum(resident - known[USED] - before, 0)
    lengths = _lengths(heap_map)
    known[UNTOUCHED] = np.maximum(lengths - known.sum(axis=0), 0)
    return _resample(known, lengths, columns)


def _lengths(heap_map: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """Return the bytes of each bucket; the last bucket of an extent may be shorter."""
    lengths = np.full(len(heap_map["buckets"]["used"]), float(heap_map["bucket_bytes"]))
    for extent in heap_map["extents"]:
        whole, rest = divmod(extent["bytes"], heap_map["bucket_bytes"])
        if rest:
            lengths[extent["first_bucket"] + whole] = rest
    return lengths


def length_of(heap_map: Mapping[str, Any]) -> int:
    """Return the total bytes of a heap's extents."""
    return sum(int(extent["bytes"]) for extent in heap_map["extents"])


def _resample(known: Shares, lengths: npt.NDArray[np.float64], columns: int) -> Shares:
    """Return the contents of each of ``columns`` equal parts of the address range, as shares."""
    ends = np.concatenate(([0.0], np.cumsum(lengths)))
    if ends[-1] == 0:
        return np.zeros((len(known), 0))
    cuts = np.linspace(0, ends[-1], columns + 1)
    sums = np.concatenate((np.zeros((len(known), 1)), np.cumsum(known, axis=1)), axis=1)
    parts = np.array([np.diff(np.interp(cuts, ends, row)) for row in sums])
    total = parts.sum(axis=0)
    return np.asarray(parts / np.where(total > 0, total, 1))


def by_moment(cells: Sequence[CellResult], histories: Mapping[str, series.History]) -> dict[str, list[Panel]]:
    """Return the heaps of the cells at each mapped moment."""
    moments: dict[str, list[Panel]] = {}
    for cell in cells:
        for heap_map in histories[look.label(cell)].heap_maps:
            if heap_map["extents"]:
                moments.setdefault(heap_map["moment"], []).append((look.label(cell), heap_map))
    return moments


def cut_at(lengths: Sequence[float]) -> float:
    """Return the longest strip: a heap many times larger than the others would squeeze them into lines, and is cut."""
    middle = sorted(lengths)[len(lengths) // 2]
    return max(length for length in lengths if length <= 4 * middle)


def classes(parts: Shares, rows: int) -> npt.NDArray[np.intp]:
    """Return (row, column) -> the class at that height of the column, from the bottom, of its shares."""
    tops = np.cumsum(parts, axis=0)
    heights = (np.arange(rows) + 0.5) / rows
    return np.asarray((heights[:, None, None] > tops[None, :, :]).sum(axis=1).clip(max=len(LEGEND) - 1))


def draw(panels: Sequence[Panel], title: str) -> Figure:
    """Return the strips of these heaps, all on one scale of addresses."""
    from matplotlib.patches import Patch

    figure, axes = canvas.subplots(len(panels), 1, 9, 1.1 + 0.62 * len(panels), sharex=True, squeeze=False)
    lengths = [length_of(heap_map) for _, heap_map in panels]
    unit, unit_name = unit_for(max(lengths))
    widths = [length / unit for length in lengths]
    limit = cut_at(widths)
    seen: set[int] = set()
    for axis, (label, heap_map), width in zip(axes[:, 0], panels, widths, strict=True):
        seen |= _strip(axis, heap_map, width, limit, unit)
        cut = f"\n(first {limit:.3g} of {width:.3g} {unit_name},"
        cut = f"{cut}\n{used_before(heap_map, limit * unit):.0%} of what is used)" if width > limit else ""
        axis.set_ylabel(label + cut, rotation=0, ha="right", va="center", fontsize=8)
    of_malloc = any(not heap_map["walked"] for _, heap_map in panels)
    beside = " (of a malloc: its resident ranges side by side)" if of_malloc else ""
    axes[-1, 0].set_xlabel(f"address, in {unit_name} from the base of the region{beside}")
    axes[-1, 0].set_xlim(0, limit)
    handles = [
        Patch(facecolor=colour, edgecolor="0.5", linewidth=0.5, label=name)
        for index, (name, colour) in enumerate(LEGEND)
        if index in seen
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=min(len(handles), _NAMES_A_ROW), frameon=False, fontsize=8
    )
    figure.suptitle(title, fontsize=10)
    return figure


def used_before(heap_map: Mapping[str, Any], end: float) -> float:
    """Return the share of used bytes in the first ``end`` bytes; 0 where the row ends before its first used byte."""
    ends = np.concatenate(([0.0], np.cumsum(_lengths(heap_map))))
    used = np.concatenate(([0.0], np.cumsum(heap_map["buckets"]["used"])))
    return float(np.interp(end, ends, used) / max(used[-1], 1))


def _strip(axes: Axes, heap_map: Mapping[str, Any], width: float, limit: float, unit: int) -> set[int]:
    """Draw one heap and return the classes that it contains."""
    from matplotlib.colors import to_rgb

    columns = max(1, round(_COLUMNS * width / limit))
    parts = shares(heap_map, columns)
    colours = np.array([to_rgb(colour) for _, colour in LEGEND])
    axes.imshow(
        colours[classes(parts, _ROWS)], origin="lower", aspect="auto", extent=(0, width, 0, 1), interpolation="nearest"
    )
    edge = 0.0
    for extent in heap_map["extents"][:-1]:
        edge += extent["bytes"] / unit
        axes.axvline(edge, color="white", linewidth=1.5)
        axes.axvline(edge, color="black", linewidth=0.5, linestyle=":")
    axes.set_yticks([])
    axes.set_ylim(0, 1)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    return {part for part in range(len(LEGEND)) if parts[part].sum() > 0}
