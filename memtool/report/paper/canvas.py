"""Figures for pictures: memtool's own, in matplotlib's default style, independent of the user's settings.

A notebook's backend, a matplotlibrc and a style apply to the user's own pictures only. Text is literal: a library may
be called ``$x$.so``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from memtool.model import CellResult, Metric
from memtool.report.paper import themes
from memtool.report.paper.themes import Purpose, Theme
from memtool.units import format_ns

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure


@contextmanager
def own_style(theme: Theme = "light", purpose: Purpose = "screen") -> Iterator[None]:
    """Use matplotlib's default style within the block, from the first figure to the last that is saved.

    Saved figures are finished for this theme and purpose (themes.py).
    """
    matplotlib = _imported()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams["text.parse_math"] = False
        matplotlib.rcParams["pdf.fonttype"] = 42  # outlines that a printer's software can read
        before = _FINISHES[:]
        _FINISHES[:] = [(theme, purpose)]
        try:
            yield
        finally:
            _FINISHES[:] = before


def _imported() -> Any:  # noqa: ANN401  # a module
    """Return matplotlib, imported without the user's choice of a backend, because an unknown one would be refused."""
    chosen = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if chosen is not None:
            os.environ["MPLBACKEND"] = chosen
    return matplotlib


def prepare() -> None:
    """Import the drawing libraries, which takes a third of a second, in the background of other work."""
    with suppress(Exception):  # the error is reported when a picture is drawn
        _imported()
        import matplotlib.backends.backend_agg
        import matplotlib.figure  # noqa: F401


def subplots(
    rows: int,
    columns: int,
    width: float,
    height: float,
    *,
    font: int = 9,
    is_open: bool = False,
    sharex: bool = False,
    sharey: bool | Literal["row"] = False,
    squeeze: bool = True,
    widths: Sequence[float] | None = None,
) -> tuple[Figure, Any]:
    """Return a figure of this size in inches and its axes, one or an array of them.

    ``font``: size in points; ``is_open``: without a frame above and to the right; further arguments are those of
    ``Figure.subplots``.
    """
    matplotlib = _imported()
    from matplotlib.figure import Figure

    style = {"font.size": font, **({"axes.spines.top": False, "axes.spines.right": False} if is_open else {})}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        _canvas_of(figure)
        axes = figure.subplots(rows, columns, sharex=sharex, sharey=sharey, squeeze=squeeze, width_ratios=widths)
    return figure, axes


def _canvas_of(figure: Figure) -> None:
    """Give a figure a canvas that can measure text, and that draws it only once for a PNG.

    matplotlib draws twice, the first time for a bounding box that is not needed here. The lower level of compression
    makes a picture of few colours a tenth larger in a third of the time.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    class Canvas(FigureCanvasAgg):
        def print_figure(self, filename: Any, dpi: Any = None, *rest: Any, **options: Any) -> Any:  # noqa: ANN401
            if Path(filename).suffix != ".png":
                return super().print_figure(filename, dpi, *rest, **options)
            self.figure.dpi = dpi
            draw: Any = self.print_png
            return draw(filename, metadata=options.get("metadata"), pil_kwargs={"compress_level": 3})

    Canvas(figure)


_FINISHES: list[tuple[Theme, Purpose]] = [("light", "screen")]
"""The theme and purpose of the figures that are saved now; the last entry counts."""


def save(figure: Figure, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a figure into a file, in the format that its name implies. Raises OSError."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            _write_plainly(axis)
    theme, purpose = _FINISHES[0]
    themes.finish(figure, theme, purpose)
    figure.savefig(path, dpi=themes.DPI[purpose], metadata=None if metadata is None else dict(metadata))


def _write_plainly(axis: Axis) -> None:
    """Write 1,000 on a log axis where matplotlib writes a formula, which would appear as literal text here."""
    from matplotlib.ticker import LogFormatterMathtext, LogFormatterSciNotation

    class Plain(LogFormatterSciNotation):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return f"{x:,.10g}" if super().__call__(x, pos) else ""

    major, minor = axis.get_major_formatter(), axis.get_minor_formatter()
    if isinstance(major, LogFormatterMathtext):
        axis.set_major_formatter(Plain(labelOnlyBase=major.labelOnlyBase))
    if isinstance(minor, LogFormatterMathtext):
        axis.set_minor_formatter(Plain(labelOnlyBase=minor.labelOnlyBase))


LEGEND_ROW = 0.17
"""Height of a name in a legend, in inches."""


def tall_enough(height: float, names: int) -> float:
    """Return the height of a figure whose legend beside the axes has this many names."""
    return max(height, 1.2 + LEGEND_ROW * names)


def single(width: float, height: float) -> tuple[Figure, Any]:
    """Return a figure of this size in inches with one open pair of axes."""
    return subplots(1, 1, width, height, is_open=True)


_CAPTION_POINTS = 8


def width_of_caption(figure: Figure) -> int:
    """Return the number of characters in a line below a figure."""
    return int(130 / _CAPTION_POINTS * figure.get_size_inches()[0])


def write_below(figure: Figure, words: str) -> None:
    """Write lines below everything else, for which the figure grows; do nothing without words."""
    if words:
        width, height = figure.get_size_inches()
        figure.set_size_inches(width, height + (words.count("\n") + 1) * 1.25 * _CAPTION_POINTS / 72)
        figure.supxlabel(words, x=0.01, ha="left", fontsize=_CAPTION_POINTS, color="0.3")


def metric_of(cell: CellResult, name: str) -> Metric | None:
    """Return a metric that has a value."""
    metric = cell.metrics.get(name)
    return metric if metric is not None and metric.value is not None else None


def times(ns: float, _place: float | None = None) -> str:
    """Return a tick of an axis of times: ``10 ns``, ``1 ms``."""
    return format_ns(ns).replace(".00", "").replace(".0", "")


def whiskers(metrics: Iterable[Metric]) -> str:
    """Return the remark about whiskers for the label of an axis: there are none with fewer than six blocks."""
    has_any = any(metric.low is not None for metric in metrics)
    return "whiskers: 95 % interval of the median" if has_any else "no intervals: fewer than 6 blocks"


def draw_whiskers(axes: Any, position: int, metric: Metric, unit: float = 1.0) -> None:  # noqa: ANN401  # of matplotlib
    """Draw the interval that a metric has, over a bar of its value in a unit."""
    if metric.value is not None and metric.low is not None and metric.high is not None:
        bounds = [[(metric.value - metric.low) / unit], [(metric.high - metric.value) / unit]]
        axes.errorbar(metric.value / unit, position, xerr=bounds, color="black", capsize=3, linewidth=1)


def ceiling(values: Sequence[float]) -> float:
    """Return the largest value for the range of the axis, without outliers beyond six times the median."""
    middle = sorted(values)[len(values) // 2]
    inside = max(value for value in values if value <= 3 * middle)
    return 1.25 * inside if max(values) > 6 * middle else max(values)
