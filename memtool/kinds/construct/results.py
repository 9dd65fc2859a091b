"""The measurements of objects, and their presentation."""

from __future__ import annotations

from dataclasses import dataclass

from memtool.kinds.construct.metrics import METRICS, PARTS, PER_OBJECT, STEPS
from memtool.kinds.construct.words import heading, remarks
from memtool.kinds.declaration import Results
from memtool.kinds.picture import BarsInfo
from memtool.kinds.sheet import Column, Quantity, SheetInfo
from memtool.model import CellResult, TraceInfo
from memtool.passes import Pass, counters, throughput
from memtool.passes.declaration import CellSamples, Figures, Measure, Summary, by_metric, taken
from memtool.passes.layout import Layout


@dataclass(frozen=True, slots=True)
class Parts(Figures):
    """Ticks of each part of all objects' lives: the minimum of several turns."""

    make: int
    use: int
    end: int
    has_steps: int
    """Whether the steps below were timed, each for all objects before the next step."""
    allocate: int
    construct: int
    destroy: int
    deallocate: int


@dataclass(frozen=True, slots=True)
class Books(Figures):
    """One round in which every object and every block is counted."""

    constructions: int
    destructions: int
    blocks: int
    """Blocks requested from the allocator."""
    asked_bytes: int
    peak_footprint_bytes: int | None
    """None: the allocator does not use a region."""
    thrown: int
    """Additional rounds in which a constructor threw an exception."""


@dataclass(frozen=True, slots=True)
class Checked(Books):
    """Result of the check pass."""


@dataclass(frozen=True, slots=True)
class Audited(Books):
    """Result of the footprint pass."""


_BOOKS = Layout.like(Books)


def _parts(samples: CellSamples) -> Summary:
    """Return the time of each part of an object's life."""
    timed, ns = taken(samples.own, Parts), samples.clock.ns_per_tick
    names = (*PARTS, *STEPS) if any(sample.figures.has_steps for sample in timed) else PARTS
    return Summary(
        by_metric(
            timed,
            lambda of: {name: getattr(of, name.partition("_")[0]) * ns / samples.operations for name in names},
        )
    )


def _audited(samples: CellSamples) -> Summary:
    """Return the number of constructors, destructors, blocks and bytes for each object."""

    def metrics(books: Audited) -> dict[str, float | None]:
        objects = samples.trace.facts["objects"]
        per_object = {metric: getattr(books, name) / objects for metric, name in PER_OBJECT.items()}
        return per_object | {"peak_footprint_bytes": books.peak_footprint_bytes}

    return Summary(by_metric(taken(samples.own, Audited), metrics))


def _checked(samples: CellSamples) -> Summary:
    """Return the balanced counts, for the proof."""
    checked = [sample.figures for sample in taken(samples.own, Checked)]
    if not checked:
        return Summary()
    names = ("constructions", "destructions", "blocks", "thrown")
    return Summary(proof={"objects_checked": {name: getattr(checked[0], name) for name in names}})


def _why_not(cell: CellResult, name: str, trace: TraceInfo, *, was_measured: bool) -> str | None:
    return "what it does in one step cannot be timed in steps" if name in STEPS and not was_measured else None


_NS = Quantity.TIME
RESULTS = Results(
    measures={
        Pass.CHECK: Measure(figures=Checked, layout=_BOOKS, summarise=_checked),
        Pass.THROUGHPUT: throughput.MEASURE,
        Pass.LATENCY: Measure(figures=Parts, layout=Layout.like(Parts), summarise=_parts),
        Pass.FOOTPRINT: Measure(figures=Audited, layout=_BOOKS, summarise=_audited),
        Pass.COUNTERS: counters.MEASURE,
    },
    metrics=METRICS,
    sheets=(
        SheetInfo(
            "The life of an object, in ns",
            (
                Column("ns/\nobject", "time_per_op_ns", _NS),
                Column("95 % interval", "time_per_op_ns", _NS, is_interval=True),
                *(Column(name.removesuffix("_ns"), name, _NS) for name in PARTS),
                Column("instr./\nobject", "instructions_per_op", Quantity.NUMBER, 1),
            ),
            ("time_per_op_ns", "instructions_per_op"),
            ranked=True,
            with_calls=True,
        ),
        SheetInfo(
            "The same in steps, each taken for all objects before the next, in ns",
            tuple(Column(name.partition("_")[0], name, _NS) for name in STEPS),
            ("construct_step_ns",),
            sign="construct_step_ns",
        ),
        SheetInfo(
            "What an object takes, and the footprint of all in {unit}",
            (
                Column("con-\nstructors", "constructions_per_object", Quantity.NUMBER),
                Column("de-\nstructors", "destructions_per_object", Quantity.NUMBER),
                Column("blocks", "blocks_per_object", Quantity.NUMBER, 3),
                Column("bytes\nasked for", "asked_per_object_bytes", Quantity.NUMBER, 1),
                Column("footprint\nof all", "peak_footprint_bytes", Quantity.BYTES),
            ),
            ("asked_per_object_bytes", "peak_footprint_bytes"),
        ),
    ),
    pictures=(
        BarsInfo(
            "objects",
            "Lives of objects (shorter is faster)",
            "time of an object (ns)",
            (("make", "make_ns"), ("use", "use_ns"), ("end", "end_ns")),
        ),
    ),
    heading=heading,
    remarks=remarks,
    why_not=_why_not,
)
