"""From samples written by hand to figures worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from memtool.model import Cell, CellResult, Determinism, Status, TraceInfo
from memtool.passes import Clock, Noise, Pass, Sample
from memtool.passes.latency import Latency, OpenLoop
from memtool.stats.summarise import summarise_cell
from tests.payloads import OWN, PEAK, figures, heap_map

CELL = Cell("churn", "tlsf")
CLOCK = Clock(0.5, "counter")
TRACE = TraceInfo(
    name="churn",
    source="churn.yaml",
    seed=42,
    event_hash="0" * 32,
    threads=1,
    operations=1000,
    epilogue_operations=10,
    allocations=505,
    reallocations=0,
    slots=32,
    peak_live_bytes=100_000,
    peak_live_objects=32,
    total_bytes=1_000_000,
    smallest_size=16,
    largest_size=4096,
    largest_alignment=16,
    scopes=0,
    first_not_lifo=2,
    first_not_fifo=3,
    touch="first",
)
Pairs = Sequence[tuple[int, int]]


def sample(run_pass: Pass, payload: Mapping[str, Any], block: int = 0, cell: Cell = CELL) -> Sample:
    return Sample(cell, block, run_pass, Status.OK, None, figures(run_pass, **payload))


def timing(*ticks: int, block: int = 0) -> Sample:
    return sample(Pass.THROUGHPUT, {"body_ticks": list(ticks)}, block)


def latency(block: int = 0, floor: Pairs = ((10, 100),), floor_maximum: int | None = None, **kinds: Pairs) -> Sample:
    most = max((ticks for ticks, _ in floor), default=0) if floor_maximum is None else floor_maximum
    of_nothing = {"maximum": most, "buckets": floor}
    histograms = {"floor": of_nothing, "touch_floor": of_nothing}
    for kind, pairs in kinds.items():
        histograms[kind] = {"maximum": max(ticks for ticks, _ in pairs) + 5, "buckets": pairs}
    return sample(Pass.LATENCY, {"histograms": histograms}, block)


def footprint(block: int = 0, peak: Mapping[str, Any] | None = None, **changed: Any) -> Sample:
    return sample(Pass.FOOTPRINT, {**changed, "at_peak_live": {**PEAK, **(peak or {})}}, block)


def summarise(
    *samples: Sample, null: Sequence[Sample] = (), trace: TraceInfo = TRACE, exact: bool = True
) -> CellResult:
    return summarise_cell(CELL, samples, null, trace, CLOCK, exact_expected=exact)


def values(result: CellResult, *names: str) -> list[float | None]:
    return [result.metrics[name].value for name in names]


# What failed


def dead(allocator: str, *, died: bool = True, run_pass: Pass = Pass.COUNTERS) -> Sample:
    return Sample(Cell("w", allocator), 0, run_pass, Status.FAILED, "no valgrind", died=died)


def test_what_the_null_strategy_dies_of_too_is_no_fault_of_the_allocator() -> None:
    result = summarise(dead("a"), null=[dead("null")])
    assert (result.status, result.proof["harness_fault"]) == (Status.FAILED, True)
    assert result.reason == (
        "counters pass, block 0: no valgrind (no fault of the allocator: the null strategy fails in this pass too)"
    )


@pytest.mark.parametrize(
    "null", [[], [dead("null", run_pass=Pass.THROUGHPUT)], [dead("null", died=False)]], ids=["none", "pass", "answered"]
)
def test_what_the_allocator_alone_dies_of_is_its_own(null: Sequence[Sample]) -> None:
    result = summarise(dead("a"), null=null)
    assert "harness_fault" not in result.proof
    assert result.reason == "counters pass, block 0: no valgrind"


def test_what_the_worker_says_is_no_fault_of_the_allocator_is_none() -> None:
    result = summarise(replace(dead("a"), of_harness=True))
    assert (result.status, result.fault, result.proof["harness_fault"]) == (Status.FAILED, "harness", True)
    assert result.reason == "counters pass, block 0: no valgrind (no fault of the allocator)"


def test_a_machine_on_which_null_does_not_end_either_says_nothing_of_the_allocator() -> None:
    late = [replace(dead(name, died=False), timed_out=True) for name in ("a", "null")]
    assert summarise(late[0], null=[late[1]]).fault == "harness"
    assert summarise(late[0]).fault == "allocator"


def test_what_dies_under_the_instrument_costs_that_pass_only() -> None:
    lost = replace(dead("a"), under="valgrind")
    result = summarise(lost, timing(90_000))
    assert (result.status, result.reason) == (Status.OK, None)
    assert "instructions were not counted: no valgrind" in result.notes
    assert values(result, "time_per_op_ns") == [45.0]
    # Where nothing can be counted, it is no matter of the allocator.
    result = summarise(lost, null=[dead("null")])
    assert (result.status, result.proof["harness_fault"]) == (Status.FAILED, True)


# Throughput


def test_gross_time_is_the_fastest_replay_of_a_process_per_operation() -> None:
    metric = summarise(timing(90_000, 60_000, 70_000)).metrics["time_per_op_ns"]
    assert metric.samples == (30.0,)
    assert (metric.value, metric.low, metric.high) == (30.0, None, None)
    assert (metric.unit, metric.determinism) == ("ns", Determinism.SAMPLED)


def test_net_time_is_less_the_null_replay_of_the_same_block() -> None:
    result = summarise(
        timing(60_000, block=0),
        timing(80_000, block=1),
        null=[timing(70_000, block=1), timing(20_000, block=0)],
    )
    assert result.metrics["net_time_per_op_ns"].samples == (20.0, 5.0)
    assert result.metrics["net_time_per_op_ns"].value == 12.5


def test_net_time_may_be_negative() -> None:
    result = summarise(timing(20_000), null=[timing(24_000)])
    assert values(result, "net_time_per_op_ns") == [-2.0]


def test_a_block_without_null_replay_has_gross_time_only() -> None:
    result = summarise(timing(60_000, block=0), timing(62_000, block=1), null=[timing(20_000, block=1)])
    assert result.metrics["time_per_op_ns"].blocks == (0, 1)
    assert result.metrics["net_time_per_op_ns"].blocks == (1,)
    assert result.metrics["net_time_per_op_ns"].samples == (21.0,)


def test_without_any_null_replay_net_time_is_not_applicable() -> None:
    metric = summarise(timing(60_000)).metrics["net_time_per_op_ns"]
    assert (metric.value, metric.samples, metric.blocks) == (None, (), ())


def test_ten_blocks_have_a_median_and_its_interval() -> None:
    metric = summarise(*(timing(60_000 + 2_000 * block, block=block) for block in range(10))).metrics["time_per_op_ns"]
    assert (metric.value, metric.low, metric.high) == (34.5, 31.0, 38.0)
    assert metric.blocks == (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)


def test_a_trace_without_operations_is_no_division_by_zero() -> None:
    assert values(summarise(timing(4), trace=replace(TRACE, operations=0)), "time_per_op_ns") == [2.0]


# Latency


def test_percentiles_are_less_the_median_of_the_floor() -> None:
    result = summarise(latency(allocate=[(20, 90), (30, 9), (40, 1)]))
    names = [f"allocate_{share}_ns" for share in ("p50", "p90", "p99", "p999", "p9999", "max")]
    assert values(result, *names) == [5.0, 5.0, 10.0, 15.0, 15.0, 17.5]


def test_each_sample_is_less_its_own_floor() -> None:
    result = summarise(
        latency(0, floor=[(10, 100)], allocate=[(20, 10)]), latency(1, floor=[(16, 100)], allocate=[(30, 10)])
    )
    assert result.metrics["allocate_p50_ns"].samples == (5.0, 7.0)
    assert result.metrics["allocate_p50_ns"].value == 6.0


def test_a_latency_below_the_floor_is_nought() -> None:
    metric = summarise(latency(allocate=[(8, 100)])).metrics["allocate_p50_ns"]
    assert (metric.value, metric.at_floor) == (0.0, True)


@pytest.mark.parametrize(("ticks", "at_floor"), [(0, True), (73, True), (74, True), (147, False)])
def test_at_floor_means_a_step_of_the_timer_above_the_floor_or_less(ticks: int, at_floor: bool) -> None:
    # The timer moves in steps of 73.4 ticks: what takes less reads 0, 73 or 74.
    timed = latency(floor=[(0, 90), (73, 6), (74, 4)], allocate=[(ticks, 100)])
    assert summarise(timed).metrics["allocate_p50_ns"].at_floor is at_floor
    assert summarise(timed).proof["timer_resolution_ns"] == pytest.approx(36.7, abs=0.1)


def test_no_percentile_lies_above_the_maximum() -> None:
    # All take 1,000 ticks, in bucket 506, whose middle is 1,001.5; the floor takes 10, and a tick half a nanosecond.
    histograms = {
        "allocate": {"maximum": 1_000, "buckets": [(506, 100)]},
        "floor": {"maximum": 1_000, "buckets": [(10, 9_998), (506, 2)]},
    }
    timed = sample(Pass.LATENCY, {"histograms": histograms})
    assert values(summarise(timed), "allocate_p50_ns", "allocate_p9999_ns", "allocate_max_ns") == [495.0] * 3
    result = summarise(timed).proof["noise_floor_ns"]
    assert (result["p9999"], result["max"]) == (500.0, 500.0)


@pytest.mark.parametrize(("ticks", "at_floor"), [(20, True), (22, False)])
def test_at_floor_also_means_nearer_than_the_floor_is_to_itself(ticks: int, at_floor: bool) -> None:
    # The floor's median is 10 in one block and 18 in the other: 8 apart, 14 in the middle.
    result = summarise(
        latency(0, floor=[(10, 100)], allocate=[(ticks, 100)]), latency(1, floor=[(18, 100)], allocate=[(ticks, 100)])
    )
    assert result.metrics["allocate_p50_ns"].at_floor is at_floor


def test_a_maximum_is_held_against_the_maximum_of_the_floor() -> None:
    low = summarise(latency(floor=[(10, 99), (11, 1)], floor_maximum=5_000, allocate=[(20, 99), (90, 1)])).metrics
    assert (low["allocate_max_ns"].at_floor, low["allocate_p50_ns"].at_floor) == (True, False)
    assert low["allocate_max_ns"].value == 42.5


def test_an_operation_that_never_happens_has_no_latency() -> None:
    result = summarise(latency(allocate=[(20, 100)]))
    assert [name for name in result.metrics if name.startswith(("deallocate", "reallocate", "first_touch"))] == []


def test_a_replay_too_short_to_read_its_floor_has_no_latencies() -> None:
    brief = latency(floor=[], allocate=[(20, 1)], deallocate=[(15, 1)], first_touch=[(30, 1)])
    result = summarise(brief, timing(1_000))
    assert values(result, "time_per_op_ns", "allocate_p50_ns", "deallocate_max_ns") == [0.5, None, None]
    assert not any(name.startswith("reallocate") for name in result.metrics)
    assert "noise_floor_ns" not in result.proof


def test_the_first_touch_is_a_percentile_less_the_floor_of_its_own_kind_of_reading() -> None:
    touches: Pairs = [(12, 60), (250, 40)]
    result = summarise(latency(allocate=[(20, 100)], first_touch=touches, touch_floor=[(9, 100)]))
    assert values(result, "allocate_p50_ns", "first_touch_ns", "first_touch_p99_ns") == [5.0, 1.5, 120.5]
    spread: Pairs = [(10, 90), (14, 10)]
    touched = summarise(latency(allocate=[(20, 100)], first_touch=touches, touch_floor=spread))
    assert [touched.metrics[name].at_floor for name in ("first_touch_ns", "first_touch_p99_ns")] == [True, False]


def test_a_frame_is_no_reading_of_the_timer() -> None:
    stepping = [(73, 60), (147, 40), (220, 3)]
    timed = latency(floor=stepping, allocate=stepping, frame=[(1_111, 5), (5_678, 5)])
    assert summarise(timed).proof["timer_resolution_ns"] == pytest.approx(36.7, abs=0.1)


def test_the_noise_floor_is_merged_over_samples() -> None:
    result = summarise(
        latency(0, floor=[(10, 100)], floor_maximum=70, allocate=[(20, 1)]),
        latency(1, floor=[(14, 99), (60, 1)], floor_maximum=60, allocate=[(20, 1)]),
        timing(1),
    ).proof
    assert result == {
        "noise_floor_ns": {"p50": 5.0, "p90": 7.0, "p99": 7.0, "p999": 30.0, "p9999": 30.0, "max": 35.0},
        "timer_resolution_ns": 2.0,
    }
    assert summarise(timing(1)).proof == {}


# Footprint


def test_figures_of_one_footprint_sample() -> None:
    result = {name: metric.value for name, metric in summarise(footprint()).metrics.items()}
    assert result == {
        "peak_live_bytes": 100_000,
        "peak_granted_bytes": 126_000,
        "peak_footprint_bytes": 160_000,
        "peak_resident_bytes": 164_000,
        "end_resident_bytes": 150_000,
        "internal_fragmentation": pytest.approx(0.2),  # 1 - 100,000 / 125,000
        "external_fragmentation": 0.75,  # 1 - 5,000 / 20,000
        "internal_fragmentation_max": None,
        "internal_fragmentation_mean": None,
        "external_fragmentation_max": 0.75,
        "external_fragmentation_mean": None,
        "huge_resident_bytes": 0,
        "footprint_mean_ratio": 1.75,  # 7 / 4
        "footprint_at_peak_live_ratio": 1.4,  # 140,000 / 100,000
        "footprint_at_peak_ratio": 2.0,  # 160,000 / 80,000
        "footprint_peak_ratio": 1.6,  # 160,000 / 100,000
        "load_ratio": 1.6,
        "packing_ratio": None,
        "rounding_bytes": 25_000,  # 125,000 - 100,000
        "free_bytes": 20_000,
        "metadata_bytes": 1_234,
        "unaccounted_bytes": 8_766,  # 140,000 - 110,000 - 20,000 - 1,234
        "resident_at_peak_live_bytes": 150_000,
        "holes_ratio": 0.25,  # 4 / 16
        "resident_after_drain_0ms_bytes": 8_192,
        "unaccounted_after_drain_bytes": 2_000,  # 160,000 - 157,000 - 1,000
        "minor_faults": 40,
        "major_faults": 0,
    }


@pytest.mark.parametrize(("limit", "share"), [(160_000, 1.0), (320_000, 0.5), (None, None)])
def test_the_share_of_a_limit_is_the_peak_of_the_footprint_over_it(limit: int | None, share: float | None) -> None:
    metrics = summarise(footprint(), trace=replace(TRACE, memory_limit=limit)).metrics
    assert ("limit_used_share" in metrics) is (limit is not None)
    assert limit is None or metrics["limit_used_share"].value == share


def test_what_a_limit_does_not_bound_is_said_in_bytes() -> None:
    limited = replace(TRACE, memory_limit=65_536)
    (note,) = summarise(footprint(beside_limit_bytes=20_544), footprint(1), trace=limited).notes
    assert note.startswith("needs 20,544 B beside the memory limit of 65,536 B, which does not bound them: ")
    assert summarise(footprint(beside_limit_bytes=20_544)).notes == ()
    assert summarise(footprint(), trace=limited).notes == ()


def test_what_is_not_on_a_region_has_no_share_of_a_limit() -> None:
    result = summarise(footprint(peak={"footprint_bytes": None}), trace=replace(TRACE, memory_limit=320_000))
    assert values(result, "limit_used_share") == [None]


def test_fragmentation_over_the_run_and_at_marks() -> None:
    """Every other block is freed, then all: nothing at the peak, most in the middle, nothing at the end."""
    series = {
        "live_bytes": [100_000, 80_000, 70_000, 0],
        "granted_bytes": [100_000, 100_000, 140_000, 0],
        "free_bytes": [0, 20_000, 40_000, 100_000],
        "largest_free": [0, 10_000, 10_000, 100_000],
    }
    nothing = {**PEAK, **dict.fromkeys(series, 0)}
    marks = {
        "half": {**PEAK, "live_bytes": 65_536, "granted_bytes": 81_920, "free_bytes": 10, "largest_free": 1},
        "end": nothing,
    }
    peak = {"free_bytes": 0, "largest_free": 0, "live_bytes": 100_000, "granted_bytes": 100_000}
    result = summarise(footprint(series=series, at_marks=marks, peak=peak))
    names = ("max", "mean", "mark_1", "mark_2")
    # 1 - 1 / 10 at the mark; (0.5 + 0.75 + 0) / 3 over the checkpoints at which anything is free.
    assert values(result, *(f"external_fragmentation_{name}" for name in names)) == [
        0.9,
        pytest.approx(5 / 12),
        0.9,
        None,
    ]
    # 1 - 70,000 / 140,000; (0 + 0.2 + 0.5) / 3 where 64 KiB are alive.
    assert values(result, *(f"internal_fragmentation_{name}" for name in names)) == [
        0.5,
        pytest.approx(0.7 / 3),
        pytest.approx(0.2),
        None,
    ]
    assert values(result, "external_fragmentation") == [None]


def test_what_cannot_be_a_figure_fails_the_cell_and_is_not_in_it() -> None:
    result = summarise(footprint(peak_granted_bytes=2**64 - 1))
    assert (result.status, result.reason) == (
        Status.FAILED,
        "peak_granted_bytes is more than there can be of anything: what the allocator says of itself is not true",
    )
    assert "peak_granted_bytes" not in result.metrics


def test_huge_pages_are_in_a_note() -> None:
    result = summarise(footprint(huge_resident_bytes=2 << 20))
    assert values(result, "huge_resident_bytes") == [2_097_152]
    assert result.notes == (
        "2.00 MiB of its resident memory at the peak are transparent huge pages, so resident memory comes in steps of "
        "a huge page whatever the workload needs",
    )


RATIOS = ("internal_fragmentation", "footprint_at_peak_live_ratio", "footprint_peak_ratio", "load_ratio")


def test_ratios_to_fewer_than_64_kib_are_not_applicable() -> None:
    small: dict[str, Any] = {
        "peak_live_bytes": 65_535,
        "live_at_peak_footprint_bytes": 65_535,
        "ratio_allocations": 0,
        "ratio_sum": 0.0,
    }
    result = summarise(footprint(**small))
    ratios = (*RATIOS, "footprint_at_peak_ratio", "footprint_mean_ratio")
    assert values(result, *ratios) == [None] * 6
    assert values(result, "peak_footprint_bytes", "external_fragmentation", "holes_ratio") == [160_000, 0.75, 0.25]


def test_64_kib_are_enough() -> None:
    result = summarise(footprint(peak_live_bytes=65_536, peak_footprint_bytes=131_072))
    assert values(result, "footprint_peak_ratio") == [2.0]


def test_the_footprint_may_peak_when_little_is_alive() -> None:
    result = summarise(footprint(live_at_peak_footprint_bytes=60_000))
    assert values(result, "footprint_at_peak_ratio", "footprint_peak_ratio") == [None, 1.6]


def test_a_system_allocator_has_no_footprint_of_its_own() -> None:
    unknown = dict.fromkeys(
        ("footprint_bytes", "free_bytes", "largest_free", "free_blocks", "used_blocks", "metadata_bytes")
    )
    result = summarise(
        footprint(peak=unknown, drained={**PEAK, **unknown}), exact=False, trace=replace(TRACE, packing_bytes=1 << 20)
    )
    names = [name for name, metric in result.metrics.items() if metric.value is None]
    assert names == [
        "peak_footprint_bytes",
        "external_fragmentation",
        "internal_fragmentation_max",
        "internal_fragmentation_mean",
        "external_fragmentation_max",
        "external_fragmentation_mean",
        "footprint_mean_ratio",
        "footprint_at_peak_live_ratio",
        "footprint_at_peak_ratio",
        "footprint_peak_ratio",
        "load_ratio",
        "packing_ratio",
        "free_bytes",
        "metadata_bytes",
        "unaccounted_bytes",
        "holes_ratio",
        "unaccounted_after_drain_bytes",
    ]
    assert values(result, "peak_granted_bytes", "peak_resident_bytes") == [126_000, 164_000]


def test_the_footprint_over_the_best_packing() -> None:
    result = summarise(footprint(), trace=replace(TRACE, packing_bytes=128_000))
    assert values(result, "packing_ratio", "load_ratio") == [1.25, 1.6]


def heap(own: Mapping[str, int | None]) -> Sample:
    maps = [heap_map(moment, own=own) for moment in ("peak", "end")]
    payload = {"after_drain_resident_bytes": [400, 300, 200, 100], "maps": maps, "own_after_drain": own}
    return sample(Pass.HEAP, payload)


def test_what_is_resident_after_the_drain_is_read_four_times() -> None:
    result = summarise(footprint(), heap(OWN))
    names = [f"resident_after_drain_{wait}_bytes" for wait in ("0ms", "100ms", "1s", "5s")]
    assert values(result, *names) == [8_192, 300, 200, 100]
    assert "own_statistics" not in result.proof


def test_what_a_malloc_says_of_itself_is_in_the_proof() -> None:
    own = {"in_use_bytes": 5, "free_bytes": None, "metadata_bytes": None, "mapped_bytes": 7}
    assert summarise(heap(own)).proof["own_statistics"] == {"peak": own, "end": own, "after drain": own}


def test_a_full_heap_has_no_external_fragmentation() -> None:
    full = {"free_bytes": 0, "largest_free": 0, "free_blocks": 0}
    assert values(summarise(footprint(peak=full)), "external_fragmentation", "holes_ratio") == [None, 0.0]


def test_repeats_that_agree_are_exact_and_one_alone_is_not() -> None:
    alone = summarise(footprint(0)).metrics["peak_footprint_bytes"]
    twice = summarise(footprint(0), footprint(1)).metrics["peak_footprint_bytes"]
    assert (alone.determinism, twice.determinism) == (Determinism.SAMPLED, Determinism.EXACT)
    assert twice.samples == (160_000, 160_000)


def test_each_metric_is_exact_or_sampled_by_itself() -> None:
    result = summarise(footprint(0), footprint(1, peak_granted_bytes=127_000))
    assert result.metrics["peak_granted_bytes"].determinism is Determinism.SAMPLED
    assert result.metrics["peak_granted_bytes"].value == 126_500
    assert result.metrics["peak_footprint_bytes"].determinism is Determinism.EXACT


def test_what_the_kernel_counts_is_never_exact_and_neither_is_what_is_not_there() -> None:
    unknown = dict.fromkeys(("footprint_bytes", "free_bytes", "metadata_bytes"))
    metrics = summarise(footprint(0, peak=unknown), footprint(1, peak=unknown)).metrics
    of_kernel = ("minor_faults", "major_faults", "peak_resident_bytes", "end_resident_bytes")
    for name in (*of_kernel, "resident_at_peak_live_bytes", "peak_footprint_bytes", "free_bytes"):
        assert metrics[name].determinism is Determinism.SAMPLED, name
    assert metrics["peak_footprint_bytes"].samples == ()
    assert metrics["peak_live_bytes"].determinism is Determinism.EXACT


def test_repeats_that_differ_and_should_not_are_noted() -> None:
    differing = (footprint(0), footprint(1, peak_footprint_bytes=170_000))
    result = summarise(*differing)
    assert result.notes == (
        "peak footprint differs between repeats of a strategy that is deterministic: "
        "a defect of memtool, please report it",
    )
    assert result.metrics["peak_footprint_bytes"].determinism is Determinism.SAMPLED
    assert result.status is Status.OK
    assert summarise(*differing, exact=False).notes == ()


def test_every_kind_of_difference_is_noted_but_that_of_resident_memory() -> None:
    other = footprint(
        1, peak={"free_blocks": 5, "resident_bytes": 999}, peak_granted_bytes=1, peak_footprint_bytes=1, ratio_sum=1.0
    )
    assert [note.split(" differs")[0] for note in summarise(footprint(0), other).notes] == [
        "peak granted bytes",
        "peak footprint",
        "mean of footprint / live",
        "figures at the peak",
    ]
    assert summarise(footprint(0), footprint(1, peak={"resident_bytes": 999})).notes == ()


# The cell as a whole


def test_a_failed_sample_fails_the_cell_and_keeps_the_figures_of_the_others() -> None:
    failed = Sample(CELL, 1, Pass.THROUGHPUT, Status.FAILED, "killed by SIGSEGV")
    result = summarise(timing(60_000), failed)
    assert result.status is Status.FAILED
    assert result.reason == "throughput pass, block 1: killed by SIGSEGV"
    assert result.metrics["time_per_op_ns"].blocks == (0,)


def test_failed_null_samples_are_not_subtracted() -> None:
    broken = Sample(CELL, 0, Pass.THROUGHPUT, Status.FAILED, "killed")
    assert values(summarise(timing(60_000), null=[broken]), "net_time_per_op_ns") == [None]


def test_a_cell_without_samples_has_no_metrics() -> None:
    result = summarise()
    assert (result.status, dict(result.metrics), dict(result.proof)) == (Status.OK, {}, {})


def test_the_proof_is_of_the_first_sample_and_noise_is_summed() -> None:
    proof = {"malloc_owner": "libc.so.6"}
    result = summarise(
        replace(sample(Pass.CHECK, {"checks": 64}), proof=proof, noise=Noise(steal_ticks=1)),
        replace(
            sample(Pass.CHECK, {"checks": 1}),
            proof={"malloc_owner": "other", "version": "2"},
            noise=Noise(steal_ticks=2, elapsed_ns=7),
        ),
    )
    silent = {"machine_ticks": 0, "involuntary_switches": 0, "voluntary_switches": 0, "own_switches": 0}
    assert result.proof == {
        "malloc_owner": "libc.so.6",
        "version": "2",
        "steal_ticks": 3,
        "elapsed_ns": 7,
        **silent,
        "invariants_checked": 65,
    }


def test_metrics_are_in_the_order_of_the_registry() -> None:
    result = summarise(footprint(), latency(allocate=[(20, 1)]), timing(1))
    assert list(result.metrics)[:3] == ["time_per_op_ns", "net_time_per_op_ns", "allocate_p50_ns"]
    assert list(result.metrics)[-1] == "major_faults"


def test_processor_time_is_that_of_all_replays_of_a_sample() -> None:
    taken = [sample(Pass.THROUGHPUT, {"body_ticks": [1], "cpu_ns": [3_000, 5_000]}, block) for block in (0, 1)]
    metric = summarise(*taken).metrics["cpu_ns_per_op"]
    assert (metric.samples, metric.unit) == ((4.0, 4.0), "ns")  # 8,000 ns in 2 replays of 1,000 operations


def test_system_calls_are_added_up_and_kept_by_call() -> None:
    counts = {"mmap": 3, "munmap": 1, "brk": 7}
    result = summarise(sample(Pass.CALLS, {"system_calls": counts}))
    assert result.metrics["system_calls"].value == 11
    assert result.proof["system_calls"] == counts


def open_loop(*body_ticks: int, block: int = 0, allocate: Pairs = ((20, 1),)) -> Sample:
    kept = OpenLoop(schedule_ticks=1_000_000, latest_ticks=40_000, end_behind_ticks=30_000)
    closed = latency(block, allocate=allocate)
    return replace(closed, payload=replace(closed.of(Latency), body_ticks=body_ticks, open_loop=kept))


def test_under_arrivals_the_floor_is_what_the_null_strategy_shows() -> None:
    trace = replace(TRACE, arrivals={"law": "poisson", "rate_per_s": 2_000_000, "burst": 1})

    def waited(ticks: int, block: int) -> Sample:
        return open_loop(1_000_000, block=block, allocate=[(20, 95), (ticks, 5)])

    # The closed floor reads 10 ticks. What the null strategy waits at its p99 differs by 20 between blocks.
    null = [waited(100, 0), waited(120, 1)]
    near = summarise_cell(CELL, [waited(115, 0), waited(125, 1)], null, trace, CLOCK, exact_expected=False)
    far = summarise_cell(CELL, [waited(200, 0), waited(210, 1)], null, trace, CLOCK, exact_expected=False)
    assert (near.metrics["allocate_p99_ns"].at_floor, far.metrics["allocate_p99_ns"].at_floor) == (True, False)
    assert near.proof["open_loop"]["null_ns"]["allocate"]["p50"] == 5.0  # (20 - 10) / 2
    assert list(near.proof["open_loop"]["null_ns"]["allocate"]) == ["p50", "p90", "p99", "p999", "p9999", "max"]
    closed = summarise_cell(CELL, [latency(allocate=[(20, 95), (120, 5)])], null, TRACE, CLOCK, exact_expected=False)
    assert closed.metrics["allocate_p99_ns"].at_floor is False


def test_frames_have_percentiles_and_the_worst_of_them() -> None:
    # A tick is half a nanosecond. Of 100 frames 98 took 20 ticks, two 30, the worst 35; the floor is off them already.
    result = summarise_cell(
        CELL, [latency(allocate=[(20, 100)], frame=[(20, 98), (30, 2)])], [], TRACE, CLOCK, exact_expected=False
    )
    outcome = {name: metric.value for name, metric in result.metrics.items() if name.startswith("frame")}
    assert list(outcome) == ["frame_p50_ns", "frame_p90_ns", "frame_p99_ns", "frame_p999_ns", "frame_max_ns"]
    assert list(outcome.values()) == [10.0, 10.0, 15.0, 15.0, 17.5]
    none = summarise_cell(CELL, [latency(allocate=[(20, 100)])], [], TRACE, CLOCK, exact_expected=False)
    assert not any(name.startswith("frame") for name in none.metrics)


def test_who_is_behind_where_the_null_strategy_is_too_is_not_blamed() -> None:
    # 1,000 operations at 2M/s are due within 500 us; the null strategy took 1,000 us, the allocator 1,250.
    trace = replace(TRACE, arrivals={"law": "poisson", "rate_per_s": 2_000_000, "burst": 1})
    late = summarise_cell(CELL, [open_loop(2_500_000)], [open_loop(2_000_000)], trace, CLOCK, exact_expected=False)
    assert late.proof["open_loop"]["null_achieved_per_s"] == 1_000_000
    assert late.notes == (
        "arrivals too fast for this machine: the null strategy, which allocates nothing, did 1,000,000 of 2,000,000 "
        "operations a second; so latencies are those of a queue that grows with the length of the run, whatever the "
        "allocator does",
    )


def test_what_does_not_keep_up_with_its_arrivals_says_so() -> None:
    # 1,000 operations at 2M/s are due within 500 us; a tick is half a nanosecond.
    trace = replace(TRACE, arrivals={"law": "poisson", "rate_per_s": 2_000_000, "burst": 1})
    samples = [open_loop(1_004_000, 9_000_000, block=0), open_loop(1_000_000, block=1)]
    result = summarise_cell(CELL, samples, [], trace, CLOCK, exact_expected=False)
    assert result.notes == ()
    assert result.proof["open_loop"] == {
        "offered_per_s": 2_000_000,
        "achieved_per_s": 1_992_032,
        "latest_start_ns": 20_000,
        "end_behind_ns": 15_000,
        "end_behind_operations": 0,
    }
    late = summarise_cell(CELL, [open_loop(1_250_000)], [], trace, CLOCK, exact_expected=False)
    assert late.notes == (
        "did not keep up with its arrivals: 1,600,000 of 2,000,000 operations a second; at the end 250 were due and "
        "not begun, so its latencies are those of a queue that grows with the length of the run",
    )


THREADED = replace(TRACE, threads=4, lanes=4)


@pytest.mark.parametrize(("null_ticks", "net"), [(60_000, 30.0), (60_001, None)])
def test_on_threads_what_is_mostly_the_harness_has_no_net_time(null_ticks: int, net: float | None) -> None:
    cell = replace(CELL, mode="parallel")
    taken = [replace(timing(120_000), cell=cell)]
    null = [replace(timing(null_ticks), cell=cell)]
    result = summarise_cell(cell, taken, null, THREADED, CLOCK, exact_expected=False)
    assert values(result, "time_per_op_ns", "net_time_per_op_ns") == [60.0, net]


def test_on_one_thread_the_harness_may_be_most_of_the_time() -> None:
    assert values(summarise(timing(120_000), null=[timing(100_000)]), "net_time_per_op_ns") == [10.0]


def test_a_blow_up_is_the_peak_on_threads_over_that_of_one() -> None:
    cell = replace(CELL, mode="parallel")
    alone = footprint(peak_footprint_bytes=80_000, peak_resident_bytes=400_000)
    of_malloc = footprint(peak={"footprint_bytes": None}, peak_resident_bytes=80_000)
    for serial, expected in ((alone, (2.0, 2.0)), (of_malloc, (2.05, 2.05))):
        on_threads = [footprint(block) for block in (0, 1)]  # a footprint of 160,000, 164,000 resident
        result = summarise_cell(cell, on_threads, (), THREADED, CLOCK, exact_expected=False, serial=[serial])
        assert result.metrics["blowup_ratio"].samples == expected
    assert "blowup_ratio" not in summarise(footprint()).metrics
