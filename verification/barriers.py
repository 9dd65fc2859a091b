"""Row 26: what allocation costs between collections, and what counting costs where it is put off."""

from __future__ import annotations

from collections.abc import Iterator

from memtool.passes import Pass
from verification.cells import measure, ratio, value
from verification.outcome import Line, Result, Verdict

BLOCKS = 6
MADE = """\
name: made
graph:
  young: {objects: 1, survivors: 0%, live: 100k, payload: 40}
"""
"""Objects that are put into a table and stay: nothing dies, so there is nothing to do but to allocate."""
LINKED = """\
name: linked
graph:
  mutating: {nodes: 5k, references: 3, operations: 300k, payload: [16, 80]}
"""
ROOM = "heap=64MiB"
"""More than all that is made: there is no collection."""
WITHIN = 0.1


def measured() -> Iterator[Line]:
    """Compare semispace with allocators that move a pointer, and counting that is put off with counting at once."""
    rows = [f"semispace:{ROOM}", "arena", "bump"]
    cells = measure(MADE, (Pass.THROUGHPUT,), BLOCKS, rows)
    ours, arena, bump = (cells[row].metrics["cpu_ns_per_op"].samples for row in rows)
    for others, name, published, least in (
        (arena, "an arena, which moves a pointer through chunks", "as fast, within a tenth", 1 - WITHIN),
        (bump, "the bump allocator, which asks its region each time", "no slower, within a tenth", 0.0),
    ):
        slower = ratio(ours, others)
        yield Line(
            f"time of an allocation on semispace between collections / on {name}",
            published,
            f"{slower:.2f}",
            Verdict.of(least <= slower <= 1 + WITHIN),
        )
    rows = ["deferred-counting", "reference-counting"]
    cells = measure(LINKED, (Pass.LATENCY,), BLOCKS, rows)
    deferred, immediate = (value(cells[row], "barrier_ns_per_op") for row in rows)
    yield Line(
        "barriers of deferred reference counting / of immediate, in ns of processor time an operation",
        "less: writes to roots are not counted",
        f"{deferred:.1f} / {immediate:.1f}",
        Verdict.of(deferred < immediate),
    )


BARRIERS = Result(
    26,
    "Allocation between collections, and deferred counting",
    "Deutsch, Bobrow 1976",
    "Deutsch and Bobrow: An efficient, incremental, automatic garbage collector (CACM 19(9), 1976), section 2: local "
    "variables need no counts; and that allocation of a copying collector moves a pointer: Appel, Garbage collection "
    "can be faster than stack allocation, Information Processing Letters 25(4), 1987",
    measured=measured,
)
