"""The list of kinds of work, walked: what one says of itself holds together."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from memtool.kinds import FIRST, KINDS, places_blocks, results
from memtool.kinds.sheet import OWN
from memtool.kinds.work import json_schema, kind_of, work
from memtool.measure.metrics import METRICS
from memtool.passes import CHOSEN, Pass

PACKAGE = Path(__file__).parents[3] / "memtool"


def test_the_first_kind_is_that_of_heap_events_and_compiled_for_each_strategy() -> None:
    assert FIRST == "heap"
    assert work(FIRST).key is None
    assert kernels("entry.hpp") == ["heap"]


def kernels(name: str) -> list[str]:
    native = (PACKAGE / "engine/registry" / name).read_text(encoding="utf-8")
    return re.findall(r'^    {"(\w+)", ', native, re.MULTILINE)


def test_every_kind_has_a_kernel_or_an_executor() -> None:
    assert list(KINDS) == ["heap", "program", *kernels("kernels.cpp")]


def test_every_pass_measures_something_and_those_to_choose_from_are_of_events() -> None:
    assert {run_pass for kind in KINDS for run_pass in results(kind).measures} == set(Pass)
    assert tuple(results("heap").measures) == CHOSEN
    assert [kind for kind in KINDS if places_blocks(kind, Pass)] == ["heap", "device"]
    assert all(set(results(kind).measures) <= set(CHOSEN) for kind in KINDS if kind != "program")
    assert not places_blocks("heap", (Pass.CHECK, Pass.HEAP))


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_shows_metrics_and_measures_its_own(kind: str) -> None:
    of_kind = results(kind)
    assert {metric.measured_by for metric in of_kind.metrics} <= set(of_kind.measures)
    names = {column.metric for sheet in of_kind.sheets for column in sheet.columns if not column.metric.startswith(OWN)}
    assert names <= set(METRICS)
    assert [name for name, metric in METRICS.items() if metric in of_kind.metrics] == [
        metric.name for metric in of_kind.metrics
    ]


def test_a_file_without_another_kinds_key_is_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text("programs: ls\n", encoding="utf-8")
    assert kind_of(path) == "heap"
    path.write_text("program: ls\n", encoding="utf-8")
    assert kind_of(path) == "program"
    schema = json_schema()
    while "else" in schema:
        schema = schema["else"]
    assert schema["properties"] == work("heap").json_schema()["properties"]


def test_what_uses_a_disk_or_a_device_is_measured_alone_in_every_pass() -> None:
    assert [kind for kind in KINDS if kind != "program" and work(kind).alone] == ["device", "file"]
