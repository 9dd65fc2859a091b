"""What is asked of a bench: its options, and those that whole programs refuse."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from pathlib import Path

from memtool.allocators.regions import REGIONS
from memtool.errors import InputError, option, refuse_unknown
from memtool.host.counters import Counter
from memtool.model import AllocatorSpec, Mode
from memtool.passes import CHOSEN, Pass
from memtool.programs.program import Program, written_in
from memtool.worker.settings import LEAST_TIME_LIMIT
from memtool.workload.trace import find_workload


@dataclass(frozen=True, slots=True)
class BenchOptions:
    """The options of ``memtool bench``."""

    workloads: tuple[str, ...] = ()
    allocators: str | None = None
    specs: tuple[AllocatorSpec, ...] = ()
    """Used instead of ``allocators``, if a command has made them."""
    regions: tuple[str, ...] = ("anonymous",)
    blocks: int = 10
    first_block: int = 0
    """Number of the first block: those of a second look continue after the first look's."""
    footprint_repeats: int | None = None
    """Footprint samples of each cell, more only where they differ; None: one in every block. Resident memory never
    repeats to the byte, and a verdict on it needs as many pairs as one on time."""
    passes: tuple[Pass, ...] = CHOSEN
    """Passes of replayed events; programs have their own."""
    programs: tuple[Program, ...] = ()
    """Whole programs to run; without ``workloads`` nothing else is measured."""
    mode: Mode = Mode.SERIAL
    as_malloc: bool = False
    """Whether every row is called like a malloc: through a pointer, with a bare free, and safe for threads."""
    threads: tuple[int, ...] = ()
    """Numbers of threads for each workload, instead of its own."""
    paced: bool = False
    """Whether to replay at the recorded pace."""
    speed: float = 1.0
    """Speed of a paced replay, as a multiple of the recorded pace."""
    begin: str | None = None
    """Mark, operation, share or time at which figures begin; the events before it only warm up the heap."""
    rates: tuple[int, ...] = ()
    """Rates in operations a second for each workload with arrivals, instead of its own."""
    seed: int | None = None
    output: Path | None = None
    resume: bool = False
    adds_blocks: bool = False
    """Whether a resumed run may be given more blocks. A check may not, as adding after a look would break alpha."""
    keeps_blocks: bool = False
    """Whether a resumed run keeps its number of blocks, whatever ``blocks`` says, because the user named none."""
    cold: bool = False
    counters: str = "auto"
    """auto | perf | callgrind | none"""
    counter_repeats: int | None = None
    """None: ``auto`` counts once, which is fast; a counter named by the user counts again to show that it repeats."""
    reference: str | None = None
    packs: bool = True
    """Whether footprints are compared with the best packing, which takes seconds for each workload."""
    draw_plots: bool = True
    time_limit: float | None = None
    least_time_limit: float = LEAST_TIME_LIMIT
    """Least time limit of every worker, in seconds."""
    command: tuple[str, ...] = ()
    cluster: str | None = None
    """Cluster whose machines take the samples: the address of Dask's scheduler, or its file."""


def with_programs(options: BenchOptions) -> BenchOptions:
    """Return the options with the programs from their workload files moved to the programs. Raises InputError."""
    written = {name: written_in(find_workload(name)) for name in options.workloads}
    return replace(
        options,
        workloads=tuple(name for name in options.workloads if not written[name]),
        programs=(*options.programs, *itertools.chain.from_iterable(written.values())),
    )


def refuse_invalid(options: BenchOptions) -> None:
    """Raise InputError for options that have no such value; a caller in Python may give any."""
    refuse_unknown(options.mode, [*Mode], "mode", "mode")
    refuse_unknown(options.counters, ["auto", *Counter], "counter", "counters")
    for region in options.regions:
        refuse_unknown(region, REGIONS, "region", "regions")
    for name in ("blocks", "threads", "rates", "speed", "time_limit"):
        given = getattr(options, name)
        for value in given if isinstance(given, tuple) else (given,):
            is_number = isinstance(value, int | float if name in ("speed", "time_limit") else int)
            if value is not None and not (is_number and 0 < value < math.inf):
                raise InputError(f"must be a number above 0, is {value!r}", field=name)


def refuse_what_programs_lack(options: BenchOptions) -> None:
    """Raise InputError for options that say how events are replayed, as other kinds of work without them do."""
    usual = BenchOptions()
    of_events = {
        "threads": options.threads,
        "rates": options.rates,
        "speed": options.speed != usual.speed,
        "paced": options.paced,
        "begin": options.begin,
        "mode": options.mode != usual.mode,
        "regions": options.regions != usual.regions,
    }
    given = [option(name) for name, value in of_events.items() if value]
    if given and options.programs:
        name = options.programs[0].name
        raise InputError(f"{name}: with {given[0]}: a whole program runs as it does, and nothing is replayed")
