"""The plots of a run that was never measured."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from memtool.model import Cell, Mark, Metric, Status
from memtool.report import look
from memtool.report.plots import fragmentation, latency, memory, percentiles, speed
from memtool.report.plots.pictures import draw_all
from memtool.store import series
from tests.runs import figure
from tests.unit.report.fake_run import fake_run, fake_run_with_series

NAMES = (
    "throughput",
    "latency",
    "latency-by-size",
    "latency-over-time",
    "footprint",
    "fragmentation-over-time",
    "speed-memory",
    "waterfall",
    "heap-peak",
)
MEASURED = [cell.cell.allocator for cell in fake_run().cells if cell.status is Status.OK]


Texts = dict[str, list[str]]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> Texts:
    """Return what is written in each plot, by the name of its file; the plots are laid out and not saved."""

    def lay_out(figure: Figure, *_: object, **__: object) -> None:
        figure.draw_without_rendering()

    return _spied(monkeypatch, lay_out)


def _spied(monkeypatch: pytest.MonkeyPatch, save: Callable[..., None]) -> Texts:
    result: Texts = {}

    def spy(figure: Figure, path: Path, **options: object) -> None:
        save(figure, path, **options)
        result[path.stem.removeprefix("web_requests-")] = [
            text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)
        ]

    monkeypatch.setattr(Figure, "savefig", spy)
    return result


@dataclass(frozen=True)
class Drawn:
    """All plots of the run, drawn once for all tests that only look at them."""

    folder: Path
    files: list[Path]
    texts: Texts


@pytest.fixture(scope="module")
def all_drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    folder = tmp_path_factory.mktemp("drawn")
    with pytest.MonkeyPatch.context() as patch:
        texts = _spied(patch, Figure.savefig)
        return Drawn(folder, draw_all(folder, fake_run_with_series(folder)), texts)


def _named(caption: str) -> list[str]:
    """Return the labels that a caption ends with."""
    return caption.partition(": ")[2].replace("\n", " ").split(", ")


def size_of(path: Path) -> tuple[int, int]:
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    return width, height


def test_nine_plots_a_workload_large_enough_to_print(all_drawn: Drawn) -> None:
    assert [path.relative_to(all_drawn.folder).as_posix() for path in all_drawn.files] == [
        f"plots/web_requests-{name}.png" for name in NAMES
    ]
    for path in all_drawn.files:
        width, height = size_of(path)
        assert width > 1000
        assert height > 500
        assert path.stat().st_size > 10_000


def test_no_allocator_is_missing_from_any_plot(all_drawn: Drawn) -> None:
    for name in NAMES:
        written = list(all_drawn.texts[name])
        written += [label for text in all_drawn.texts[name] if text.startswith("n/a") for label in _named(text)]
        assert [item for item in MEASURED if item not in written] == [], name


def test_a_cell_that_failed_is_in_the_plots_of_what_it_did_measure(all_drawn: Drawn) -> None:
    assert "buddy (failed)" in all_drawn.texts["throughput"]
    assert not any("buddy" in text for text in all_drawn.texts["latency"])
    assert not any("pool" in item and item.startswith("pool") for name in NAMES for item in all_drawn.texts[name])


def test_every_plot_says_what_where_and_when(all_drawn: Drawn) -> None:
    for name in NAMES:
        assert any(
            "web requests · Example Processor 9000, 8 cores · 2026-01-02" in text for text in all_drawn.texts[name]
        )


def test_the_harness_and_the_floor_are_drawn(all_drawn: Drawn) -> None:
    assert "harness 4.0" in all_drawn.texts["throughput"]
    assert "noise floor" in all_drawn.texts["latency"]


def test_latency_by_size_is_written_in_figures(all_drawn: Drawn) -> None:
    written = all_drawn.texts["latency-by-size"]
    # glibc: 12.5, 60 and 1,850 ns above a floor of 13.5; twice as long, floor included, in the class without end.
    for text in ("12", "60", "38", "134", "64\nB", "more", "allocate p99.9", "deallocate p50"):
        assert text in written, text
    assert "1.8k" not in written  # p99.9 of 1,000 is the 999th
    assert "longest operation of a slice,\nthe floor's median included" in all_drawn.texts["latency-over-time"]
    assert "10 µs" in all_drawn.texts["latency-over-time"]


TIMED = ("throughput", "latency", "latency-by-size", "latency-over-time", "speed-memory")


def test_pictures_of_times_say_how_their_rows_were_called(tmp_path: Path, all_drawn: Drawn, texts: Texts) -> None:
    inlined = (
        "called inlined into the loop, size at the free, one thread: segregated-pool:spacing=3,chunk=1048576, slab,"
    )
    linked = (
        "called through the dynamic linker, bare pointer at the free, any thread: mimalloc, tcmalloc, jemalloc, glibc"
    )
    for name in NAMES:
        said = [text for text in all_drawn.texts[name] if text.startswith("called ")]
        assert len(said) == (name in TIMED), name
        for text in said:
            assert [line.replace(" slab,", "") in text.replace("\n", " ") for line in (inlined, linked)] == [True, True]
    run = fake_run()
    alike = tuple(replace(cell, proof={**cell.proof, "call": run.cells[0].proof["call"]}) for cell in run.cells)
    draw_all(tmp_path, replace(run, cells=alike), only=["throughput"])
    assert not any("called" in text for text in texts["throughput"])
    bare = {"route": "pointer", "free": "bare", "threads": "any", "as_malloc": True}
    on_malloc = tuple(replace(cell, proof={**cell.proof, "call": bare}) for cell in run.cells)
    draw_all(tmp_path, replace(run, cells=on_malloc), only=["throughput"])
    assert "Every row, including the harness, is called as a malloc is called." in texts["throughput"]


def test_rows_are_in_one_order_in_every_picture(tmp_path: Path, memory_drawn: Figure) -> None:
    run = fake_run_with_series(tmp_path)
    cells = look.ordered([cell for cell in run.cells if cell.status is Status.OK])
    names = [look.label(cell) for cell in cells]
    labelled = [(look.label(cell), cell, series.read(tmp_path, cell)) for cell in cells]
    for figure_ in (latency.by_size(labelled), latency.over_time(labelled)):
        assert figure_ is not None
        axes = figure_.axes[0]
        places = [axes.transData.transform((0, tick))[1] for tick in axes.get_yticks()]
        downwards = sorted(zip(places, axes.get_yticklabels(), strict=True), key=lambda item: -item[0])
        assert [label.get_text() for _, label in downwards] == names
    assert [text.get_text() for text in memory_drawn.legends[0].get_texts() if text.get_text() in names] == names


def test_whiskers_are_named_where_there_are_any(tmp_path: Path, all_drawn: Drawn, texts: Texts) -> None:
    assert "time an operation, gross (ns); whiskers: 95 % interval of the median" in all_drawn.texts["throughput"]
    run = fake_run()
    few = tuple(
        replace(cell, metrics={name: replace(metric, low=None, high=None) for name, metric in cell.metrics.items()})
        for cell in run.cells
    )
    draw_all(tmp_path, replace(run, cells=few), only=["throughput", "speed-memory", "latency"])
    for name in ("throughput", "speed-memory", "latency"):
        assert any(text.endswith("; no intervals: fewer than 6 blocks") for text in texts[name]), name


def test_marks_are_named_in_what_is_drawn_over_time(tmp_path: Path, texts: Texts) -> None:
    run = fake_run_with_series(tmp_path)
    marks = (Mark("warm", 80_000, 1 << 20, 0.2), Mark("soon-after", 84_000, 1 << 20, 0.21))
    draw_all(tmp_path, replace(run, workloads=(replace(run.workloads[0], marks=marks),)))
    for name in NAMES:
        drawn = {"warm", "soon-after\n"} <= set(texts[name])  # a row higher, so that neither covers the other
        assert drawn == (name in ("footprint", "fragmentation-over-time", "latency-over-time")), name


def test_where_the_kernel_was_not_asked_resident_memory_is_not_drawn_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fake_run_with_series(tmp_path)
    file = tmp_path / run.cells[0].series["footprint"]
    content = json.loads(file.read_text(encoding="utf-8"))
    content["footprint"]["resident_bytes"] = [0, None, 5 << 20, None, None, 7 << 20, None, 6 << 20]
    file.write_text(json.dumps(content), encoding="utf-8")
    drawn: dict[str, list[list[float]]] = {}
    save = Figure.savefig

    def spy(figure: Figure, path: Path, **options: object) -> None:
        save(figure, path, **options)  # type: ignore[arg-type]
        if path.stem == "web_requests-footprint":
            lines = [
                line for axes in figure.axes for line in axes.lines if axes.get_title("left").startswith("resident m")
            ]
            drawn.update({str(line.get_label()): np.asarray(line.get_xydata()).tolist() for line in lines})

    monkeypatch.setattr(Figure, "savefig", spy)
    draw_all(tmp_path, run, only=["footprint"])
    assert drawn["glibc"] == [[0, 0], [100, 5], [250, 7], [350, 6]]


def test_reallocations_have_a_panel_of_their_own(tmp_path: Path, all_drawn: Drawn, texts: Texts) -> None:
    run = fake_run()
    glibc = run.cells[0]
    resized = {f"reallocate_{share}_ns": figure(f"reallocate_{share}_ns", 30.0) for share in ("p50", "p99", "max")}
    changed = replace(run, cells=(replace(glibc, metrics={**glibc.metrics, **resized}), *run.cells[1:]))
    draw_all(tmp_path, changed, only=["latency"])
    assert {"allocate", "deallocate", "reallocate"} <= set(texts["latency"])
    assert "reallocate" not in all_drawn.texts["latency"]


def test_under_arrivals_the_floor_drawn_is_the_null_strategy(tmp_path: Path, texts: Texts) -> None:
    run = fake_run()
    null = {
        kind: dict.fromkeys(("p50", "p90", "p99", "p999", "p9999", "max"), 70.0) for kind in ("allocate", "deallocate")
    }
    cells = tuple(replace(cell, proof={**cell.proof, "open_loop": {"null_ns": null}}) for cell in run.cells[:3])
    draw_all(tmp_path, replace(run, cells=cells), only=["latency"])
    assert "null strategy,\nsame arrivals" in texts["latency"]
    assert "noise floor" not in texts["latency"]


def test_a_size_class_at_the_floor_is_marked(tmp_path: Path, texts: Texts) -> None:
    run = fake_run_with_series(tmp_path)
    coarse = tuple(replace(cell, proof={**cell.proof, "timer_resolution_ns": 10.0}) for cell in run.cells)
    draw_all(tmp_path, replace(run, cells=coarse), only=["latency-by-size"])
    # A step of 10 ns: p50s of 10 and 4.5 are a step above the floor or less, one of 60 is not.
    assert {"~10", "~4", "60"} <= set(texts["latency-by-size"])
    assert not {"10", "~60"} & set(texts["latency-by-size"])


def test_side_by_side_no_live_bytes_and_no_load_are_common(tmp_path: Path, all_drawn: Drawn, texts: Texts) -> None:
    run = fake_run_with_series(tmp_path)
    assert "live bytes" in all_drawn.texts["footprint"]
    assert {"load", "best offline packing found"} <= set(all_drawn.texts["waterfall"])
    beside = tuple(replace(cell, cell=replace(cell.cell, mode="parallel")) for cell in run.cells)
    draw_all(tmp_path, replace(run, cells=beside), only=["footprint", "waterfall"])
    assert "live bytes" not in texts["footprint"]
    assert any("live bytes are each one's own" in text for text in texts["footprint"])
    assert not {"load", "best offline packing found"} & set(texts["waterfall"])
    assert any("at each one's own peak" in text for text in texts["waterfall"])


def test_the_waterfall_names_only_what_is_drawn(tmp_path: Path, texts: Texts) -> None:
    run = fake_run()
    own = tuple(cell for cell in run.cells if cell.cell.allocator in ("slab", "first-fit"))
    draw_all(
        tmp_path,
        replace(run, cells=own, workloads=(replace(run.workloads[0], packing_bytes=None),)),
        only=["waterfall"],
    )
    assert "load" in texts["waterfall"]
    assert not any("packing" in text or "system allocators" in text for text in texts["waterfall"])


def test_a_small_heap_is_drawn_in_kib(tmp_path: Path, texts: Texts) -> None:
    run = fake_run()

    def small(name: str, metric: Metric) -> Metric:
        known = name.endswith("_bytes") and metric.value is not None
        return replace(metric, value=(metric.value or 0) / 1024) if known else metric

    cells = tuple(
        replace(cell, metrics={name: small(name, metric) for name, metric in cell.metrics.items()})
        for cell in run.cells
    )
    draw_all(tmp_path, replace(run, cells=cells), only=["waterfall", "speed-memory"])
    assert "KiB" in texts["waterfall"]
    assert "peak resident memory (KiB)" in texts["speed-memory"]


def test_resident_memory_beyond_the_edge_of_a_waterfall_is_said(tmp_path: Path, texts: Texts) -> None:
    run = fake_run()
    name = "resident_at_peak_live_bytes"
    cells = list(run.cells)
    at = [cell.cell.allocator for cell in cells].index("slab")
    huge = replace(cells[at].metrics[name], value=700 * 2**20)
    cells[at] = replace(cells[at], metrics={**cells[at].metrics, name: huge})
    draw_all(tmp_path, replace(run, cells=tuple(cells)), only=["waterfall"])
    assert "700 MiB resident" in texts["waterfall"]


def test_many_allocators_differ_in_colour_and_all_stand_in_the_legend() -> None:
    cells = [replace(fake_run().cells[0], cell=Cell("web", f"heap-{number}")) for number in range(24)]
    styles = look.styles(replace(fake_run(), cells=tuple(cells)))
    colours = {style.colour for style in styles.values()}
    assert len(colours) == 24
    assert "#000000" not in colours
    drawn = percentiles.draw(cells, styles)
    assert drawn is not None
    drawn.canvas.draw()
    box = drawn.legends[0].get_window_extent()
    assert box.y0 >= 0
    assert box.y1 <= drawn.bbox.y1


def test_of_many_that_leave_a_picture_the_first_are_named() -> None:
    assert fragmentation.leaving(["a", "b"]) == "leaves the picture: a, b"
    assert fragmentation.leaving([*"abcdefgh"]) == "leaves the picture: a, b, c, d, e, f and 2 more"


def test_what_was_not_measured_is_not_drawn(tmp_path: Path, texts: Texts) -> None:
    without_series = fake_run()
    assert [path.stem for path in draw_all(tmp_path, without_series)] == [
        "web_requests-throughput",
        "web_requests-latency",
        "web_requests-speed-memory",
        "web_requests-waterfall",
    ]
    nothing = replace(without_series, cells=without_series.cells[-1:])
    assert draw_all(tmp_path, nothing) == []


def test_two_workloads_have_plots_of_their_own(tmp_path: Path) -> None:
    run = fake_run()
    other = replace(run.workloads[0], name="other")
    cells = tuple(replace(cell, cell=replace(cell.cell, workload="other")) for cell in run.cells)
    both = replace(run, workloads=(*run.workloads, other), cells=(*run.cells, *cells))
    drawn = draw_all(tmp_path, both, only=["throughput", "waterfall"])
    assert len(drawn) == len(set(drawn)) == 4
    assert all(path.is_file() for path in drawn)


def test_what_is_interpreted_is_not_set_against_the_others(tmp_path: Path, texts: Texts) -> None:
    run = fake_run()
    cells = tuple(
        replace(cell, proof={**cell.proof, "interpreted": cell.cell.allocator == "slab"})
        for cell in run.cells
        if cell.cell.allocator in ("slab", "glibc", "jemalloc")
    )
    draw_all(tmp_path, replace(run, cells=cells), only=["throughput", "speed-memory"])
    assert "slab (interpreted)" in texts["throughput"]
    assert "glibc" in texts["speed-memory"]
    assert not any("slab" in text for text in texts["speed-memory"])


def _plotted(drawn: Figure, title: str) -> dict[str, list[list[float]]]:
    """Return the points of each line, by its label, of the axes whose title begins so."""
    axes = next(panel for panel in drawn.axes if panel.get_title("left").startswith(title))
    return {str(line.get_label()): np.asarray(line.get_xydata()).tolist() for line in axes.lines}


@pytest.fixture(scope="module")
def memory_drawn(tmp_path_factory: pytest.TempPathFactory) -> Figure:
    folder = tmp_path_factory.mktemp("memory")
    run = fake_run_with_series(folder)
    cells = look.ordered([cell for cell in run.cells if cell.metrics])
    histories = {look.label(cell): series.read(folder, cell) for cell in cells}
    info = replace(run.workloads[0], memory_limit=9 << 20)
    drawn = memory.over_time(cells, look.styles(run), histories, info)
    assert drawn is not None
    return drawn


def test_footprint_and_resident_memory_are_on_axes_of_their_own(memory_drawn: Figure) -> None:
    footprints = _plotted(memory_drawn, "footprint")
    resident = _plotted(memory_drawn, "resident memory")
    assert max(y for _, y in footprints["slab"]) == 10.75
    assert max(y for _, y in resident["slab"]) == 10.25
    assert "glibc" not in footprints
    assert max(y for _, y in resident["glibc"]) == 9.75


def test_what_was_most_between_two_checkpoints_has_a_point() -> None:
    run = fake_run()
    cells = [cell for cell in run.cells if cell.cell.allocator == "slab"]
    rows: dict[str, list[int | None]] = {
        "clock": [0, 1000, 2000, 3000],
        "live_bytes": [0, 4 << 20, 4 << 20, 0],
        "most_live_bytes": [0, 4 << 20, 8 << 20, 4 << 20],
        "footprint_bytes": [0, 4 << 20, 10 << 20, 10 << 20],
        "most_footprint_bytes": [0, 4 << 20, 10 << 20, 10 << 20],
        "resident_bytes": [0, 4 << 20, None, 6 << 20],
        "most_resident_bytes": [None, None, 9 << 20, 6 << 20],
    }
    drawn = memory.over_time(cells, look.styles(run), {"slab": series.History(rows, {})}, run.workloads[0])
    assert drawn is not None

    def points(title: str) -> list[list[float]]:
        axes = next(panel for panel in drawn.axes if panel.get_title("left").startswith(title))
        return [
            np.asarray(line.get_xydata()).tolist()[0] for line in axes.lines if len(np.ravel(line.get_xdata())) == 1
        ]

    # The live bytes in both; the footprint was never more than at a checkpoint.
    assert points("footprint") == [[2, 8]]
    assert points("resident memory") == [[2, 8], [2, 9]]
    assert "most between checkpoints" in [text.get_text() for text in drawn.findobj(Text) if isinstance(text, Text)]
    without = {name: column for name, column in rows.items() if not name.startswith("most_")}
    before = memory.over_time(cells, look.styles(run), {"slab": series.History(without, {})}, run.workloads[0])
    assert before is not None
    assert "most between checkpoints" not in [
        text.get_text() for text in before.findobj(Text) if isinstance(text, Text)
    ]


def test_what_stays_after_the_drain_has_a_panel(memory_drawn: Figure) -> None:
    axes = next(panel for panel in memory_drawn.axes if panel.get_title("left") == "resident, all freed")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "0.1 s", "1 s", "5 s"]
    assert len(axes.lines) == 8
    assert np.asarray(axes.lines[0].get_ydata()).tolist() == [0.5, 0.375, 0.25, 0.125]


def test_what_is_resident_after_the_drain_is_never_cut_off(tmp_path: Path) -> None:
    # On threads another process may hold more at the end than this one's line does at any checkpoint.
    run = fake_run_with_series(tmp_path)
    cells = [
        replace(
            cell,
            metrics={
                name: figure(name, 13.5 * 2**20) if name.startswith("resident_after") else metric
                for name, metric in cell.metrics.items()
            }
            | {"resident_before_idle_bytes": figure("resident_before_idle_bytes", 13.25 * 2**20)},
        )
        for cell in run.cells
        if cell.status is Status.OK
    ]
    histories = {look.label(cell): series.read(tmp_path, cell) for cell in cells}
    drawn = memory.over_time(cells, look.styles(run), histories, run.workloads[0])
    assert drawn is not None
    axes = next(panel for panel in drawn.axes if panel.get_title("left") == "resident, all freed")
    assert axes.get_ylim()[1] > 13.5
    # What the process of the later readings held at once, not what another did: 13.5 would be no growth at all.
    assert np.asarray(axes.lines[0].get_ydata()).tolist() == [13.25, 13.5, 13.5, 13.5]


def test_the_memory_limit_is_a_line(memory_drawn: Figure) -> None:
    assert _plotted(memory_drawn, "footprint")["memory limit"] == [[0, 9], [1, 9]]
    run = fake_run()
    for draw in (
        speed.against_memory(run.cells[:6], look.styles(run), replace(run.workloads[0], memory_limit=9 << 20)),
        memory.waterfall(run.cells[:6], replace(run.workloads[0], memory_limit=9 << 20)),
    ):
        assert draw is not None
        assert "memory limit" in [text.get_text() for text in draw.findobj(Text) if isinstance(text, Text)]


def test_one_slow_row_does_not_flatten_the_others() -> None:
    run = fake_run()
    few = [cell for cell in run.cells if cell.cell.allocator in ("glibc", "slab", "mimalloc")]
    usual = speed.throughput(few, look.styles(run))
    slow = replace(few[0], metrics={"time_per_op_ns": figure("time_per_op_ns", 5_000.0)})
    flattened = speed.throughput([*few[1:], slow], look.styles(run))
    assert usual is not None
    assert flattened is not None
    assert [item.axes[0].get_xscale() for item in (usual, flattened)] == ["linear", "log"]


def test_names_that_would_lie_on_each_other_stand_in_a_legend() -> None:
    run = fake_run()
    many = [
        replace(run.cells[0], cell=Cell("web", f"an-allocator-of-a-long-name:parameter={number}"))
        for number in range(22)
    ]
    drawn = speed.against_memory(many, look.styles(replace(run, cells=tuple(many))), run.workloads[0])
    few = speed.against_memory(run.cells[:4], look.styles(run), run.workloads[0])
    assert drawn is not None
    assert few is not None
    assert [len(item.legends[0].get_texts()) for item in (drawn,)] == [22]
    assert not few.legends


def test_a_noisy_machine_is_marked_in_the_pictures() -> None:
    run = fake_run()
    noisy = [replace(cell, proof={**cell.proof, "noisy": True}) for cell in run.cells[:3]]
    for draw in (
        speed.throughput(noisy, look.styles(run)),
        speed.against_memory(noisy, look.styles(run), run.workloads[0]),
    ):
        assert draw is not None
        assert "glibc !" in [text.get_text() for text in draw.findobj(Text) if isinstance(text, Text)]


def test_an_allocator_looks_the_same_on_every_workload() -> None:
    run = fake_run()
    other = tuple(replace(cell, cell=replace(cell.cell, workload="other")) for cell in run.cells[3:6])
    both = look.styles(replace(run, cells=(*run.cells, *other)))
    alone = look.styles(run)
    assert both == alone


def test_two_processes_draw_what_one_draws(tmp_path: Path) -> None:
    run = fake_run()
    names = ["throughput", "waterfall", "speed-memory"]
    one, two = (draw_all(tmp_path, run, tmp_path / str(many), only=names, at_once=many) for many in (1, 2))
    assert [path.name for path in two] == [path.name for path in one]
    assert [path.read_bytes() for path in two] == [path.read_bytes() for path in one]
