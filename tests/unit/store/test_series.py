"""Series beside run.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from memtool.errors import InputError
from memtool.model import Cell, CellResult, Status
from memtool.passes import Pass, Sample
from memtool.store import series
from memtool.store.series import History
from tests.payloads import figures

CELL = Cell("churn", "pool:block=64")
COLUMNS: Mapping[str, Sequence[int | None]] = {"clock": (0, 10), "footprint_bytes": (None, 4096)}


def sample(run_pass: Pass, payload: Mapping[str, object], status: Status = Status.OK, block: int = 0) -> Sample:
    return Sample(CELL, block, run_pass, status, None, figures(run_pass, **payload))


def latency(*buckets: tuple[int, int], status: Status = Status.OK) -> Sample:
    kinds = {"allocate": {"maximum": 257, "buckets": list(buckets)}, "floor": {"maximum": 9, "buckets": [(1, 1)]}}
    return sample(Pass.LATENCY, {"histograms": kinds}, status)


def result(cell: Cell = CELL) -> CellResult:
    return CellResult(cell, Status.OK, None, {}, {}, {})


def test_histograms_of_all_samples_are_merged_in_nanoseconds() -> None:
    outcome = History.of([latency((10, 3), (256, 1)), latency((10, 2))], 0.5)
    # Bucket 256 counts 256 and 257 ticks: from 128 ns up to 129.
    assert outcome.histograms["allocate"] == [(5.0, 5.5, 5), (128.0, 129.0, 1)]
    assert outcome.histograms["floor"] == [(0.5, 1.0, 2)]
    assert outcome.footprint == {}


def test_the_last_band_ends_with_the_exact_maximum() -> None:
    # Bucket 506 counts 1,000 to 1,003 ticks, and nothing took more than 1,001.
    kinds = {"allocate": {"maximum": 1_001, "buckets": [(506, 2)]}}
    assert History.of([sample(Pass.LATENCY, {"histograms": kinds})], 1.0).histograms["allocate"] == [(1000, 1002, 2)]


def test_the_footprint_is_that_of_the_first_sample() -> None:
    later = {"series": {"clock": (1,)}}
    outcome = History.of([sample(Pass.FOOTPRINT, {"series": COLUMNS}), sample(Pass.FOOTPRINT, later, block=1)], 1.0)
    assert outcome == History(COLUMNS, {})


def test_failed_samples_are_in_no_series() -> None:
    failed = [latency((10, 3), status=Status.FAILED), sample(Pass.FOOTPRINT, {}, Status.FAILED)]
    assert History.of(failed, 1.0) == History({}, {})


def detailed(maximum: int, *buckets: tuple[int, int], slow: int = 0) -> Sample:
    """Return a latency sample of allocations of 17 to 64 bytes, in the second of three slices."""
    none: dict[str, object] = {"maximum": 0, "buckets": []}
    own = {"maximum": maximum, "buckets": list(buckets)}
    slices = {"maximum": [0, maximum, 0], "slow": [[0, slow, 0], [0, slow, 0], [0, 0, 0]]}
    histograms = {"allocate": own, "floor": {"maximum": 1, "buckets": [(1, 1)]}}
    payload = {
        "histograms": histograms,
        "by_size": {"allocate": [none, own, *[none] * 7]},
        "slices": {"allocate": slices},
    }
    return sample(Pass.LATENCY, payload)


def test_latency_by_size_and_over_time_is_merged() -> None:
    outcome = History.of([detailed(10, (10, 3)), detailed(400, (10, 1), (200, 1), slow=2), detailed(20, (20, 1))], 0.5)
    assert outcome.latency_by_size == {
        "allocate": [
            {
                "largest_bytes": 64,
                "operations": 6,
                "maximum_ns": 200.0,
                "histogram": [(5.0, 5.5, 4), (10.0, 10.5, 1), (100.0, 100.5, 1)],
            }
        ]
    }
    # The median over samples, in which what disturbed one of three does not show; counts add up.
    assert outcome.latency_over_time == {
        "allocate": {
            "maximum_ns": [None, 10.0, None],
            "slow": {"1000": [0, 2, 0], "10000": [0, 2, 0], "100000": [0, 0, 0]},
        }
    }


def test_what_was_written_is_read(tmp_path: Path) -> None:
    history = History(COLUMNS, {"allocate": [(5.0, 5.5, 5)]})
    (written,) = series.write_all(tmp_path, [result()], {CELL: history})
    name = "series/churn_pool_block=64_40c122eb.json"
    assert written.series == {"footprint": name, "histograms": name}
    assert (tmp_path / name).is_file()
    read = series.read(tmp_path, written)
    assert read.footprint == {"clock": [0, 10], "footprint_bytes": [None, 4096]}
    assert [tuple(row) for row in read.histograms["allocate"]] == [(5.0, 5.5, 5)]


def test_only_the_parts_that_there_are_are_named(tmp_path: Path) -> None:
    (written,) = series.write_all(tmp_path, [result()], {CELL: History(COLUMNS, {})})
    assert list(written.series) == ["footprint"]


@pytest.mark.parametrize("histories", [{}, {CELL: History({}, {})}])
def test_a_cell_without_series_has_no_file(histories: dict[Cell, History], tmp_path: Path) -> None:
    (written,) = series.write_all(tmp_path, [result()], histories)
    assert written == result()
    assert list((tmp_path / "series").iterdir()) == []
    assert series.read(tmp_path, written) == History({}, {})


@pytest.mark.parametrize("content", [None, "", '{"footprint": '])
def test_a_file_that_is_missing_or_damaged(content: str | None, tmp_path: Path) -> None:
    (written,) = series.write_all(tmp_path, [result()], {CELL: History(COLUMNS, {})})
    path = tmp_path / written.series["footprint"]
    path.unlink()
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=r"is missing or damaged, and run\.json names it"):
        series.read(tmp_path, written)


def test_file_names_tell_cells_apart_and_are_safe_everywhere() -> None:
    cells = [
        Cell("churn", "pool:block=64"),
        Cell("churn", "pool:block=64", "hugepages"),
        Cell("churn", "pool:block=6"),
        Cell("churn 2", "pool:block=64"),
        Cell("churn", "../up/libmine.so"),
    ]
    assert [series.slug(cell) for cell in cells] == [
        "churn_pool_block=64_40c122eb",
        "churn_pool_block=64_62987092",
        "churn_pool_block=6_025990e9",
        "churn_2_pool_block=64_275d15ec",
        "churn_.._up_libmine.so_c651b609",
    ]


def test_names_that_are_alike_do_not_share_a_file() -> None:
    alike = [
        Cell("w", "./lib_a.so"),
        Cell("w", "./lib/a.so"),
        Cell("w", "a", "hugepages"),
        Cell("w_a", "hugepages"),
        Cell("w", "a", mode="parallel"),
        Cell("w", "a"),
    ]
    assert len({series.slug(cell) for cell in alike}) == 6


def test_names_of_files_are_bounded_whatever_a_column_is_called() -> None:
    # Thirty adaptors, or a deep path: a measured run ended with "File name too long" and no run.json.
    deep = "./" + "deep/" * 80 + "libmine.so" + "+lock" * 30
    names = {series.slug(Cell("churn", label)) for label in (deep, deep + "+pad", "../../etc/passwd", "a/b", "a b")}
    assert len(names) == 5
    for name in names:
        assert len(f"{name}.json") <= 120
        assert "/" not in name
        assert not name.startswith(".")
