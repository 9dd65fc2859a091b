"""The list of passes: each declared once, whole, and summarised to metrics that name it."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from memtool.measure.metrics import METRICS
from memtool.model import Cell, Status, TraceInfo
from memtool.passes import CHOSEN, PACE, Clock, Figures, Pass, Phase, Sample, passes_from
from memtool.passes.declaration import CellSamples
from memtool.passes.records import plain, record_from
from tests.payloads import MEASURES, figures
from tests.runs import trace

CELL = Cell("w", "a")
PACKAGE = Path(__file__).parents[3] / "memtool"
TRACE: TraceInfo = dataclasses.replace(trace(), memory_limit=1 << 20, packing_bytes=100_000)


def samples(run_pass: Pass) -> CellSamples:
    own = [Sample(CELL, block, run_pass, Status.OK, None, figures(run_pass)) for block in (0, 1)]
    return CellSamples(own, own, own, TRACE, Clock(0.5, "counter"))


def test_a_pass_is_its_name() -> None:
    assert [str(run_pass) for run_pass in Pass] == [
        "check", "throughput", "latency", "footprint", "counters", "heap", "calls", "program"
    ]  # fmt: skip
    assert passes_from(("calls", "check")) == (Pass.CHECK, Pass.CALLS)
    assert Pass("heap") is Pass.HEAP
    assert [run_pass for run_pass in Pass if run_pass.declared.name != run_pass] == []


def test_the_engine_lists_the_same_passes() -> None:
    native = (PACKAGE / "engine/passes/passes.hpp").read_text(encoding="utf-8")
    assert sorted(re.findall(r'^    {"(\w+)", sizeof', native, re.MULTILINE)) == sorted(CHOSEN)
    for run_pass in CHOSEN:
        assert (PACKAGE / f"engine/passes/{run_pass}.hpp").is_file()
        assert (PACKAGE / f"passes/{run_pass}.py").is_file()


def test_one_pass_sets_the_pace_and_is_timed() -> None:
    assert [run_pass for run_pass in Pass if run_pass.declared.sets_pace] == [PACE]
    assert PACE.declared.phase is Phase.TIMED
    assert figures(PACE).replay_ticks == 1000


@pytest.mark.parametrize("run_pass", list(Pass))
def test_a_pass_has_a_record_of_its_own(run_pass: Pass) -> None:
    kind = MEASURES[run_pass].figures
    assert issubclass(kind, Figures)
    assert kind not in {MEASURES[item].figures for item in Pass if item is not run_pass}
    whole = plain(figures(run_pass))
    assert record_from(kind, whole) == figures(run_pass)
    for name in whole:
        with pytest.raises(ValueError, match=f"^{name}: field required$"):
            record_from(kind, {key: value for key, value in whole.items() if key != name})
    with pytest.raises(ValueError, match=r"^surplus: unexpected keyword argument$"):
        record_from(kind, {**whole, "surplus": 1})


@pytest.mark.parametrize("run_pass", list(Pass))
def test_a_pass_is_summarised_to_metrics_that_it_measures_or_to_a_proof(run_pass: Pass) -> None:
    summary = MEASURES[run_pass].summarise(samples(run_pass))
    assert summary.figures or summary.proof
    for name, figure in summary.figures.items():
        assert METRICS[name].measured_by is run_pass, name
        assert [block for block, _ in figure.by_block] in ([0, 1], [])


@pytest.mark.parametrize("run_pass", list(Pass))
def test_a_pass_that_was_not_taken_comes_to_nothing(run_pass: Pass) -> None:
    others = [sample for other in Pass if other is not run_pass for sample in samples(other).own]
    failed = Sample(CELL, 0, run_pass, Status.FAILED, "killed")
    summary = MEASURES[run_pass].summarise(dataclasses.replace(samples(run_pass), own=[*others, failed]))
    assert (dict(summary.figures), list(summary.notes), dict(summary.proof)) == ({}, [], {})
