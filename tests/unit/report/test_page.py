"""The page of a report: one file, whole, and safe whatever names are in it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memtool import api
from memtool.errors import InputError
from memtool.model import CellResult, Run, Status
from memtool.report.page import page
from memtool.report.page.content import Stored
from memtool.store import run_file
from tests.conftest import ROOT
from tests.runs import MACHINE
from tests.unit.report.fake_run import fake_run_with_series

VENDOR = ROOT / "memtool/report/page/vendor"
HOSTILE = "</script><img src=x onerror=alert(1)>&\"'"


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    run_file.write(tmp_path, fake_run_with_series(tmp_path))
    return tmp_path


def charts_of(text: str) -> list[dict[str, Any]]:
    """Return the charts in a page, as its script unpacks them."""
    packed = re.findall(r'<script type="text/plain" data-of="[^"]*">([^<]*)</script>', text)
    return [chart for part in packed for chart in json.loads(zlib.decompress(base64.b64decode(part)))]


def test_it_is_one_file_that_loads_nothing(stored: Path) -> None:
    path = api.report([stored])
    assert path == stored / "report.html"
    text = path.read_text(encoding="utf-8")
    without_scripts = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    loaded = re.findall(r'<(?:script|link|img|iframe|source)[^>]*\s(?:src|href)="([^"]*)"', without_scripts)
    assert set(loaded) == {"data:,"}
    assert "@import" not in text.partition("</style>")[0]
    assert path.stat().st_size < 1_500_000


def test_the_answer_comes_first_and_what_failed_last(stored: Path) -> None:
    text = api.report([stored]).read_text(encoding="utf-8")
    answer = "segregated-pool:spacing=3,chunk=1048576 is fastest: 9.50 ns an operation"
    places = [
        text.index(words) for words in (answer, "<caption>Speed, in ns", "Machine and run</h2>", "killed by SIGSEGV")
    ]
    assert places[0] == min(places)
    assert text.rindex("killed by SIGSEGV") > text.index("Machine and run</h2>")


def test_a_figure_is_sorted_by_its_value_and_what_has_none_comes_last(stored: Path) -> None:
    text = api.report([stored]).read_text(encoding="utf-8")
    row = text[text.index('<th scope="row">glibc</th>', text.index("<caption>Memory")) :].partition("</tr>")[0]
    assert '<td data-order="1e+300">n/a</td>' in row
    assert '<td data-order="1.02236e+07">9.75</td>' in row


def test_names_of_allocators_are_text_and_nothing_else(stored: Path) -> None:
    run = run_file.read(stored)
    first = run.cells[0]
    renamed = replace(first, cell=replace(first.cell, allocator=HOSTILE))
    run_file.write(stored, replace(run, cells=(renamed, *run.cells[1:])))
    text = api.report([stored]).read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert "<img src=x" not in text
    styles = re.search(r'<script type="application/json" id="styles">(.*?)</script>', text, re.DOTALL)
    assert styles is not None
    assert HOSTILE in json.loads(styles[1])
    assert any(bar["label"] == HOSTILE for chart in charts_of(text) if chart["form"] == "bars" for bar in chart["bars"])


def test_only_some_allocators_and_several_runs(stored: Path, tmp_path: Path) -> None:
    run = run_file.read(stored)
    run_file.write(stored, replace(run, machine={**run.machine, **MACHINE}))
    path = api.report([stored, stored], tmp_path / "both.html", allocators=["slab", "glibc"])
    text = path.read_text(encoding="utf-8")
    assert "jemalloc" not in text.partition("<footer>")[0]
    assert {
        change["label"] for chart in charts_of(text) if chart["form"] == "changes" for change in chart["changes"]
    } == {
        "slab",
        "glibc",
    }


def test_comparisons_stand_around_the_margin(stored: Path) -> None:
    text = api.report([stored], reference="glibc").read_text(encoding="utf-8")
    (chart,) = [chart for chart in charts_of(text) if chart["form"] == "changes"]
    change = next(one for one in chart["changes"] if (one["label"], one["what"]) == ("jemalloc", "time_per_op_ns"))
    # 14.25 against 21.5, each with the same offsets in its blocks.
    assert (round(change["change"], 1), change["limit"], change["verdict"]) == (-33.7, 2.0, "faster")
    assert change["low"] < change["change"] < change["high"]


def test_a_page_too_large_is_drawn_less_finely(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = api.report([stored]).read_text(encoding="utf-8")
    monkeypatch.setattr(page, "MOST_BYTES", len(whole.encode()) - 1)
    coarse = api.report([stored]).read_text(encoding="utf-8")
    assert len(coarse) < len(whole)
    columns = [chart["columns"] for text in (whole, coarse) for chart in charts_of(text) if chart["form"] == "strips"]
    assert columns[0] > columns[1]


def test_a_run_of_which_nothing_was_measured_has_a_page(tmp_path: Path) -> None:
    def left_out(cell: CellResult) -> CellResult:
        return replace(cell, status=Status.EXCLUDED, reason="does not fit", metrics={}, series={}, proof={})

    run = fake_run_with_series(tmp_path)
    empty: Run = replace(run, cells=tuple(map(left_out, run.cells)))
    text = page.write(tmp_path / "r.html", [Stored(empty, tmp_path, "run")]).read_text(encoding="utf-8")
    assert "Nothing was measured that could be ranked." in text
    assert "does not fit" in text


def test_a_run_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        api.report([tmp_path / "nothing"])


def test_what_the_page_carries_is_what_its_list_says() -> None:
    listed = dict(re.findall(r"^\| `([^`]+)` .*`([0-9a-f]{64})` \|$", (VENDOR / "README.md").read_text(), re.MULTILINE))
    scripts = {path.name for path in VENDOR.glob("*.js")}
    assert set(listed) == scripts
    assert {name: hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() for name in scripts} == listed
    assert all((VENDOR / f"{name.removesuffix('.min.js')}.LICENSE").is_file() for name in scripts)
