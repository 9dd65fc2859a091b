"""Pictures are drawn whatever the user has set up for pictures of their own, and whatever things are called."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from memtool.model import Cell, Run
from memtool.report.paper import canvas
from memtool.report.plots import pictures
from memtool.report.plots.pictures import draw_all
from tests.unit.report.fake_run import fake_run

HOSTILE = "./$\\frac$.so"


def called(run: Run, names: Sequence[str]) -> Run:
    """Return a run of the first cells, with these names and figures of throughput alone."""
    cells = tuple(
        replace(
            cell,
            cell=Cell(cell.cell.workload, name),
            metrics={"time_per_op_ns": cell.metrics["time_per_op_ns"]},
            series={},
        )
        for cell, name in zip(run.cells, names, strict=False)
    )
    return replace(run, cells=cells)


def test_a_name_is_text_and_the_users_style_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    save = Figure.savefig

    def spy(figure: Figure, path: Path, **options: object) -> None:
        save(figure, path, **options)  # type: ignore[arg-type]
        written.extend(text.get_text() for text in figure.findobj(Text) if isinstance(text, Text))

    monkeypatch.setattr(Figure, "savefig", spy)
    with matplotlib.rc_context({"text.usetex": True, "font.size": 40}):
        (drawn,) = draw_all(tmp_path, called(fake_run(), [HOSTILE, "glibc"]))
        assert matplotlib.rcParams["text.usetex"]
        assert matplotlib.rcParams["font.size"] == 40
    assert HOSTILE in written
    assert drawn.read_bytes().startswith(b"\x89PNG")


def test_a_log_axis_is_written_in_figures(tmp_path: Path) -> None:
    with canvas.own_style():
        figure, axes = canvas.subplots(1, 1, 4, 3)
        axes.plot([1, 2], [3, 20_000])
        axes.set_yscale("log")
        canvas.save(figure, tmp_path / "log.svg")
        labels = [label.get_text() for label in axes.get_yticklabels()]
    assert {"10", "1,000", "10,000"} <= set(labels)
    assert not any("$" in label for label in labels)


def test_a_notebooks_backend_and_a_matplotlibrc_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfigure.dpi: 10000\nsavefig.bbox: tight\n", "utf-8")
    script = (
        "from pathlib import Path\n"
        "from tests.unit.report.fake_run import fake_run\n"
        "from tests.unit.report.test_canvas import called\n"
        "from memtool.report.plots.pictures import draw_all\n"
        "print(draw_all(Path('.'), called(fake_run(), ['glibc', 'tlsf'])))\n"
    )
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, "MPLBACKEND": "module://no.such.backend", "PYTHONPATH": root}
    ended = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert (tmp_path / "plots" / "web_requests-throughput.png").stat().st_size > 10_000


def test_what_cannot_be_drawn_is_said_and_costs_nothing_else() -> None:
    def fails() -> list[Path]:
        raise ValueError("arange: cannot compute length")

    assert pictures.try_to_draw(fails) == ((), ("nothing was drawn: ValueError: arange: cannot compute length",))


def test_files_are_named_whatever_a_workload_is_called(tmp_path: Path) -> None:
    run = fake_run()
    name = "a/b" * 200
    cells = tuple(replace(cell, cell=replace(cell.cell, workload=name), series={}) for cell in run.cells[:2])
    run = replace(run, workloads=(replace(run.workloads[0], name=name),), cells=cells)
    drawn = draw_all(tmp_path, run, only=["throughput", "waterfall"])
    assert len({path.name for path in drawn}) == 2
    for path in drawn:
        assert path.parent == tmp_path / "plots"
        assert len(path.name) < 200
