"""The pictures of a run, one set for each workload, and their files.

They are readable in grey print and by colour-blind readers (report/look.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from memtool import files, formats, groups
from memtool.errors import InputError, did_you_mean, refuse_unknown
from memtool.kinds import results
from memtool.model import CellResult, Run, TraceInfo
from memtool.report import calls, look, rates
from memtool.report.paper import canvas
from memtool.report.paper.processes import in_processes
from memtool.report.paper.themes import PURPOSES, THEMES, Purpose, Theme
from memtool.report.plots import (
    bars,
    by_rate,
    collection,
    fragmentation,
    heap_maps,
    latency,
    memory,
    padding,
    percentiles,
    programs,
    scaling,
    speed,
)
from memtool.store import series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER = "plots"
_TIMED = frozenset(
    {
        "throughput",
        "latency",
        "latency-by-size",
        "latency-over-time",
        "speed-memory",
        "scaling",
        "latency-by-rate",
        "time-by-heap",
    }
)
"""The pictures of quantities that include the call."""
_LONGEST_SLUG = 80


def draw_all(
    directory: Path,
    run: Run,
    folder: Path | None = None,
    *,
    only: Sequence[str] | None = None,
    suffix: str = "png",
    theme: Theme = "light",
    purpose: Purpose = "screen",
    at_once: int = 1,
) -> list[Path]:
    """Draw the plots for which the run has figures into ``folder`` (``directory/plots``) and return the files.

    ``directory`` has the run's series; ``only`` names the pictures to draw (default: all); ``at_once`` is the number of
    processes; ``theme`` and ``purpose`` determine the finish (themes.py). Raises InputError for a name that is unknown.
    """
    refuse_unknown(suffix, formats.PICTURES, "format", "suffix")
    refuse_unknown(theme, THEMES, "theme", "theme")
    refuse_unknown(purpose, PURPOSES, "purpose", "purpose")
    with canvas.own_style(theme, purpose):
        return _draw_all(directory, run, folder or directory / FOLDER, only, suffix, at_once)


def try_to_draw(draw: Callable[[], Sequence[Path]]) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Return the pictures, and the reason if there are none: a failure to draw must not lose the stored figures."""
    try:
        return tuple(draw()), ()
    except Exception as problem:
        return (), (f"nothing was drawn: {type(problem).__name__}: {problem}",)


Picture = tuple[str, "Callable[[], Figure | None]", TraceInfo]
"""Name of the picture, the function that draws it, and its workload."""


def _draw_all(
    directory: Path, run: Run, folder: Path, only: Sequence[str] | None, suffix: str, at_once: int
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [(name, draw, info) for info, drawers in _pictures(directory, run) for name, draw in drawers.items()]
    _refuse_unknown(only, [name for name, *_ in pictures])
    targets: dict[Path, Picture] = {}
    for name, draw, info in pictures:
        if only is not None and name not in only:
            continue
        path = folder / f"{_slug(info.name)}-{_slug(name)}.{suffix}"
        if path in targets:
            path = folder / f"{files.safe_name(info.name)}-{files.safe_name(name)}.{suffix}"
        targets[path] = (name, draw, info)
    shares = [dict(list(targets.items())[first::at_once]) for first in range(min(at_once, len(targets)))]
    drawn = in_processes([partial(_draw_share, run, share) for share in shares])
    return sorted(drawn, key=list(targets).index)


def _draw_share(run: Run, share: Mapping[Path, Picture]) -> list[Path]:
    drawn = []
    for path, (name, draw, info) in share.items():
        figure = draw()
        if figure is None:
            continue
        if name in _TIMED:
            _write_caption(figure, run, info, but_interpreted=name == "speed-memory")
        drawn.append(_save(figure, path, run, info))
    return drawn


def _refuse_unknown(only: Sequence[str] | None, known: Sequence[str]) -> None:
    for name in only or ():
        if name not in known:
            names = ", ".join(dict.fromkeys(known))
            meant = did_you_mean(name, known)
            raise InputError(f"the run has no picture '{name}'{meant}; it has {names}", field="only")


Drawers = dict[str, "Callable[[], Figure | None]"]
"""Name of a picture -> the function that draws it, which returns None where the run has no figures for it."""


def _pictures(directory: Path, run: Run) -> Iterator[tuple[TraceInfo, Drawers]]:
    """Yield the pictures of each workload, and of each that was measured with several numbers of threads."""
    styles = look.styles(run)
    lines = {name: style.of_line for name, style in styles.items()}
    for info in run.workloads:
        # The heap pass of a graph yields maps only.
        own = [cell for cell in run.cells if cell.cell.workload == info.name]
        mapped = look.ordered([cell for cell in own if cell.metrics or cell.series])
        cells = [cell for cell in mapped if cell.metrics]
        histories = {look.label(cell): series.read(directory, cell) for cell in mapped}
        with_metrics = [(look.label(cell), histories[look.label(cell)]) for cell in cells]
        labelled = [(look.label(cell), cell, histories[look.label(cell)]) for cell in cells]
        yield (
            info,
            {
                "program": partial(programs.draw, cells, styles),
                "throughput": partial(speed.throughput, cells, styles),
                "latency": partial(percentiles.draw, cells, styles),
                "latency-by-size": partial(latency.by_size, labelled),
                "latency-over-time": partial(latency.over_time, labelled, info.marks),
                "footprint": partial(memory.over_time, cells, styles, histories, info),
                "fragmentation-over-time": partial(fragmentation.over_time, with_metrics, lines, info.marks),
                "speed-memory": partial(speed.against_memory, cells, styles, info),
                "waterfall": partial(memory.waterfall, cells, info),
                "padding": partial(padding.draw, cells, styles),
                "time-by-heap": partial(collection.by_heap, cells, info),
                "utilisation": partial(collection.utilisation, cells, styles),
                "pauses-over-time": partial(collection.pauses_over_time, with_metrics),
                **_heap_maps(mapped, histories),
                **{picture.name: partial(bars.draw, cells, picture) for picture in results(info.kind).pictures},
            },
        )
    for name, infos in scaling.swept(run).items():
        yield replace(infos[0], name=name), {"scaling": partial(scaling.draw, run, infos, lines)}
    for name, infos in rates.swept(run).items():
        yield replace(infos[0], name=name), {"latency-by-rate": partial(by_rate.draw, run, infos, lines)}


def _slug(name: str) -> str:
    """Return a name for files that is as readable as possible."""
    readable = re.sub(r"[^A-Za-z0-9.-]+", "_", name)
    return readable if len(readable) == len(name) and len(name) <= _LONGEST_SLUG else files.safe_name(name)


def _write_caption(figure: Figure, run: Run, info: TraceInfo, *, but_interpreted: bool) -> None:
    """Write below a picture how its rows were called, if in different ways."""
    own = {
        other.name
        for other in run.workloads
        if info.name in (other.name, other.name.partition(":threads=")[0], rates.without_rate(other.name))
    }
    cells = [cell for cell in run.cells if cell.cell.workload in own and not (but_interpreted and cell.interpreted)]
    canvas.write_below(figure, calls.caption(look.ordered(cells), canvas.width_of_caption(figure)))


def _save(figure: Figure, path: Path, run: Run, info: TraceInfo) -> Path:
    title = figure.get_suptitle()
    figure.suptitle(
        f"{title}\n{info.name} · {groups.short(groups.facts_of(run.machine, info.name))} · {run.started[:10]}",
        fontsize=10,
    )
    author = "Software" if path.suffix == ".png" else "Creator"
    canvas.save(figure, path, {author: f"memtool {run.memtool}"})
    return path


def _heap_maps(cells: Sequence[CellResult], histories: Mapping[str, series.History]) -> Drawers:
    """Return the functions that draw all heaps at each mapped moment: heap-peak, heap-end, and one for each mark."""
    titles = {"peak": "Heaps when live bytes peak", "end": "Heaps at the end, before everything is freed"}
    return {
        f"heap-{moment}": partial(heap_maps.draw, panels, titles.get(moment, f"Heaps at the mark '{moment}'"))
        for moment, panels in heap_maps.by_moment(cells, histories).items()
    }
