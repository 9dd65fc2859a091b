"""``memtool list``: everything that can be named, for a stranger and for a script."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from memtool.allocators.registry import DEFAULT
from memtool.allocators.system_libraries import SYSTEM_ALLOCATORS
from memtool.cli import run
from memtool.measure.metrics import METRICS
from memtool.workload.trace import shipped, shipped_recordings

WHAT = ("allocators", "adaptors", "workloads", "regions", "metrics", "importers")


@pytest.fixture
def listed(capsys: pytest.CaptureFixture[str]) -> Any:  # what JSON holds
    def read(what: str) -> Any:
        assert run(["list", what, "--format", "json"]) == 0
        return json.loads(capsys.readouterr().out)

    return read


def table(what: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert run(["list", what]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("what", WHAT)
def test_a_table_fits_and_names_what_the_json_names(what: str, listed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lines = table(what, capsys)
    assert max(map(len, lines)) <= (100 if what in ("allocators", "adaptors") else 120)
    names = {line.split()[0].removeprefix("+") for line in lines if line.strip()}
    assert {row["name"] for row in listed(what)} <= names


def test_allocators(listed: Any) -> None:
    rows = {row["name"]: row for row in listed("allocators")}
    assert set(DEFAULT) | set(SYSTEM_ALLOCATORS) <= set(rows)
    assert "malloc" not in rows
    assert all(row["summary"] and row["source"] and row["complexity"] and row["when"] for row in rows.values())
    assert rows["pool"]["group"] == "@pools"
    assert rows["null"]["group"] is None
    block = next(parameter for parameter in rows["pool"]["parameters"] if parameter["name"] == "block")
    assert {key: block[key] for key in ("default", "minimum", "maximum", "unit", "range")} == {
        "default": "64",
        "minimum": 1,
        "maximum": 1 << 20,
        "unit": "bytes",
        "range": "1 to 1MiB",
    }


def test_the_table_of_allocators_stands_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    lines = table("allocators", capsys)
    headings = [line.strip() for line in lines if line.startswith("@")]
    assert headings[0] == "@system"
    assert {"@pools", "@arenas", "@free-lists", "@real-time"} <= set(headings)
    pools, arenas = lines.index("@pools"), lines.index("@arenas")
    pool = next(at for at in range(pools, arenas) if lines[at].startswith(" pool "))
    assert [" ".join(line.split()) for line in lines[pool : pool + 4]] == [
        "pool is Blocks of one size; an intrusive LIFO list holds the free ones.",
        "cost allocate O(1), deallocate O(1): one load and one store each",
        "use many objects of one size, such as nodes",
        "takes block=64 (1 to 1MiB); chunk=64KiB (4KiB to 1GiB)",
    ]


def test_what_is_not_installed_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "memtool.allocators.registry.why_missing", lambda name: f"not installed; get it with: get {name}"
    )
    assert "get jemalloc" in " ".join(table("allocators", capsys))


def test_adaptors(listed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rows = {row["name"]: row for row in listed("adaptors")}
    assert all(row["summary"] and row["source"] and row["complexity"] and row["when"] for row in rows.values())
    assert rows["lock"]["threads"] == "any"
    assert rows["virtual"]["threads"] == "as below"
    # They stand under the allocators too: what can be written after -a is one page.
    assert {f"+{name}" for name in rows} <= {line.split()[0] for line in table("allocators", capsys) if line.strip()}


def test_workloads(listed: Any) -> None:
    rows = {row["name"]: row for row in listed("workloads")}
    assert set(rows) == set(shipped()) | set(shipped_recordings())
    assert rows["quickstart"]["source"] == "objects"
    assert rows["recorded/minisat"]["source"] == "recording"
    assert all(row["description"] for row in rows.values())


def test_what_a_recording_is_needs_what_reads_it(listed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    rows = {row["name"]: row for row in listed("workloads")}
    assert rows["recorded/minisat"]["description"] == (
        "trace files need pyarrow, which is not installed: pip install 'memtool-bench[traces]'"
    )


def test_regions(listed: Any) -> None:
    assert [row["name"] for row in listed("regions")] == [
        "anonymous",
        "populate",
        "hugepages",
        "locked",
        "file-private",
        "file-shared",
        "shared-memory",
    ]


def test_a_region_that_is_not_there_says_what_mends_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("memtool.allocators.regions.why_unavailable", lambda kind: "off; mend it")
    assert sum("off; mend it" in line for line in table("regions", capsys)) == 7


def test_importers(listed: Any) -> None:
    rows = {row["name"]: row for row in listed("importers")}
    assert list(rows) == [
        "memtool",
        "plain",
        "minimalloc",
        "malloc-trace-utils",
        "memray",
        "heaptrack",
        "android",
        "mtrace",
        "valgrind",
        "logalloc",
        "malloc-lab",
        "wee-alloc",
        "jemalloc",
        "jemalloc-stats",
        "gperftools",
        "pprof",
        "calls",
    ]
    assert rows["minimalloc"]["begins"] == "id,lower,upper,size"
    assert "ASPLOS 2023" in rows["minimalloc"]["source"]


def test_metrics(listed: Any) -> None:
    rows = {row["name"]: row for row in listed("metrics")}
    assert list(rows) == list(METRICS)
    assert rows["time_per_op_ns"]["unit"] == "ns"
    assert rows["time_per_op_ns"]["direction"] == "lower"
