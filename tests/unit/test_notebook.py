"""A session in Python: a stored run as data, as pictures, compared, and as a notebook shows it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import memtool
from memtool import api
from memtool.errors import InputError
from memtool.model import Run, Status
from memtool.options import BenchOptions
from memtool.run import Outcome
from memtool.store import run_file
from tests.runs import MACHINE
from tests.unit.report.fake_run import fake_run_with_series


@pytest.fixture
def stored(tmp_path: Path) -> memtool.StoredRun:
    run_file.write(tmp_path, fake_run_with_series(tmp_path))
    return memtool.load(tmp_path)


def test_a_folder_and_its_file_are_the_same_run(stored: memtool.StoredRun) -> None:
    again = memtool.load(stored.directory / "run.json")
    assert again == stored
    with pytest.raises(InputError, match="no such file"):
        memtool.load(stored.directory / "nothing")


def test_figures_are_a_data_frame(stored: memtool.StoredRun) -> None:
    pandas = pytest.importorskip("pandas")
    frame = stored.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    glibc = frame[(frame.allocator == "glibc") & (frame.metric == "time_per_op_ns")].iloc[0]
    assert (glibc.workload, glibc.unit, glibc.value, glibc.low, glibc.high) == (
        "web requests",
        "ns",
        21.5,
        20.75,
        22.25,
    )
    pool = frame[frame.allocator == "pool"]
    assert (len(pool), pool.iloc[0].status) == (1, "excluded")
    assert pandas.isna(pool.iloc[0].value)


def test_samples_are_a_data_frame_too(stored: memtool.StoredRun) -> None:
    pytest.importorskip("pandas")
    frame = stored.to_pandas(samples=True)
    times = frame[(frame.allocator == "glibc") & (frame.metric == "time_per_op_ns")]
    assert list(times.block) == list(range(10))
    assert times["sample"].median() == 21.5


def test_allocators_are_compared_within_a_run(stored: memtool.StoredRun) -> None:
    compared = stored.compare(reference="glibc", metrics=["time_per_op_ns"])
    assert compared.verdicts["web requests", "jemalloc", "time_per_op_ns"] == "pass"
    assert compared.verdicts["web requests", "first-fit", "time_per_op_ns"] == "regression"
    assert "first-fit" in str(compared)
    assert compared._repr_markdown_().startswith("#") or "|" in compared._repr_markdown_()


def test_two_runs_are_compared(stored: memtool.StoredRun, tmp_path: Path) -> None:
    run = replace(stored.run, machine={**stored.run.machine, **MACHINE})
    run_file.write(stored.directory, run)
    compared = memtool.load(stored.directory).compare(memtool.load(stored.directory), metrics=["time_per_op_ns"])
    # Two runs are not paired: sampled figures advise.
    assert compared.verdicts["web requests", "slab", "time_per_op_ns"] == "advice"


def test_a_picture_stays_in_the_notebook(stored: memtool.StoredRun) -> None:
    picture = stored.plot("throughput")
    assert [file.name for file in picture.files] == ["web_requests-throughput.svg"]
    assert picture._repr_html_().startswith('<img alt="web_requests-throughput" src="data:image/svg+xml;base64,')
    with pytest.raises(InputError, match="no picture 'latncy'; did you mean 'latency'"):
        stored.plot("latncy")


def test_a_notebook_shows_the_answer_and_the_tables(stored: memtool.StoredRun) -> None:
    page = stored._repr_html_()
    assert page.index("is fastest: 9.50 ns an operation") < page.index("Speed, in ns")
    assert "<script" not in page
    assert str(stored) == api.render(stored.run)


def test_a_session_without_a_notebook_shows_a_line(stored: memtool.StoredRun) -> None:
    assert repr(stored) == f"<memtool run of web requests: 10 cells in {stored.directory}>"
    compared = stored.compare(reference="glibc", metrics=["peak_resident_bytes"])
    assert repr(compared) == f"<memtool comparison of {stored.directory}: 9 verdicts>"


def test_the_page_is_written_where_it_is_told(stored: memtool.StoredRun, tmp_path: Path) -> None:
    assert stored.report(tmp_path / "r.html") == tmp_path / "r.html"


def test_what_bench_is_given_is_what_the_command_would_have_asked_for(
    stored: memtool.StoredRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[BenchOptions] = []

    def measure(options: BenchOptions) -> Outcome:
        asked.append(options)
        return Outcome(stored.run, stored.directory)

    monkeypatch.setattr(api, "bench", measure)
    assert (
        memtool.bench("w.yaml", allocators=["glibc", "tlsf:subdivisions=16|32"], blocks=3, output=str(tmp_path))
        == stored
    )
    assert memtool.bench([Path("a.yaml"), "b"], "glibc") == stored
    assert memtool.bench("w.yaml", passes=("footprint", "check")) == stored
    assert memtool.bench("w.yaml", passes="footprint, check") == stored
    assert [options.passes for options in asked[2:]] == [(api.Pass.CHECK, api.Pass.FOOTPRINT)] * 2
    with pytest.raises(InputError, match="unknown pass 'footprnt'; did you mean 'footprint'"):
        memtool.bench("w.yaml", passes="footprnt")
    memtool.bench("w.yaml", regions="anonymous, populate", threads=2)
    memtool.bench("w.yaml", regions=["anonymous"], threads=(1, 2))
    assert [options.regions for options in asked[4:]] == [("anonymous", "populate"), ("anonymous",)]
    assert [options.threads for options in asked[4:]] == [(2,), (1, 2)]
    first, second = asked[:2]
    assert (first.workloads, first.allocators, first.blocks) == (("w.yaml",), "glibc,tlsf:subdivisions=16|32", 3)
    assert (first.output, first.draw_plots) == (tmp_path, False)
    assert (second.workloads, second.allocators) == (("a.yaml", "b"), "glibc")


def test_importing_memtool_loads_nothing_that_a_measured_process_must_not_have() -> None:
    script = "import sys, memtool; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in loaded if name.startswith("memtool.")]
    with pytest.raises(AttributeError, match="no attribute 'bnech'"):
        memtool.bnech  # noqa: B018


def test_a_failed_cell_keeps_its_status(stored: memtool.StoredRun) -> None:
    pytest.importorskip("pandas")
    run: Run = stored.run
    failed = {cell.cell.allocator for cell in run.cells if cell.status is Status.FAILED}
    frame = stored.to_pandas()
    assert set(frame[frame.status == "failed"].allocator) == failed == {"buddy"}
