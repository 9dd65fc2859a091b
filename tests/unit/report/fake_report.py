"""Comparisons that were never measured: one inside a run, one with a baseline, with every verdict between them."""

from __future__ import annotations

from functools import partial

from memtool import gate
from memtool.model import CellResult, Report
from memtool.stats import compare
from tests.runs import MACHINE, cell, excluded, figure, run, typed

TIME = "time_per_op_ns"
NET = "net_time_per_op_ns"
FOOTPRINT = "peak_footprint_bytes"
RESIDENT = "peak_resident_bytes"
INTERNAL = "internal_fragmentation"
_MIB = 2**20
_WOBBLE = (1.0, 1.004, 0.997, 1.002, 0.999, 1.006, 0.994, 1.001, 0.998, 1.003, 1.0)


def _times(value: float, wobble: float = 1.0) -> tuple[float, ...]:
    return tuple(value * (1 + wobble * (item - 1)) for item in _WOBBLE)


def inside_a_run() -> Report:
    """Return four allocators against glibc: slower, the same, faster, and too noisy to tell."""
    rules = gate.policy([TIME, NET, RESIDENT, INTERNAL], 0.02, ["peak_resident_bytes=64KiB"])

    def measured(
        name: str, time: float, resident: float, internal: float, wobble: float = 1.0, region: str = "anonymous"
    ) -> CellResult:
        times = _times(time, wobble)
        return cell(
            name,
            {
                TIME: figure(TIME, *times),
                NET: figure(NET, *(item - 4 for item in times)),
                RESIDENT: figure(RESIDENT, *[resident * _MIB] * 11),
                INTERNAL: figure(INTERNAL, internal, internal),
            },
            region=region,
        )

    base = cell(
        "glibc",
        {
            TIME: figure(TIME, *([20.0] * 11)),
            NET: figure(NET, *([16.0] * 11)),
            RESIDENT: figure(RESIDENT, *([8.0 * _MIB] * 11)),
            INTERNAL: figure(INTERNAL, 0.01, 0.01),
        },
    )
    cells = [
        base,
        measured("slower", 21.5, 8.0, 0.01),
        measured("same", 20.0, 8.5, 0.02),
        measured("faster", 14.0, 9.0, 0.03),
        measured("noisy", 20.0, 8.0, 0.01, wobble=20.0),
    ]
    result = run(*cells)
    comparisons = compare.within(result, "glibc", rules.metrics)
    return Report(
        memtool="0.1.0",
        command="compare",
        sources=("results/a",),
        judgements=tuple(gate.with_next_steps(gate.judge(comparisons, rules), typed)),
        alpha=rules.alpha,
        margin=rules.margin,
        family=gate.family_of(comparisons, rules),
        is_choice=True,
        places=tuple(compare.places(result)),
        machine=MACHINE,
    )


def with_a_baseline() -> Report:
    """Return a header that grew, one that shrank, one that crashes, one left out, one of other events, and times."""
    rules = gate.policy([TIME, FOOTPRINT], 0.02, [])
    seven = [10.0, 10.1, 9.9, 10.0, 10.2, 9.8, 10.0]

    def stored(name: str, footprint: float, time: float = 1.0, workload: str = "web") -> CellResult:
        figures = {
            TIME: figure(TIME, *(item * time for item in seven)),
            FOOTPRINT: figure(FOOTPRINT, footprint, footprint),
        }
        return cell(name, figures, workload)

    base = run(
        stored("tlsf", 6_532_112), stored("buddy", 6_532_112), stored("slab", 7_340_032), stored("pool", 4096),
        stored("arena", 65_536), stored("tlsf", 1024, workload="game"),
    )  # fmt: skip
    head = run(
        stored("tlsf", 6_532_128, 1.3), stored("buddy", 6_500_000), stored("slab", 7_340_032),
        cell("pool", failed="check pass, block 0: two live blocks overlap"), excluded("arena", "too much memory"),
        stored("tlsf", 2048, workload="game"), machine={"kernel": "6.9.0"},
    )  # fmt: skip
    renew = "memtool check web.yaml --baseline main.json --update"
    return Report(
        memtool="0.1.0",
        command="check",
        sources=("main.json", "results/b/run.json"),
        judgements=tuple(
            gate.with_next_steps(
                gate.judge(compare.between(base, head, rules.metrics), rules), partial(typed, renewal=renew)
            )
        ),
        alpha=rules.alpha,
        margin=rules.margin,
        family=0,
        notes=("web · pool: a note of the run",),
        machine=MACHINE,
    )
