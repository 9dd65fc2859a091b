"""The inside of heaps over time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from memtool.report.plots.fragmentation import over_time
from memtool.store.series import History

KIB, MIB = 2**10, 2**20


def history(**columns: Sequence[int | None]) -> History:
    nothing: Mapping[str, Sequence[int | None]] = dict.fromkeys(
        ("free_bytes", "largest_free", "free_blocks", "used_blocks"), [None] * 3
    )
    return History({"clock": [0, 1000, 2000], **nothing, **columns}, {})


def draw(**cells: History) -> Figure | None:
    looks: Mapping[str, Mapping[str, Any]] = {label: {"color": "black"} for label in cells}
    return over_time(list(cells.items()), looks, ())


def lines(figure: Figure) -> list[list[list[tuple[float, float]]]]:
    """Return of each panel the points of each line that are known."""
    courses = [[np.asarray(line.get_xydata(), dtype=np.float64) for line in axes.lines] for axes in figure.axes]
    return [[[(x, y) for x, y in course.tolist() if not math.isnan(y)] for course in panel] for panel in courses]


def test_free_bytes_largest_block_and_holes_over_the_operations() -> None:
    figure = draw(
        fit=history(
            free_bytes=[0, MIB, 3 * MIB],
            largest_free=[0, 512 * KIB, MIB],
            free_blocks=[0, 3, 4],
            used_blocks=[0, 6, 8],
        )
    )
    assert figure is not None
    # Nothing is used at first, and there is no share of nothing.
    assert lines(figure) == [
        [[(0, 0), (1, 1), (2, 3)]],
        [[(0, 0), (1, 512), (2, 1024)]],
        [[(1, 0.5), (2, 0.5)]],
    ]
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "free bytes",
        "largest free block",
        "holes: free blocks / used blocks",
    ]
    assert [axes.get_ylabel() for axes in figure.axes] == ["MiB", "KiB", "ratio"]
    assert figure.axes[-1].get_xlabel() == "operations (thousands)"
    assert figure.get_supxlabel() == ""


def test_who_does_not_know_is_named() -> None:
    figure = draw(
        pool=history(free_bytes=[0, 64, 64], free_blocks=[0, 1, 1], used_blocks=[1, 1, 1]),
        arena=history(free_bytes=[0, 0, 0], largest_free=[0, 0, 0]),
        glibc=history(),
        jemalloc=history(),
        failed=History({}, {}),
    )
    assert figure is not None
    assert [len(line) for line in lines(figure)] == [2, 1, 1]
    assert [axes.get_title(loc="left") for axes in figure.axes[1:]] == [
        "largest free block (n/a: pool)",
        "holes: free blocks / used blocks (n/a: arena)",
    ]
    assert figure.get_supxlabel() == "n/a, do not say what is free in them: glibc, jemalloc"
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["pool", "arena"]


def test_where_nobody_knows_there_is_no_picture() -> None:
    assert draw(glibc=history(), failed=History({}, {})) is None


def test_what_is_far_beyond_the_others_is_cut_and_named() -> None:
    figure = draw(calm=history(free_bytes=[MIB, MIB, 2 * MIB]), wild=history(free_bytes=[MIB, MIB, 9 * MIB]))
    assert figure is not None
    assert figure.axes[0].get_ylim() == (0, 3)
    assert figure.axes[0].get_title("left") == "free bytes\nleaves the picture: wild"


def test_what_is_free_for_a_third_of_the_run_stays_in_the_picture() -> None:
    # A queue that is full most of the time: more than half of the checkpoints have hardly anything free.
    emptied: Sequence[int | None] = [MIB // 8] * 5 + [16 * MIB] * 3
    clock: Sequence[int | None] = list(range(8))
    figure = draw(one=history(clock=clock, free_bytes=emptied), other=history(clock=clock, free_bytes=emptied[::-1]))
    assert figure is not None
    assert figure.axes[0].get_title("left") == "free bytes"
    assert figure.axes[0].get_ylim()[1] > 16
