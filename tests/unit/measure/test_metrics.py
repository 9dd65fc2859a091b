"""The registry of metrics against its documentation."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from memtool.kinds.heap.metrics import METRICS as METRICS_OF_HEAP
from memtool.measure.metrics import METRICS

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"
CONTRACT = {
    "time_per_op_ns",
    "net_time_per_op_ns",
    *(
        f"{kind}_{share}_ns"
        for kind in ("allocate", "deallocate", "reallocate")
        for share in ("p50", "p90", "p99", "p999", "p9999", "max")
    ),
    "first_touch_ns",
    "peak_live_bytes",
    "peak_granted_bytes",
    "peak_footprint_bytes",
    "peak_resident_bytes",
    "end_resident_bytes",
    "internal_fragmentation",
    "external_fragmentation",
    "footprint_mean_ratio",
    "footprint_at_peak_live_ratio",
    "footprint_at_peak_ratio",
    "footprint_peak_ratio",
    "load_ratio",
    "packing_ratio",
    "metadata_bytes",
    "holes_ratio",
    "resident_after_drain_0ms_bytes",
    "resident_after_drain_100ms_bytes",
    "resident_after_drain_1s_bytes",
    "resident_after_drain_5s_bytes",
    "minor_faults",
    "major_faults",
}


def test_no_metric_of_the_contract_is_lost() -> None:
    assert set(METRICS) >= CONTRACT


def test_names_are_unique() -> None:
    counts = Counter(metric.name for metric in METRICS_OF_HEAP)
    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_documented_with_its_unit(name: str) -> None:
    rows = [line for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}` ")]
    assert len(rows) == 1, f"{name} needs one row in docs/metrics.md"
    cells = [cell.strip() for cell in rows[0].strip("|").split("|")]
    assert cells[1] == METRICS[name].unit


def test_the_document_has_no_metric_that_does_not_exist() -> None:
    documented = re.findall(r"^\| `([a-z_0-9]+)` ", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(documented) - set(METRICS) == set()


@pytest.mark.parametrize("name", METRICS)
def test_a_name_ends_with_its_unit(name: str) -> None:
    suffix = {"ns": "_ns", "B": "_bytes"}.get(METRICS[name].unit, "")
    assert name.removesuffix("_per_op").endswith(suffix)
    assert METRICS[name].meaning


def test_what_can_be_negative_decides_nothing() -> None:
    assert not METRICS["net_time_per_op_ns"].gated
    assert METRICS["net_time_per_op_ns"].by_difference
    assert METRICS["peak_live_bytes"].direction == "neither"
