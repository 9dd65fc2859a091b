"""The footprint pass: memory at checkpoints and at the peak, by the strategy's and the kernel's accounts. Untimed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from memtool.passes.adaptor_reports import sentences
from memtool.passes.declaration import (
    CellSamples,
    Declaration,
    Figure,
    Figures,
    Measure,
    Phase,
    RegionAccount,
    Summary,
    Taken,
    by_metric,
    taken,
)
from memtool.passes.layout import KNOWN, U64, Array, Asked, Given, Layout, Part, Text, known, numbers
from memtool.units import format_size

LEAST_LIVE = 64 * 1024
"""Bytes: with fewer live bytes, a ratio to them says nothing about the allocator."""
MOST_MARKS = 8
"""Marks of a workload that have their own figures: as many as the engine has heap maps."""
_SAME_RESIDENT = 0.01
"""Relative difference up to which resident sets count as equal (as do 64 KiB): no further repeats are needed."""
_SAME_RESIDENT_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Memory at one moment; bytes and blocks, None where the strategy does not report them."""

    clock: int
    """Number of operations before this moment."""
    live_bytes: int
    live_objects: int
    granted_bytes: int
    footprint_bytes: int | None
    resident_bytes: int | None
    """Resident memory, minus the baseline."""
    free_bytes: int | None
    largest_free: int | None
    free_blocks: int | None
    used_blocks: int | None
    metadata_bytes: int | None
    most_live_bytes: int
    """Maximum since the previous checkpoint; so for the fields below."""
    most_footprint_bytes: int | None
    most_resident_bytes: int | None


@dataclass(frozen=True, slots=True)
class Footprint(Figures):
    """Bytes, unless a name says otherwise."""

    peak_live_bytes: int
    peak_granted_bytes: int
    peak_footprint_bytes: int
    live_at_peak_footprint_bytes: int
    granted_at_peak_live_bytes: int
    footprint_at_peak_live_bytes: int
    ratio_allocations: int
    """Allocations with at least 64 KiB live, over which the mean ratio is formed."""
    ratio_sum: float
    """Sum of footprint / live bytes over these allocations."""
    baseline_resident_bytes: int
    resident_at_peak_live_bytes: int
    peak_resident_bytes: int
    end_resident_bytes: int
    """Resident memory after the last event before the epilogue."""
    drained_resident_bytes: int
    huge_resident_bytes: int
    """Part of resident_at_peak_live_bytes in transparent huge pages."""
    beside_limit_bytes: int
    """Largest part of the footprint, at a checkpoint, that the length of the region does not bound."""
    minor_faults: int
    major_faults: int
    grow_calls: int
    shrink_calls: int
    body_ticks: tuple[int, ...]
    """The cost of checkpoints; no metric uses it."""
    report: str
    """The reports of adaptors, as members of a JSON object."""
    region: RegionAccount
    at_peak_live: Checkpoint
    drained: Checkpoint
    """After the epilogue, when nothing is live."""
    at_marks: Mapping[str, Checkpoint]
    """Checkpoints by the marks' names; on one thread only."""
    series: Mapping[str, tuple[int | None, ...]]
    """Each field of a Checkpoint, with one figure for each checkpoint."""

    @property
    def placed_in_bytes(self) -> int:
        """Return the length of the region in which all blocks were placed."""
        return self.peak_footprint_bytes

    @property
    def account(self) -> RegionAccount:
        """Return the kernel's account of the region."""
        return self.region


def differ(repeats: Sequence[Footprint]) -> bool:
    """Return whether repeats disagree in an important figure."""
    residents = [repeat.peak_resident_bytes for repeat in repeats]
    spread = max(residents) - min(residents)
    if spread > max(_SAME_RESIDENT * max(residents), _SAME_RESIDENT_BYTES):
        return True
    return len({(repeat.peak_granted_bytes, repeat.peak_footprint_bytes, repeat.ratio_sum) for repeat in repeats}) > 1


def summarise(samples: CellSamples) -> Summary:
    """Return peaks, fragmentation, ratios and faults, with remarks for reading them correctly."""
    footprints = taken(samples.own, Footprint)
    if not footprints:
        return Summary()
    reported: dict[str, Any] = json.loads(f"{{{footprints[0].figures.report}}}")
    return Summary(
        by_metric(footprints, lambda reading: _figures(reading, samples))
        | _blowup(footprints, taken(samples.alone, Footprint)),
        notes=[
            *(_differences(footprints) if samples.exact_expected else ()),
            *_notes(footprints),
            *_beside_limit(footprints, samples.trace.memory_limit),
            *sentences(reported),
        ],
        proof={"region": asdict(footprints[0].figures.region)} | ({"adaptors": reported} if reported else {}),
    )


def _figures(reading: Footprint, samples: CellSamples) -> dict[str, float | None]:
    """Return one sample's metrics; None where the strategy does not report them."""
    trace, peak, live = samples.trace, reading.at_peak_live, reading.peak_live_bytes
    footprint = reading.peak_footprint_bytes if peak.footprint_bytes is not None else None
    at_peak_live = reading.footprint_at_peak_live_bytes if footprint is not None else None
    granted = reading.granted_at_peak_live_bytes
    live_share = _ratio(live, granted, LEAST_LIVE)
    enough = live >= LEAST_LIVE
    mean_over = reading.ratio_allocations
    of_limit = {} if trace.memory_limit is None else {"limit_used_share": _ratio(footprint, trace.memory_limit)}
    return {
        "peak_live_bytes": live,
        "peak_granted_bytes": reading.peak_granted_bytes,
        "peak_footprint_bytes": footprint,
        **of_limit,
        "peak_resident_bytes": reading.peak_resident_bytes,
        "end_resident_bytes": reading.end_resident_bytes,
        "internal_fragmentation": 1 - live_share if live_share is not None and enough else None,
        "external_fragmentation": _external(peak.free_bytes, peak.largest_free),
        **_over_the_run(reading),
        "footprint_mean_ratio": reading.ratio_sum / mean_over if mean_over and footprint is not None else None,
        "footprint_at_peak_live_ratio": _ratio(at_peak_live, live, LEAST_LIVE),
        "footprint_at_peak_ratio": _ratio(footprint, reading.live_at_peak_footprint_bytes, LEAST_LIVE),
        "footprint_peak_ratio": _ratio(footprint, live, LEAST_LIVE),
        "load_ratio": _ratio(footprint, live, LEAST_LIVE),
        "packing_ratio": _ratio(footprint, trace.packing_bytes, LEAST_LIVE) if enough else None,
        "rounding_bytes": granted - live,
        "free_bytes": peak.free_bytes,
        "metadata_bytes": peak.metadata_bytes,
        "unaccounted_bytes": _unaccounted(peak),
        "resident_at_peak_live_bytes": reading.resident_at_peak_live_bytes,
        "huge_resident_bytes": reading.huge_resident_bytes,
        "holes_ratio": _ratio(peak.free_blocks, peak.used_blocks),
        "resident_after_drain_0ms_bytes": reading.drained_resident_bytes,
        "unaccounted_after_drain_bytes": _unaccounted(reading.drained),
        "minor_faults": reading.minor_faults,
        "major_faults": reading.major_faults,
    }


def _ratio(part: float | None, whole: float | None, least: float = 1) -> float | None:
    return part / whole if part is not None and whole is not None and whole >= least else None


def _unaccounted(at: Checkpoint) -> float | None:
    """Return the part of a footprint that is neither granted, free nor metadata; None where there is no footprint."""
    if at.footprint_bytes is None:
        return None
    return at.footprint_bytes - at.granted_bytes - (at.free_bytes or 0) - (at.metadata_bytes or 0)


def _internal(live: int | None, granted: int | None) -> float | None:
    share = _ratio(live, granted, LEAST_LIVE) if live is not None and live >= LEAST_LIVE else None
    return 1 - share if share is not None else None


def _external(free: int | None, largest: int | None) -> float | None:
    share = _ratio(largest, free)
    return 1 - share if share is not None else None


def _over_the_run(footprint: Footprint) -> dict[str, float | None]:
    """Return fragmentation over the checkpoints of a sample, and at the marks."""
    figures: dict[str, float | None] = {}
    moments = (*footprint.at_marks.values(), footprint.at_peak_live)
    for name, of, whole, part in (
        ("internal_fragmentation", _internal, "live_bytes", "granted_bytes"),
        ("external_fragmentation", _external, "free_bytes", "largest_free"),
    ):
        # The mean is evenly spaced over the run, which marks and the peak are not.
        rows = zip(footprint.series[whole], footprint.series[part], strict=True)
        even = [figure for row in rows if (figure := of(*row)) is not None]
        marked = [of(getattr(at, whole), getattr(at, part)) for at in moments]
        figures[f"{name}_max"] = max([*even, *(figure for figure in marked if figure is not None)], default=None)
        figures[f"{name}_mean"] = math.fsum(even) / len(even) if even else None
        marks = marked[:-1][:MOST_MARKS]
        figures |= {f"{name}_mark_{number}": figure for number, figure in enumerate(marks, 1)}
    return figures


def _blowup(footprints: Sequence[Taken[Footprint]], alone: Sequence[Taken[Footprint]]) -> dict[str, Figure]:
    """Return the ratio of the memory peak to that of one thread, by footprint if that is counted, else by resident."""
    if not alone:
        return {}
    on_region = alone[0].figures.at_peak_live.footprint_bytes is not None

    def peak(figures: Footprint) -> int:
        return figures.peak_footprint_bytes if on_region else figures.peak_resident_bytes

    of_one = peak(alone[0].figures)
    return by_metric(footprints, lambda reading: {"blowup_ratio": _ratio(peak(reading), of_one, LEAST_LIVE)})


def _notes(footprints: Sequence[Taken[Footprint]]) -> list[str]:
    """Return remarks for reading the memory figures correctly."""
    huge = max(sample.figures.huge_resident_bytes for sample in footprints)
    if not huge or footprints[0].cell.region == "hugepages":
        return []
    return [
        f"{format_size(huge)} of its resident memory at the peak are transparent huge pages, so resident memory "
        "comes in steps of a huge page whatever the workload needs"
    ]


def _beside_limit(footprints: Sequence[Taken[Footprint]], limit: int | None) -> list[str]:
    """Return the remark about memory that a strategy needs in addition to what a memory limit bounds."""
    most = max(sample.figures.beside_limit_bytes for sample in footprints)
    if limit is None or most == 0:
        return []
    return [
        f"needs {most:,} B beside the memory limit of {limit:,} B, which does not bound them: what it keeps apart "
        "(books of adaptors, states of threads, an index that a textbook has for nothing)"
    ]


_MUST_REPEAT: Mapping[str, Callable[[Footprint], object]] = {
    "peak granted bytes": lambda reading: reading.peak_granted_bytes,
    "peak footprint": lambda reading: reading.peak_footprint_bytes,
    "mean of footprint / live": lambda reading: reading.ratio_sum,
    "figures at the peak": lambda reading: asdict(reading.at_peak_live) | {"resident_bytes": None},
}


def _differences(footprints: Sequence[Taken[Footprint]]) -> list[str]:
    return [
        f"{name} differs between repeats of a strategy that is deterministic: a defect of memtool, please report it"
        for name, figure in _MUST_REPEAT.items()
        if len({str(figure(sample.figures)) for sample in footprints}) > 1
    ]


_COLUMNS = tuple(numbers(Checkpoint))
_CHECKPOINT = Layout(tuple((name, KNOWN) for name in _COLUMNS))
_NUMBERS = numbers(Footprint)
LAYOUT = Layout.of(
    checkpoints=U64,
    series=U64,
    rows=U64,
    **_NUMBERS,
    body_ticks=U64,
    at_peak_live=_CHECKPOINT,
    drained=_CHECKPOINT,
    at_mark=Array(_CHECKPOINT, MOST_MARKS),
    region=Layout.like(RegionAccount, mapping=Text(256)),
    report=Text(8192),
)


def given(asked: Asked) -> Given:
    """Return the number of checkpoints, with memory for them, one at the beginning, and one at the end."""
    room = (asked.checkpoints + 2) * len(_COLUMNS)
    return Given({"checkpoints": asked.checkpoints}, [Part("series", room)])


def unpack(held: Any, parts: Mapping[str, Sequence[int]], asked: Asked) -> dict[str, Any]:  # noqa: ANN401  # as LAYOUT
    """Return the fields of a Footprint."""
    rows = parts["series"][: held["rows"] * len(_COLUMNS)]
    kept = (*_NUMBERS, "at_peak_live", "drained", "region", "report")
    return {name: held[name] for name in kept} | {
        "body_ticks": [held["body_ticks"]],
        "at_marks": dict(zip(asked.marks, held["at_mark"], strict=False)),
        "series": {name: [known(figure) for figure in rows[at :: len(_COLUMNS)]] for at, name in enumerate(_COLUMNS)},
    }


PASS = Declaration(
    name="footprint",
    phase=Phase.REPEATED,
    usual=0.6,
    resident=True,
    one_processor=True,
    paced=True,
)
MEASURE = Measure(
    figures=Footprint,
    layout=LAYOUT,
    given=given,
    unpack=unpack,
    summarise=summarise,
    places_blocks=True,
    differ=differ,
)
