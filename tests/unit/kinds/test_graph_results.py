"""What becomes of samples of graphs: figures by hand from ticks and processor time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from memtool.kinds.graph import words
from memtool.kinds.graph.metrics import UTILISATIONS, WINDOWS_NS
from memtool.kinds.graph.results import CAUSES, RESULTS, Pauses
from memtool.model import Cell, CellResult, Determinism, Metric, Status, TraceInfo
from memtool.passes import Clock, Pass, Sample
from memtool.passes.declaration import CellSamples
from memtool.passes.layout import Asked
from memtool.passes.records import record_from
from memtool.store.series import History

TRACE = TraceInfo("w", 1, "0" * 32, operations=100, threads=1, peak_live_bytes=10, kind="graph")
LATENCY = RESULTS.measures[Pass.LATENCY]


def pauses(**changed: Any) -> Pauses:
    sound = {
        "pauses": 3,
        "maximum": 60,
        "pause_ticks": 100,
        "overtaken": None,
        "elapsed_ticks": 1000,
        "utilisation": [None] * len(WINDOWS_NS),
        "replay_ns": 900,
        "paused_ns": 120,
        "guarded_ns": 700,
        "unguarded_ns": 650,
        "mutator_ns": 400,
        "course": [(100, 20, "nursery", 9), (300, 60, "whole heap", 31), (700, 20, "nursery", 10)],
        "counts": [(20, 2), (60, 1)],
    }
    return record_from(Pauses, sound | changed)


def taken(*payloads: Pauses) -> list[Sample]:
    return [
        Sample(Cell("w", "generational"), block, Pass.LATENCY, Status.OK, None, payload)
        for block, payload in enumerate(payloads)
    ]


def figures_of(payload: Pauses) -> dict[str, float | None]:
    samples = CellSamples(own=taken(payload), null=(), alone=(), trace=TRACE, clock=Clock(0.5, "tsc"))
    return {name: figure.by_block[0][1] for name, figure in LATENCY.summarise(samples).figures.items()}


def split_of(figures: dict[str, float | None]) -> list[float | None]:
    return [figures[f"{part}_ns_per_op"] for part in ("mutator", "allocator", "barrier", "collector")]


def test_the_parts_of_processor_time_add_up_to_that_of_the_replay() -> None:
    # 900 ns of 100 operations: 400 of the program, 50 of barriers, 120 in pauses, and what is left.
    assert split_of(figures_of(pauses())) == [4.0, 3.3, 0.5, 1.2]


def test_who_has_no_barriers_pays_none_and_who_collects_nothing_has_no_such_part() -> None:
    assert split_of(figures_of(pauses(guarded_ns=None, unguarded_ns=None))) == [4.0, 3.8, 0.0, 1.2]
    freeing = figures_of(pauses(guarded_ns=None, unguarded_ns=None, paused_ns=None))
    assert split_of(freeing) == [4.0, 5.0, None, None]


def test_without_room_for_controls_the_collector_alone_is_known() -> None:
    figures = figures_of(pauses(guarded_ns=None, unguarded_ns=None, mutator_ns=None))
    assert split_of(figures) == [None, None, None, 1.2]


def test_pauses_are_in_nanoseconds_and_utilisation_in_shares() -> None:
    figures = figures_of(pauses(utilisation=[250_000] * len(WINDOWS_NS)))
    assert (figures["pause_p50_ns"], figures["pause_max_ns"], figures["pause_share"]) == (10.0, 30.0, 0.1)
    assert {figures[name] for name in UTILISATIONS} == {0.25}


def test_series_have_the_pauses_of_the_first_sample_and_the_lengths_of_all() -> None:
    history = History.of(taken(pauses(), pauses(course=[(5, 20, "nursery", 9)])), 0.5)
    assert list(history.pauses) == [(50, 10, "nursery", 9), (150, 30, "whole heap", 31), (350, 10, "nursery", 10)]
    assert history.histograms == {"pause": [(10.0, 10.5, 4), (30.0, 30.5, 2)]}


def test_a_worker_counts_its_pauses_and_numbers_their_causes() -> None:
    course = {"length": 2, "numbers": [7, 8, 0, 9, 10, 11, 5, 12, 0, 0, 0, 0]}
    held = {"utilisation": [], "course": course}
    assert LATENCY.unpack(held, {}, Asked())["course"] == [(7, 8, CAUSES[0], 9), (10, 11, CAUSES[5], 12)]


def remarks_on(shape: str, **figures: int) -> list[str]:
    info = replace(TRACE, facts={"shape": shape, "frees_at": "death"})
    metrics = {name: Metric("B", Determinism.EXACT, (value,), (0,), value) for name, value in figures.items()}
    cell = CellResult(Cell("w", "reference-counting"), Status.OK, None, {}, metrics)
    return list(words.remarks([cell], info))


def test_what_roots_alone_do_not_cover_is_said() -> None:
    assert [remark[:11] for remark in remarks_on("events")] == ["An explicit", "Roots only:"]
    assert "what the program's references would cost is not covered" in remarks_on("events")[1]


def test_leaks_and_forced_collections_are_explained_where_there_are_any() -> None:
    assert len(remarks_on("young", leaked_bytes=0, forced_collections=0)) == 1
    assert remarks_on("young", leaked_bytes=96, forced_collections=2)[1:] == [
        "forced: memory was out where no collection was to begin, and one began.",
        "leaked: garbage in cycles, which reference counting never reclaims unless it looks for them (cycles=).",
    ]
