"""Pictures for dark paper, for print and for slides: the same picture, in other colours and of another size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from PIL import Image

from memtool import api
from memtool.errors import InputError
from memtool.report.paper import themes
from memtool.report.plots.pictures import draw_all
from memtool.store import run_file
from tests.unit.report.fake_run import fake_run_with_series


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run_file.write(folder, fake_run_with_series(folder))
    return folder


def corner(path: Path) -> tuple[int, ...]:
    """Return the colour of the paper."""
    with Image.open(path) as image:
        return tuple(np.asarray(image.convert("RGB"))[1, 1].tolist())


def test_dark_paper_is_dark_and_light_paper_white(stored: Path, tmp_path: Path) -> None:
    papers: dict[themes.Theme, tuple[int, ...]] = {"light": (255, 255, 255), "dark": (23, 23, 23)}
    for theme, paper in papers.items():
        (path,) = api.draw(stored, tmp_path / theme, only=["throughput"], theme=theme)
        assert corner(path) == paper


def test_print_has_more_dots_and_slides_larger_letters(stored: Path, tmp_path: Path) -> None:
    widths = {}
    for purpose in themes.PURPOSES:
        (path,) = api.draw(stored, tmp_path / purpose, only=["throughput"], purpose=purpose)
        with Image.open(path) as image:
            widths[purpose] = image.width
    # Of 7.5 inches; on slides of 5.7, in which letters have the same points.
    assert widths == {"screen": 1500, "print": 2250, "slides": 1140}


def test_greys_are_turned_over_and_dark_colours_lifted() -> None:
    figure = Figure()
    axes = figure.subplots()
    (black,) = axes.plot([0, 1], [0, 1], color="black")
    (blue,) = axes.plot([0, 1], [0, 1], color="#0072B2")
    note = axes.annotate("x", (0, 0), bbox={"facecolor": "white", "edgecolor": "none"})
    themes.finish(figure, "dark", "screen")
    assert to_rgba(black.get_color()) == pytest.approx((0.93, 0.93, 0.93, 1.0))
    red, green, least, _ = to_rgba(blue.get_color())
    assert least > 0.75 > green > red  # still blue, and lighter
    box = note.get_bbox_patch()
    assert box is not None
    assert to_rgba(box.get_facecolor()) == pytest.approx((0.09, 0.09, 0.09, 1.0))
    assert to_rgba(box.get_edgecolor())[3] == 0  # none stays none


def test_figures_on_a_scale_of_colours_keep_their_ink(
    stored: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    inks: set[object] = set()
    save = Figure.savefig

    def spy(figure: Figure, path: Path, **options: object) -> None:
        inks.update(text.get_color() for axes in figure.axes for text in axes.texts)
        save(figure, path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Figure, "savefig", spy)
    draw_all(stored, run_file.read(stored), tmp_path, only=["latency-by-size"], theme="dark")
    assert inks <= {"black", "white"}


@pytest.mark.parametrize("suffix", ["svg", "pdf"])
def test_other_forms_are_dark_too(stored: Path, tmp_path: Path, suffix: str) -> None:
    (path,) = api.draw(stored, tmp_path, only=["waterfall"], suffix=suffix, theme="dark", purpose="slides")
    assert path.suffix == f".{suffix}"
    assert path.stat().st_size > 1000
    if suffix == "svg":
        assert "#171717" in path.read_text(encoding="utf-8")


def test_what_is_drawn_next_is_light_again(stored: Path, tmp_path: Path) -> None:
    api.draw(stored, tmp_path / "a", only=["throughput"], theme="dark")
    (path,) = api.draw(stored, tmp_path / "b", only=["throughput"])
    assert corner(path) == (255, 255, 255)
    with pytest.raises(InputError):
        api.draw(stored, tmp_path / "c", only=["nothing"], theme="dark")
