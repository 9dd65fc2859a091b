"""The measurements of containers, and their presentation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from memtool.kinds.container.image import GROUPS
from memtool.kinds.container.metrics import METRICS, TIMES
from memtool.kinds.container.sheets import PICTURES, SHEETS
from memtool.kinds.container.words import heading, remarks, why_not
from memtool.kinds.declaration import Results
from memtool.passes import Pass, check, counters
from memtool.passes.declaration import CellSamples, Figures, Measure, Summary, by_metric, taken
from memtool.passes.layout import U64, Array, Layout
from memtool.passes.timing import TIMINGS


@dataclass(frozen=True, slots=True)
class Times(Figures):
    """Ticks of each replay, without warm-ups."""

    body_ticks: tuple[int, ...]
    """Ticks until the containers are destroyed."""
    epilogue_ticks: tuple[int, ...]
    cpu_ns: tuple[int, ...]
    ticks: Mapping[str, int]
    """Ticks by group of steps, each of its fastest replay."""
    units: Mapping[str, int]
    """Operations, elements or heaps by which these are divided."""

    @property
    def replay_ticks(self) -> int:
        """Return the ticks of the fastest replay."""
        return min(self.body_ticks)


@dataclass(frozen=True, slots=True)
class Locality(Figures):
    """What one traversal of all containers reads."""

    elements: int
    lines: int
    jumps: int


@dataclass(frozen=True, slots=True)
class Footprint(Figures):
    """Bytes, unless a name says otherwise."""

    allocations: int
    asked_bytes: int
    peak_live_bytes: int
    peak_blocks: int
    peak_footprint_bytes: int | None
    peak_resident_bytes: int
    fresh: Locality
    churned: Locality


def _times(samples: CellSamples) -> Summary:
    tick = samples.clock.ns_per_tick

    def metrics(times: Times) -> dict[str, float | None]:
        return {
            "time_per_op_ns": times.replay_ticks * tick / samples.operations,
            "cpu_ns_per_op": fmean(times.cpu_ns) / samples.operations,
            **{
                name: times.ticks[group] * tick / times.units[group]
                for group, (name, _) in TIMES.items()
                if times.units[group]
            },
        }

    return Summary(by_metric(taken(samples.own, Times), metrics))


def _footprints(samples: CellSamples) -> Summary:
    return Summary(by_metric(taken(samples.own, Footprint), lambda of: _of(of, samples)))


def _of(reading: Footprint, samples: CellSamples) -> dict[str, float | None]:
    figures: dict[str, float | None] = {
        "allocations_per_op": reading.allocations / samples.operations,
        "asked_bytes": reading.asked_bytes,
        "peak_live_bytes": reading.peak_live_bytes,
        "peak_footprint_bytes": reading.peak_footprint_bytes,
        "peak_resident_bytes": reading.peak_resident_bytes,
    }
    for name, locality in (("", reading.fresh), ("_churned", reading.churned)):
        if locality.elements:
            figures[f"lines_per_element{name}"] = locality.lines / locality.elements
            figures[f"jumps_per_element{name}"] = locality.jumps / locality.elements
    return figures


def _unpack(held: Any, parts: Mapping[str, Sequence[int]], asked: object) -> dict[str, Any]:  # noqa: ANN401
    replays = held["timings"]
    kept = {name: replays[name][: replays["iterations"]] for name in ("body_ticks", "epilogue_ticks", "cpu_ns")}
    return kept | {name: dict(zip(GROUPS, held[name], strict=True)) for name in ("ticks", "units")}


def _differ(repeats: Sequence[Footprint]) -> bool:
    return (
        len({(repeat.allocations, repeat.peak_footprint_bytes, repeat.fresh, repeat.churned) for repeat in repeats}) > 1
    )


_GROUPS = Array(U64, len(GROUPS))
_LOCALITY = Layout.like(Locality)
RESULTS = Results(
    measures={
        Pass.CHECK: check.MEASURE,
        Pass.THROUGHPUT: Measure(
            figures=Times,
            layout=Layout.of(threads=U64, timings=TIMINGS, ticks=_GROUPS, units=_GROUPS),
            unpack=_unpack,
            summarise=_times,
        ),
        Pass.FOOTPRINT: Measure(
            figures=Footprint,
            layout=Layout.like(Footprint, fresh=_LOCALITY, churned=_LOCALITY),
            summarise=_footprints,
            differ=_differ,
        ),
        Pass.COUNTERS: counters.MEASURE,
    },
    metrics=METRICS,
    sheets=SHEETS,
    pictures=PICTURES,
    heading=heading,
    remarks=remarks,
    why_not=why_not,
)
