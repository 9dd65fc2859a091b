"""The latency pass: each operation is timed individually; under arrivals, from the time when it is due."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from memtool.passes import histogram
from memtool.passes.declaration import CellSamples, Declaration, Figure, Measure, Phase, Summary, Taken, taken
from memtool.passes.layout import U64, Array, Asked, Counts, Given, Layout, Part
from memtool.passes.timing import TIMINGS, Pairs, Timing, thread_rows, timings

PERCENTILES: Mapping[str, float] = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p999": 99.9, "p9999": 99.99}
OPERATIONS = ("allocate", "deallocate", "remote_deallocate", "reallocate")
_FRAMES = ("p50", "p90", "p99", "p999", "max")
_BEHIND = 0.01


@dataclass(frozen=True, slots=True)
class Histogram:
    """Times of one kind of operation, in ticks."""

    maximum: int
    """The exact maximum."""
    buckets: Pairs


@dataclass(frozen=True, slots=True)
class Slices:
    """One kind of operation in each slice of the run's events."""

    maximum: tuple[int, ...]
    """Ticks of the longest operation; 0: there was none."""
    slow: tuple[tuple[int, ...], ...]
    """For each threshold (histogram.SLOW_NS), the number of slower operations."""


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """How a replay kept up with its arrivals, in ticks."""

    schedule_ticks: int
    """Time at which the last operation was due."""
    latest_ticks: int
    """Largest delay of an operation's start."""
    end_behind_ticks: int
    """Delay of the last operation's start."""


@dataclass(frozen=True, slots=True)
class Latency(Timing):
    """Histograms of all replays together, in ticks, including the timer's own time."""

    histograms: Mapping[str, Histogram]
    """Kind of operation, ``first_touch``, ``frame``; ``floor``: an empty timed region, ``touch_floor``: of a touch."""
    by_size: Mapping[str, tuple[Histogram, ...]]
    """allocate and deallocate -> a histogram for each class of sizes (histogram.SIZE_CLASSES); on one thread only."""
    slices: Mapping[str, Slices]
    """allocate and deallocate; on one thread only."""
    open_loop: OpenLoop | None
    """None: closed loop."""


Timed = Sequence[Taken[Latency]]


def summarise(samples: CellSamples) -> Summary:
    """Return the percentiles of each kind of operation, and how a replay kept up with its arrivals."""
    timed, null = taken(samples.own, Latency), taken(samples.null, Latency)
    ns = samples.clock.ns_per_tick
    open_loop = _open_loop(timed, null, samples)
    return Summary(
        _latencies(timed, null, ns) | _frames(timed, ns),
        notes=[_behind(open_loop)] if open_loop.get("end_behind_operations") else (),
        proof=({"open_loop": open_loop} if open_loop else {}) | _noise_floor(timed, ns),
    )


def _noise_floor(timed: Timed, ns: float) -> dict[str, Any]:
    """Return the times of empty timed regions, merged over all samples of a cell.

    ``noise_floor_ns``: percentiles and maximum; ``timer_resolution_ns``: the resolution of the timer.
    """
    floors = [sample.figures.histograms["floor"] for sample in timed]
    merged = histogram.merge(floor.buckets for floor in floors)
    if not merged:
        return {}
    maximum = max(floor.maximum for floor in floors)
    ticks = {name: histogram.percentile(merged, q, maximum) for name, q in PERCENTILES.items()} | {"max": maximum}
    return {
        "noise_floor_ns": {name: reading * ns for name, reading in ticks.items()},
        "timer_resolution_ns": _timer_step(timed) * ns,
    }


def _timer_step(timed: Timed) -> float:
    """Return the resolution of the timer in ticks, from all lengths that it measured.

    Under arrivals, a latency begins when the operation is due, which the timer does not read, so only the floor counts.
    A frame is a sum of lengths, minus the same number of empty ones.
    """
    readings = [
        distribution.buckets
        for sample in timed
        for kind, distribution in sample.figures.histograms.items()
        if kind == "floor" or (kind != "frame" and sample.figures.open_loop is None)
    ]
    return histogram.step(histogram.merge(readings))


def _latencies(timed: Timed, null: Timed, ns: float) -> dict[str, Figure]:
    """Return the percentiles of each kind of operation, minus the median of the same sample's noise floor.

    Under arrivals they are also compared with the null strategy's, which include queueing and interruptions. They are
    not applicable where a sample is too short to have measured its floor.
    """
    if not timed:
        return {}
    if not all(sample.figures.histograms["floor"].buckets for sample in timed):
        happened = [kind for kind in OPERATIONS if any(_histogram(sample, kind).buckets for sample in timed)]
        return {f"{kind}_{share}_ns": Figure(()) for kind in happened for share in (*PERCENTILES, "max")}
    step = _timer_step(timed)
    floor = _readings(timed, "floor")
    is_open = all(sample.figures.open_loop is not None for sample in timed)
    figures: dict[str, Figure] = {}
    for kind in OPERATIONS:
        of_null = _readings(null, kind) if is_open else {}
        for name, raw in _readings(timed, kind).items():
            at_floor = _is_at_floor(raw, floor[name], step)
            if name in of_null:
                at_floor |= _is_at_floor(raw, of_null[name], step)
            figures[f"{kind}_{name}_ns"] = Figure(_less_floor(timed, raw, floor["p50"], ns), at_floor)
    touches, floor_of_touch = _readings(timed, "first_touch"), _readings(timed, "touch_floor")
    for name, metric in (("p50", "first_touch_ns"), ("p99", "first_touch_p99_ns")):
        if touches:
            at_floor = _is_at_floor(touches[name], floor_of_touch[name], step)
            figures[metric] = Figure(_less_floor(timed, touches[name], floor_of_touch["p50"], ns), at_floor)
    return figures


def _frames(timed: Timed, ns: float) -> dict[str, Figure]:
    """Return the times of all operations of a frame together; the worker has subtracted the floor of each of them."""
    return {
        f"frame_{share}_ns": Figure([(sample.block, ticks * ns) for sample, ticks in zip(timed, raw, strict=True)])
        for share, raw in _readings(timed, "frame").items()
        if share in _FRAMES
    }


def _histogram(sample: Taken[Latency], kind: str) -> Histogram:
    return sample.figures.histograms.get(kind, Histogram(0, ()))


def _readings(timed: Timed, kind: str) -> dict[str, list[float]]:
    """Return each percentile and the maximum of a kind, in ticks, by sample; empty where a sample lacks the kind."""
    histograms = [_histogram(sample, kind) for sample in timed]
    if not histograms or not all(reading.buckets for reading in histograms):
        return {}
    merged = [(histogram.merge([reading.buckets]), float(reading.maximum)) for reading in histograms]
    readings = {
        name: [histogram.percentile(buckets, q, maximum) for buckets, maximum in merged]
        for name, q in PERCENTILES.items()
    }
    return readings | {"max": [maximum for _, maximum in merged]}


def _less_floor(
    timed: Timed, raw: Sequence[float], floor_medians: Sequence[float], ns: float
) -> list[tuple[int, float]]:
    return [
        (sample.block, max(0.0, ticks - base) * ns)
        for sample, ticks, base in zip(timed, raw, floor_medians, strict=True)
    ]


def _is_at_floor(raw: Sequence[float], floor: Sequence[float], step: float) -> bool:
    """Return whether a percentile exceeds the floor's by at most a step of the timer, or by less than its spread."""
    above = median(raw) - median(floor)
    return histogram.is_within_a_step(above, step) or above < max(floor) - min(floor)


def _open_loop(timed: Timed, null: Timed, samples: CellSamples) -> dict[str, Any]:
    """Return how the replays kept up with the arrivals, and the null strategy's latencies; empty for a closed loop.

    A cell has fallen behind if its median replay takes longer than the schedule by more than a hundredth of it.
    """
    kept = [open_loop for sample in timed if (open_loop := sample.figures.open_loop) is not None]
    if not kept or samples.trace.arrivals is None:
        return {}
    ns, operations = samples.clock.ns_per_tick, samples.trace.operations
    rate = samples.trace.arrivals["rate_per_s"]
    whole = median(arrivals.schedule_ticks for arrivals in kept) * ns
    replay_ns = _median_replay(timed) * ns
    null_replay_ns = _median_replay(null) * ns
    return {
        "offered_per_s": rate,
        "achieved_per_s": round(operations / replay_ns * 1e9),
        "latest_start_ns": max(arrivals.latest_ticks for arrivals in kept) * ns,
        "end_behind_ns": max(arrivals.end_behind_ticks for arrivals in kept) * ns,
        "end_behind_operations": round((replay_ns - whole) * rate / 1e9) if replay_ns > (1 + _BEHIND) * whole else 0,
        **({"null_achieved_per_s": round(operations / null_replay_ns * 1e9)} if null_replay_ns else {}),
        **({"null_behind": True} if null_replay_ns > (1 + _BEHIND) * whole else {}),
        **({"null_ns": of_null} if (of_null := _of_null(null, ns)) else {}),
    }


def _median_replay(timed: Timed) -> float:
    """Return the ticks of the median replay under arrivals; 0 where there is none."""
    ticks = [
        body_tick for sample in timed if sample.figures.open_loop is not None for body_tick in sample.figures.body_ticks
    ]
    return median(ticks) if ticks else 0.0


def _of_null(null: Timed, ns: float) -> dict[str, dict[str, float]]:
    """Return the null strategy's latencies under the arrivals, by kind: medians, as for allocators."""
    figures = _latencies(null, (), ns)
    return {
        kind: {
            share: median(known)
            for share in (*PERCENTILES, "max")
            if (known := [value for _, value in figures[f"{kind}_{share}_ns"].by_block if value is not None])
        }
        for kind in ("allocate", "deallocate", "reallocate")
        if f"{kind}_p50_ns" in figures
    }


def _behind(kept: Mapping[str, Any]) -> str:
    if kept.get("null_behind"):
        return (
            f"arrivals too fast for this machine: the null strategy, which allocates nothing, did "
            f"{kept['null_achieved_per_s']:,} of {kept['offered_per_s']:,} operations a second; so latencies are "
            "those of a queue that grows with the length of the run, whatever the allocator does"
        )
    return (
        f"did not keep up with its arrivals: {kept['achieved_per_s']:,} of {kept['offered_per_s']:,} operations a "
        f"second; at the end {kept['end_behind_operations']:,} were due and not begun, so its latencies are those of "
        "a queue that grows with the length of the run"
    )


_KINDS = ("allocate", "deallocate", "reallocate", "first_touch", "floor", "remote_deallocate", "frame", "touch_floor")
_DETAILED = ("allocate", "deallocate")
_CLASSES, _SLICES, _SLOW = len(histogram.SIZE_CLASSES), 400, len(histogram.SLOW_NS)
_MOST_OF_THEIR_OWN = 64
"""Number of threads with their own histograms, which take 240 KiB each."""
LAYOUT = Layout.of(
    slow_ticks=Array(U64, _SLOW),
    arrivals=U64,
    threads=U64,
    thread_histograms=U64,
    thread_histogram_count=U64,
    timings=TIMINGS,
    schedule_ticks=U64,
    latest_ticks=U64,
    end_behind_ticks=U64,
    maximum=Array(U64, len(_KINDS)),
    size_maximum=Array(U64, len(_DETAILED) * _CLASSES),
    slices=Array(U64, _SLICES * len(_DETAILED) * (1 + _SLOW)),
    histograms=Array(Counts(histogram.BUCKETS), len(_KINDS)),
    size_histograms=Array(Counts(histogram.BUCKETS), len(_DETAILED) * _CLASSES),
)


def given(asked: Asked) -> Given:
    """Return the arrivals and the thresholds of slow operations, with memory for the figures of each thread."""
    own = min(asked.lanes, _MOST_OF_THEIR_OWN)
    parts = [*thread_rows(asked)]
    if asked.arrivals is not None:
        parts.append(Part("arrivals", len(asked.arrivals), asked.arrivals))
    if own:
        parts.append(Part("thread_histograms", own * len(_KINDS) * histogram.BUCKETS))
    return Given({"slow_ticks": asked.slow_ticks, "thread_histogram_count": own}, parts)


def unpack(held: Any, parts: Mapping[str, Sequence[int]], asked: Asked) -> dict[str, Any]:  # noqa: ANN401  # as LAYOUT
    """Return the fields of a Latency."""
    figures = timings(held["timings"], parts.get("threads", ()))
    figures["histograms"] = dict(zip(_KINDS, _histograms(held["maximum"], held["histograms"]), strict=True))
    own = parts.get("thread_histograms", ())
    for lane, row in enumerate(figures["threads"][: len(own) // (len(_KINDS) * histogram.BUCKETS)]):
        row["histograms"] = _of_lane(own, lane)
    if asked.lanes:
        return figures | {"by_size": {}, "slices": {}, "open_loop": None}
    of_size = _histograms(held["size_maximum"], held["size_histograms"])
    open_loop = {name: held[name] for name in ("schedule_ticks", "latest_ticks", "end_behind_ticks")}
    return figures | {
        "by_size": {kind: of_size[at * _CLASSES : (at + 1) * _CLASSES] for at, kind in enumerate(_DETAILED)},
        "slices": {kind: _slices(held["slices"], at) for at, kind in enumerate(_DETAILED)},
        "open_loop": open_loop if held["schedule_ticks"] else None,
    }


def _histograms(maxima: Sequence[int], buckets: Sequence[Any]) -> list[dict[str, Any]]:
    return [{"maximum": maximum, "buckets": own} for maximum, own in zip(maxima, buckets, strict=True)]


def _counts(held: Sequence[int], index: int) -> Sequence[int]:
    return held[index * histogram.BUCKETS : (index + 1) * histogram.BUCKETS]


def _pairs(counts: Iterable[int]) -> list[tuple[int, int]]:
    return [(bucket, count) for bucket, count in enumerate(counts) if count]


def _of_lane(counts: Sequence[int], lane: int) -> dict[str, list[tuple[int, int]]]:
    """Return the histograms of a thread; deallocate has all its frees."""
    kinds = {kind: _counts(counts, lane * len(_KINDS) + index) for index, kind in enumerate(_KINDS)}
    frees = map(sum, zip(kinds["deallocate"], kinds["remote_deallocate"], strict=True))
    return {"allocate": _pairs(kinds["allocate"]), "deallocate": _pairs(frees)}


def _slices(held: Sequence[int], at: int) -> dict[str, Any]:
    """Return the slices of a kind: a slice holds both kinds, a kind the maximum and counts by threshold."""
    first, step = at * (1 + _SLOW), len(_DETAILED) * (1 + _SLOW)
    return {
        "maximum": held[first::step],
        "slow": [held[first + 1 + level :: step] for level in range(_SLOW)],
    }


PASS = Declaration(
    name="latency",
    phase=Phase.TIMED,
    usual=3.0,
    with_null=True,
    open_loop=True,
    paced=True,
)
MEASURE = Measure(
    figures=Latency,
    layout=LAYOUT,
    given=given,
    unpack=unpack,
    summarise=summarise,
)
