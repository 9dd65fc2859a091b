"""The picture of ``memtool inspect``: sizes against lifetimes, and live bytes over time."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from memtool.errors import InputError
from memtool.model import Mark
from memtool.report import palette
from memtool.report.paper import canvas, marks
from memtool.units import format_count, format_size, unit_for

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_SITES = 12
_LONGEST_NAME = 48


def draw(
    path: Path,
    name: str,
    characteristics: Mapping[str, Any],
    marked: Sequence[Mark] = (),
    symbols: Mapping[int, str] = MappingProxyType({}),
) -> None:
    """Draw the characteristics of a workload (workload/description/characterise.py) into a file. Raises InputError.

    ``symbols`` are names of its call sites, where it has any.
    """
    with canvas.own_style():
        figure = _figure(name, characteristics, marked, symbols)
        try:
            canvas.save(figure, path)
        except (OSError, ValueError) as problem:
            raise InputError(f"{path}: cannot be drawn: {problem}") from None


def _figure(
    name: str, characteristics: Mapping[str, Any], marked: Sequence[Mark], symbols: Mapping[int, str]
) -> Figure:
    from matplotlib.colors import LogNorm

    today = datetime.datetime.now().astimezone().date().isoformat()
    sites = characteristics["sites"][:_MOST_SITES]
    figure, axes = canvas.subplots(1 + bool(sites), 2, 11, 8.6 if sites else 4.6, squeeze=False)
    left, right = axes[0]
    if sites:
        _draw_sites(axes[1], sites, symbols)
    matrix = characteristics["size_by_lifetime"]
    if matrix:
        image = left.imshow(
            matrix,
            origin="lower",
            aspect="auto",
            cmap="cividis",
            norm=LogNorm(vmin=1),
            interpolation="nearest",
        )
        figure.colorbar(image, ax=left, label="objects")
        rows, columns = range(0, len(matrix), 2), range(0, len(matrix[0]), 2)
        left.set_yticks(rows, [format_size(1 << level) for level in rows])
        left.set_xticks(columns, [format_count(1 << level) for level in columns], rotation=45)
    left.set_xlabel("lifetime, at least (allocations)")
    left.set_ylabel("size, at least")
    empty = f", without {format_count(characteristics['empty'])} of 0 bytes" if characteristics["empty"] else ""
    left.set_title(f"Objects by size and lifetime{empty}", fontsize=9)
    unit, unit_name = unit_for(max(characteristics["live_bytes"], default=0))
    right.fill_between(
        [value / 1000 for value in characteristics["clock"]],
        [value / unit for value in characteristics["live_bytes"]],
        color=palette.BLUE,
        alpha=0.6,
    )
    right.set_xlabel("operations (thousands)")
    right.set_ylabel(f"live bytes ({unit_name})")
    right.set_ylim(bottom=0)
    right.margins(x=0)
    marks.draw(right, marks.over_operations(marked))
    marks.write_names(right, marks.over_operations(marked), inches=4)
    right.set_title("Live bytes over time", fontsize=9)
    figure.suptitle(f"{name}: {format_count(characteristics['allocations'])} allocations · {today}", fontsize=10)
    return figure


def _draw_sites(axes: Sequence[Axes], sites: Sequence[Mapping[str, Any]], symbols: Mapping[int, str]) -> None:
    """Draw the call sites with the most bytes: the bytes requested, and the number of requests."""
    names = [_shortened(symbols.get(site["caller"], f"{site['caller']:#x}")) for site in sites]
    places = range(len(sites), 0, -1)
    unit, unit_name = unit_for(max(site["bytes"] for site in sites))
    for axis, figures, title in (
        (axes[0], [site["bytes"] / unit for site in sites], f"asked for ({unit_name})"),
        (axes[1], [site["allocations"] / 1000 for site in sites], "requests (thousands)"),
    ):
        axis.barh(places, figures, color=palette.BLUE, alpha=0.6)
        axis.set_xlabel(title)
    axes[0].set_yticks(places, names, fontsize=7)
    axes[1].set_yticks([])
    axes[0].set_title("Call sites with the most bytes", fontsize=9)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}\N{HORIZONTAL ELLIPSIS}"
